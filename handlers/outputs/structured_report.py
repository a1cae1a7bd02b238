"""The report as a DICOM Structured Report (TID 1500), so that a PACS can keep it beside the series."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from handlers import attributes
from handlers.errors import MalformedAttributeError, VolumeError
from handlers.findings import CODES
from handlers.model import Instance, Outcome, Product
from handlers.outputs import report_words
from handlers.outputs.provenance import derived_uid, software_version
from handlers.outputs.report import report as report_of

SCHEME = "99PREPNODE"
FILE_NAME = "dicom/report.dcm"
SERIES_NUMBER_OFFSET = 9000  # keeps derived series behind the scanner's in a viewer's list
MAX_MEANING = 64  # characters, VR LO of Code Meaning
UTF_8 = "ISO_IR 192"  # names are decoded from the source's character set and written in this one
NO_DATE = "19000101"  # where the source series has no date at all
# What identifies patient and study, copied as it is; empty where the source has none (Type 2).
COPIED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
# PS3.5 section 6.2, DA and TM; a value in another form is left out, since no writer takes it.
_FORMS = {"Date": re.compile(r"\d{8}"), "Time": re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")}
_SEX = frozenset({"", "M", "F", "O"})


def write(outcome: Outcome, folder: Path) -> list[Product]:
    """Write `dicom/report.dcm`; nothing for a series of which no instance could be read."""
    if not outcome.series.instances:
        return []
    document = build(report_of(outcome), outcome.series.instances[0])
    content = _part10(document)
    (folder / FILE_NAME).parent.mkdir(exist_ok=True)
    (folder / FILE_NAME).write_bytes(content)
    checksum = hashlib.sha256(content).hexdigest()
    return [Product("structured_report", Path(FILE_NAME), sha256=checksum, size_bytes=len(content))]


def build(report: Mapping[str, Any], source: Instance) -> Dataset:
    """Turn a report into an Enhanced SR that refers to its source series.

    One measurement group per volume holds the verdict and the findings as codes of the private
    scheme 99PREPNODE. The document is PRELIMINARY and UNVERIFIED: no person has seen it. Its UIDs
    are computed from the source and the recipe, its dates are those of the source, so that a
    second run makes the same object.

    Source: PS3.16 TID 1500 and TID 1501; PS3.3 A.35.2 (Enhanced SR IOD).

    Raises:
        VolumeError: the source cannot be referred to (NRM-SR-001).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom quotes a malformed value, which may be a patient's
            document = _document(report, source)
    except (ValueError, TypeError, AttributeError) as error:
        message = f"no structured report can be made of this header: {type(error).__name__}"
        raise VolumeError(message, code="NRM-SR-001") from error
    _make_repeatable(document, source)
    return document


def _document(report: Mapping[str, Any], source: Instance) -> Dataset:
    from highdicom import sr
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from pydicom.sr.codedict import codes

    identity = _identity(report)
    device = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=derived_uid("device", software_version()), name="prepnode", model_name="prepnode"
        ),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=_groups(report, identity),
        title=codes.DCM.ImagingMeasurementReport,
    )
    return sr.EnhancedSR(
        evidence=[_reference(source, report)],
        content=content,
        series_instance_uid=derived_uid("sr-series", *identity),
        series_number=_series_number(source),
        sop_instance_uid=derived_uid("sr-instance", *identity),
        instance_number=1,
        manufacturer="prepnode",
        is_complete=True,
        series_description="Data preparation report",
        specific_character_set=UTF_8,
        coding_schemes=[CodingSchemeIdentificationItem(SCHEME, name="prepnode finding codes")],
    )


def _groups(report: Mapping[str, Any], identity: tuple[str, ...]) -> list[Any]:
    """Return one measurement group for the series, or one per volume, with verdict and findings."""
    from highdicom import sr

    subjects = [(f"v{volume['index']}", volume["verdict"]) for volume in report["volumes"]]
    groups = []
    for name, verdict in subjects or [("series", report["verdict"])]:
        concerned = [f for f in report["findings"] if not subjects or _concerns(f, name, report)]
        groups.append(
            sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(
                    uid=derived_uid("sr-group", name, *identity), identifier=name
                ),
                qualitative_evaluations=[
                    _evaluation("VERDICT", "Verdict", verdict, report_words.VERDICTS[verdict][0]),
                    *(_finding(finding) for finding in concerned),
                ],
            )
        )
    return groups


