"""Enhanced multi-frame CT and MR built in code, with shared and per-frame functional groups (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, EnhancedCTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian

from datasets import decimals, identity, instance
from phantoms import HU, MR_SIGNAL, Layout, Phantom, Plane, planes, uid

SIXTEEN_BITS = Layout(allocated=16, stored=16)
MACROS = {
    # keyword -> the functional group macro that holds it (PS3.3 C.7.6.16.2, C.8.13, C.8.15)
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "StackID": "FrameContentSequence",
    "InStackPositionNumber": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionDateTime": "FrameContentSequence",
    "DimensionIndexValues": "FrameContentSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "DiffusionDirectionality": "MRDiffusionSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "FlipAngle": "MRTimingAndRelatedParametersSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
    "NominalPercentageOfCardiacPhase": "CardiacSynchronizationSequence",
    "NominalPercentageOfRespiratoryPhase": "RespiratorySynchronizationSequence",
}


def enhanced_ct(
    *, kernel: str = "B30f", slope: float = 1, intercept: float = -1024, **options: Any
) -> FileDataset:
    """Return an Enhanced CT of the phantom in HU; see `_enhanced` for the other arguments.

    `slopes` gives one slope per frame, in the order of slices; then nothing is shared of the rescale macro.
    """
    attributes = {"ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "MultienergyCTAcquisition": "NO"}
    macros = {"ConvolutionKernel": kernel, "RescaleType": "HU"}
    return _enhanced(
        "ect", EnhancedCTImageStorage, levels=HU, attributes=attributes, macros=macros,
        slope=slope, intercept=intercept, frame_macro="CTImageFrameTypeSequence", **options,
    )  # fmt: skip


def enhanced_mr(*, slope: float = 1, intercept: float = 0, **options: Any) -> FileDataset:
    """Return an Enhanced MR of the phantom (0, 400, 1200); see `_enhanced` for the other arguments."""
    attributes = {
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        "ComplexImageComponent": "MAGNITUDE",
    }
    macros = {"EffectiveEchoTime": 10.0, "RescaleType": "US"}
    return _enhanced(
        "emr", EnhancedMRImageStorage, levels=MR_SIGNAL, attributes=attributes, macros=macros,
        slope=slope, intercept=intercept, frame_macro="MRImageFrameTypeSequence", **options,
    )  # fmt: skip


def _enhanced(
    kind: str,
    sop_class: UID,
    *,
    levels: tuple[float, float, float],
    attributes: Mapping[str, Any],
    macros: Mapping[str, Any],
    frame_macro: str,
    slope: float,
    intercept: float,
    slices: int = 8,
    rows: int = 32,
    columns: int = 32,
    spacing: tuple[float, float] = (1.0, 1.0),
    step_mm: float = 2.0,
    tilt_deg: float = 0.0,
    orientation: str | NDArray[np.float64] = "axial",
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
    missing: Sequence[int] = (),
    volumes: Sequence[Mapping[str, Any]] = ({},),
    slopes: Sequence[float] | None = None,
    reversed_frames: bool = False,
    layout: Layout = SIXTEEN_BITS,
    name: str = "",
    series_uid: str | None = None,
    study_uid: str = uid("study"),
    transfer_syntax: UID = ExplicitVRLittleEndian,
    **overrides: Any,
) -> FileDataset:
    """Build one multi-frame instance: position by position, and at each position one frame per volume.

    Args:
        volumes: what tells the volumes apart: keyword -> value in a per-frame macro, e.g.
            ({"DiffusionBValue": 0.0}, {"DiffusionBValue": 1000.0}). FrameType and
            ComplexImageComponent go into the frame type macro. The values of volume k are raised by 10 * k.
        slopes: one RescaleSlope per slice, in per-frame macros; otherwise the rescale is shared.
        reversed_frames: store the frames last position first.
        overrides: keywords at the top level of the data set.
    """
    phantom = Phantom(max(rows * spacing[0], columns * spacing[1]), centre)
    stack = planes(
        slices, rows=rows, columns=columns, spacing=spacing, step_mm=step_mm, tilt_deg=tilt_deg,
        orientation=orientation, centre=centre,
    )  # fmt: skip
    groups, stored = [], []
    for index, plane in enumerate(stack):
        own = slope if slopes is None else slopes[index]
        values = np.asarray(levels)[phantom.material(plane.points(rows, columns, spacing))]
        for number, volume in enumerate(volumes):
            if index not in missing:
                rescale = (
                    {}
                    if slopes is None
                    else {
                        "RescaleSlope": own,
                        "RescaleIntercept": intercept,
                        "RescaleType": macros["RescaleType"],
                    }
                )
                groups.append(_frame_group(plane, index, rescale | dict(volume), frame_macro))
                stored.append(np.rint((values + 10 * number - intercept) / own).astype(np.int64))
    if reversed_frames:
        groups, stored = groups[::-1], stored[::-1]
    shared = dict(macros) | {"PixelSpacing": decimals(spacing), "SliceThickness": step_mm}
    shared["ImageOrientationPatient"] = decimals((*stack[0].row_cosine, *stack[0].column_cosine))
    if slopes is None:
        shared |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
    else:
        shared.pop("RescaleType")
    series_uid = series_uid or uid("series", kind, name)
    content = {
        **identity(kind.upper()[1:], sop_class, uid(series_uid, name, "enhanced"), series_uid, study_uid),
        "InstanceNumber": 1,
        "FrameOfReferenceUID": uid("frame of reference", study_uid),
        "NumberOfFrames": len(groups),
        **attributes,
        "SharedFunctionalGroupsSequence": [group(shared)],
        "PerFrameFunctionalGroupsSequence": groups,
        **overrides,
    }
    return instance(content, 0, np.concatenate(stored), layout, "MONOCHROME2", transfer_syntax, rows=rows)


def group(values: Mapping[str, Any], frame_macro: str = "") -> Dataset:
    """Return one item of a functional groups sequence, each value inside its macro.

    A value of None leaves the attribute out; keywords unknown to `MACROS` go into `frame_macro`.
    """
    result = Dataset()
    for keyword, value in values.items():
        macro = MACROS.get(keyword, frame_macro)
        if value is None:
            continue
        if macro not in result:
            setattr(result, macro, [Dataset()])
        setattr(result[macro].value[0], keyword, value)
    return result


def _frame_group(plane: Plane, index: int, own: Mapping[str, Any], frame_macro: str) -> Dataset:
    position = {
        "ImagePositionPatient": decimals(plane.position),
        "StackID": "1",
        "InStackPositionNumber": index + 1,
    }
    return group(position | dict(own), frame_macro)
