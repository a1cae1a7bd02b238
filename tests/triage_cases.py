"""Series for tests of triage rules, built from header attributes alone: no files, pixels only where a rule needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from handlers import geometry
from handlers.errors import VolumeError
from handlers.model import Finding, Frame, Instance, Series, SiblingSeries, Volume
from phantoms import uid

CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
AXIAL = [1, 0, 0, 0, 1, 0]
CORONAL = [1, 0, 0, 0, 0, -1]
SAGITTAL = [0, 1, 0, 0, 0, -1]
PLAIN: dict[str, dict[str, Any]] = {
    # what a scanner writes into every image of a plain series
    "CT": {
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ConvolutionKernel": "B30f", "KVP": 120, "Manufacturer": "SIEMENS",
        "RescaleSlope": 1, "RescaleIntercept": -1024, "PatientPosition": "HFS", "SliceThickness": 2, "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
    },
    "MR": {
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"], "EchoTime": 10, "RepetitionTime": 500, "PatientPosition": "HFS",
        "SliceThickness": 2, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
    },
    "PT": {"ImageType": ["ORIGINAL", "PRIMARY"], "PatientPosition": "HFS", "SliceThickness": 2, "Units": "BQML"},
}  # fmt: skip

Value = Any | Callable[[int], Any]


def header(attributes: Mapping[str, Any]) -> Dataset:
    """A data set with these attributes; None leaves one out."""
    dataset = Dataset()
    with disable_value_validation():  # scanners write what they like
        for keyword, value in attributes.items():
            if value is not None:
                setattr(dataset, keyword, value)
    return dataset


def instance(
    *,
    name: object = "instance",
    sop_class: str = CTImageStorage,
    syntax: str = ExplicitVRLittleEndian,
    path: Path = Path("none"),
    pixel_keyword: str = "PixelData",
    **attributes: Any,
) -> Instance:
    sop_uid = uid("triage", name)
    return Instance(sop_uid, str(sop_class), str(syntax), path, header(attributes), 1000, pixel_keyword)


def volume(
    modality: str = "CT",
    *,
    index: int = 0,
    slices: int = 20,
    step: tuple[float, float, float] = (0.0, 0.0, 2.0),
    positions: list[tuple[float, float, float]] | None = None,
    sop_class: str | None = None,
    values: NDArray[Any] | None = None,
    padding: NDArray[np.bool_] | None = None,
    units: str = "1",
    options: Mapping[str, Any] | None = None,
    **attributes: Value,
) -> Volume:
    """A stack of `slices`; an attribute is a value, None to leave it out, or a function of the slice index.

    `options` go to every `instance` (syntax, path, pixel_keyword).
    """
    places = positions or [tuple(np.multiply(step, k)) for k in range(slices)]
    chosen = {
        "Modality": modality, "ImageOrientationPatient": AXIAL, "PixelSpacing": [0.5, 0.5], "FrameOfReferenceUID": "1.2.3",
        "InstanceNumber": lambda k: k + 1, **PLAIN.get(modality, {}), **attributes,
    }  # fmt: skip
    frames = []
    for k, place in enumerate(places):
        own = {keyword: value(k) if callable(value) else value for keyword, value in chosen.items()}
        own.setdefault("ImagePositionPatient", [float(each) for each in place])
        made = instance(
            name=(modality, index, k, len(places)), sop_class=sop_class or CLASSES.get(modality, CTImageStorage),
            **(options or {}), **own,
        )  # fmt: skip
        frames.append(Frame(made))
    try:
        ordered, measured = geometry.measure(frames)
    except VolumeError:
        ordered, measured = tuple(frames), None
    return Volume(index, ordered, modality, geometry=measured, values=values, padding=padding, units=units)


def multi_frame(volume_: Volume, **functional: Value) -> Volume:
    """The same volume with functional groups; a value may be a function of the frame index."""
    from dataclasses import replace

    frames = tuple(
        replace(frame, functional={k: v(i) if callable(v) else v for k, v in functional.items()})
        for i, frame in enumerate(volume_.frames)
    )
    return replace(volume_, frames=frames)


def series(*volumes: Volume, loose: tuple[Instance, ...] = (), **more: Any) -> Series:
    """A series of these volumes, and of instances that are in none."""
    instances = {each.sop_instance_uid: each for volume_ in volumes for each in volume_.instances}
    return Series("1.2.9", "1.2.8", (*instances.values(), *loose), volumes=volumes, **more)


def sibling(**facts: Any) -> SiblingSeries:
    return SiblingSeries("1.2.10", facts)


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def only(findings: list[Finding], code: str | None = None) -> Finding:
    """The one finding (with this code)."""
    chosen = [finding for finding in findings if code in (None, finding.code)]
    assert len(chosen) == 1, f"{len(chosen)} of {code}: {codes(findings)}"
    return chosen[0]