def _concerns(finding: Mapping[str, Any], name: str, report: Mapping[str, Any]) -> bool:
    """Say whether a finding is about this volume, one of its instances, or the whole series."""
    target = finding["target"]
    uids = {
        uid
        for volume in report["volumes"]
        if f"v{volume['index']}" == name
        for uid in volume["sop_instance_uids"]
    }
    return not target or target == name or target in uids


def _finding(finding: Mapping[str, Any]) -> Any:
    """Return a finding as a code, with its sentence as a comment below it."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    info = CODES.get(finding["code"])
    evaluation = _evaluation("FINDING", "Finding", finding["code"], info.title if info else finding["code"])
    comment = sr.TextContentItem(
        name=codes.DCM.Comment,
        value=_printable(f"{finding['severity']}: {finding['message']}"),
        relationship_type=sr.RelationshipTypeValues.HAS_PROPERTIES,
    )
    evaluation[0].ContentSequence = sr.ContentSequence([comment])
    return evaluation


def _evaluation(name: str, name_meaning: str, value: str, meaning: str) -> Any:
    from highdicom import sr

    return sr.QualitativeEvaluation(
        name=sr.CodedConcept(name, SCHEME, name_meaning),
        value=sr.CodedConcept(value[:16], SCHEME, _printable(meaning)[:MAX_MEANING]),
    )


def _reference(source: Instance, report: Mapping[str, Any]) -> Dataset:
    """Return what the document needs of its source, with every Type 2 attribute present."""
    reference = Dataset()
    reference.SOPClassUID = source.sop_class_uid
    reference.SOPInstanceUID = source.sop_instance_uid
    reference.StudyInstanceUID = report["StudyInstanceUID"]
    reference.SeriesInstanceUID = report["SeriesInstanceUID"]
    for keyword in COPIED:
        value = _value(source, keyword)
        form = next((form for ending, form in _FORMS.items() if keyword.endswith(ending)), None)
        setattr(reference, keyword, value if form is None or form.fullmatch(value) else "")
    if reference.PatientSex not in _SEX:
        reference.PatientSex = ""
    return reference


def _value(source: Instance, keyword: str) -> str:
    try:
        return attributes.text(source, keyword) or ""
    except MalformedAttributeError:
        return ""


def _make_repeatable(document: Dataset, source: Instance) -> None:
    """Replace the clock by the dates of the source."""
    keywords = ("ContentDate", "AcquisitionDate", "SeriesDate", "StudyDate")
    date = next(
        (value for keyword in keywords if _FORMS["Date"].fullmatch(value := _value(source, keyword))), NO_DATE
    )
    document.ContentDate = date
    document.ContentTime = "000000"
    document.SeriesDate = date
    document.SeriesTime = "000000"
    for keyword in ("InstanceCreationDate", "InstanceCreationTime", "TimezoneOffsetFromUTC"):
        if keyword in document:
            del document[keyword]
    for item in document.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = f"{date}000000"
    for item in document.get("ContentSequence", ()):
        if "ObservationDateTime" in item:
            del item.ObservationDateTime


def _part10(document: Dataset) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in `build`
        document.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _identity(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the document is made of: source, revision, configuration."""
    provenance = report["provenance"]
    digests = (str(provenance.get(key, "")) for key in ("sop_uid_digest", "config_sha256", "software"))
    return (report["SeriesInstanceUID"], str(report["revision"]), *digests)


def _series_number(source: Instance) -> int:
    try:
        number = attributes.integer(source, "SeriesNumber") or 0
    except MalformedAttributeError:
        number = 0
    return SERIES_NUMBER_OFFSET + max(0, number)


def _printable(text: str) -> str:
    r"""Return text without control characters and "\", which separates values in DICOM."""
    return re.sub(r"[\x00-\x1f\\]", " ", text)
