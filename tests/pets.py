"""PET series whose uptake values are known from their construction: a body with its dose spread evenly.

All the activity that is left at the time of the scan lies in the weight of the body, so that water of the
phantom has an uptake value by body weight of 1, and its rod of 4. Nothing here uses a formula of the
programs under test; the decay is a whole number of half-lives.
"""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import PositronEmissionTomographyImageStorage

import data

WEIGHT_KG = 80.0
SIZE_M = 1.80
HALF_LIFE_S = 6000.0
DOSE_BQ = 320e6
HALF_LIVES = 2  # from the injection at 09:00:00 to the series at 12:20:00
LEFT_BQ = DOSE_BQ / 4
WATER_BQML = LEFT_BQ / (1000 * WEIGHT_KG)  # 1000 Bq/ml in 80 kg of density 1 g/ml
ROD = 4.0
TIMES = {
    "SeriesDate": "20240502",
    "SeriesTime": "122000",
    "AcquisitionDate": "20240502",
    "AcquisitionTime": "122000",
}


def injection(**changes: Any) -> Dataset:
    """The item of the Radiopharmaceutical Information Sequence; None leaves an attribute out."""
    attributes = {
        "RadionuclideTotalDose": DOSE_BQ,
        "RadionuclideHalfLife": HALF_LIFE_S,
        "RadiopharmaceuticalStartTime": "090000",
        **changes,
    }
    item = Dataset()
    for keyword, value in attributes.items():
        if value is not None:
            setattr(item, keyword, value)
    return item


def attributes(**changes: Any) -> dict[str, Any]:
    """What a PET image states; `injection` is a dict of changes to that item."""
    return {
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["ATTN", "DECY", "SCAT"],
        "PatientWeight": WEIGHT_KG,
        "PatientSize": SIZE_M,
        "PatientSex": "M",
        "SeriesType": ["STATIC", "IMAGE"],
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "PatientPosition": "HFS",
        **TIMES,
        "RadiopharmaceuticalInformationSequence": [injection(**changes.pop("injection", {}))],
        **changes,
    }


def pet_series(*, scale: float = 1.0, slices: int = 12, size: int = 24, **changes: Any) -> list[FileDataset]:
    """A PET series, each slice with a slope of its own; values are Bq/ml times `scale`.

    The stored value of water is a whole number in every slice, so that nothing is lost by rounding.
    """
    stack = {"rows": size, "columns": size, "spacing": (2.0, 2.0), "step_mm": 2.0, "tilt_deg": 0.0}
    levels = tuple(WATER_BQML * scale * each for each in (0.0, 1.0, ROD))
    slopes = [levels[1] / (100 + 10 * (index % 7)) for index in range(slices)]
    return data._series(
        "pt", PositronEmissionTomographyImageStorage, slices=slices, stack=stack, levels=levels,
        attributes={"Modality": "PT", **attributes(**changes)}, slopes=slopes, intercept=0.0, bits_stored=16,
    )  # fmt: skip
