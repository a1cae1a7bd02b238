"""Tell each series what is known of the others of its study."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

from handlers import attributes
from handlers.breast_views import views_of
from handlers.errors import MalformedAttributeError
from handlers.model import Instance, Series, SiblingSeries

TEXTS = (
    "Modality", "SOPClassUID", "SeriesDescription", "ProtocolName", "BodyPartExamined", "Manufacturer",
    "ManufacturerModelName", "FrameOfReferenceUID", "PatientPosition", "ConvolutionKernel", "AcquisitionDate",
    "AcquisitionTime", "AcquisitionDateTime", "SeriesDate", "SeriesTime", "StudyDate", "StudyTime",
    "ContrastBolusAgent", "ContrastBolusStartTime", "IrradiationEventUID", "Laterality", "ImageLaterality",
    "ViewPosition", "PresentationIntentType", "ImageType", "ScanOptions",
)  # fmt: skip
NUMBERS = (
    "SeriesNumber", "AcquisitionNumber", "InstanceNumber", "NumberOfFrames", "ImagesInAcquisition", "Rows",
    "Columns", "TriggerTime", "NominalPercentageOfCardiacPhase", "ImagePositionPatient",
    "ImageOrientationPatient",
)  # fmt: skip
LISTS = {
    "ImageType",
    "ScanOptions",
    "ImagePositionPatient",
    "ImageOrientationPatient",
}  # also when of one value


LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"  # PS3.4 B.5, since 2024d
SEGMENTATIONS = frozenset({SegmentationStorage, LABEL_MAP_SEGMENTATION, RTStructureSetStorage})


def with_siblings(series: Sequence[Series]) -> list[Series]:
    """Fill `Series.study` and `Series.labels` from the other series of the same study.

    The facts are those of the first instance of each, as JSON would hold them: text, number, or a
    list; an attribute that is absent, empty or broken is left out. Of mammograms, `breast_views` says what
    every instance shows.
    """
    facts = {each.series_instance_uid: _facts(each) for each in series}
    studies: dict[str, list[str]] = defaultdict(list)
    for each in series:
        studies[each.study_instance_uid].append(each.series_instance_uid)
    labels: dict[str, dict[str, list[Instance]]] = defaultdict(dict)
    for each in series:
        own = [instance for instance in each.instances if instance.sop_class_uid in SEGMENTATIONS]
        labels[each.study_instance_uid][each.series_instance_uid] = own
    result = []
    for each in series:
        others = (uid for uid in studies[each.study_instance_uid] if uid != each.series_instance_uid)
        siblings = tuple(SiblingSeries(uid, facts[uid]) for uid in others)
        others_labels = (
            label
            for uid, found in labels[each.study_instance_uid].items()
            if uid != each.series_instance_uid
            for label in found
        )
        result.append(replace(each, study=siblings, labels=tuple(others_labels)))
    return result


def _facts(series: Series) -> dict[str, Any]:
    if not series.instances:
        return {}
    header = series.instances[0].header
    found = {keyword: _fact(header, keyword) for keyword in (*TEXTS, *NUMBERS)}
    facts = {keyword: value for keyword, value in found.items() if value is not None}
    if views := views_of(series.instances):
        facts["breast_views"] = views
    return facts


def _fact(header: Dataset, keyword: str) -> Any:
    try:
        values: Sequence[Any] | None = attributes.texts(header, keyword)
        if values and keyword in NUMBERS:
            numbers = attributes.numbers(header, keyword) or ()
            values = [int(each) if each.is_integer() else each for each in numbers]
    except MalformedAttributeError:
        return None
    if not values or not any(value != "" for value in values):
        return None
    return list(values) if len(values) > 1 or keyword in LISTS else values[0]
