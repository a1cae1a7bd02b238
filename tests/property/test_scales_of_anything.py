"""Whatever a header holds, uptake values and MR scales end in a number or in a reason, never in an error."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.triage.mr_scales import MrScales
from handlers.triage.suv_inputs import SuvInputs
from handlers.uptake import KINDS, uptake
from handlers.value_scales import quantitative_maps, scales
from triage_cases import header, series, volume

NUMBERS = (
    st.none()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, 1e-300, 1e300, -1.0, 75.0])
)
TIMES = st.none() | st.sampled_from(
    ["", "000000", "09", "0900", "090000", "25:00:00", "235960.5", "noon", "090000.123456"]
)
DATES = st.none() | st.sampled_from(
    ["", "20240502", "00010101", "99991231", "2024.05.02", "20241301", "today"]
)
MOMENTS = st.none() | st.sampled_from(
    [
        "",
        "00010101000000",
        "99991231235959+1400",
        "20240502090000-1200",
        "20240502090000.5+0000",
        "2024",
        "20240502",
    ]
)
SOURCES = st.fixed_dictionaries({
    "RadionuclideTotalDose": NUMBERS, "RadionuclideHalfLife": NUMBERS, "RadiopharmaceuticalStartTime": TIMES,
    "RadiopharmaceuticalStartDateTime": MOMENTS,
})  # fmt: skip
PET = st.fixed_dictionaries({
    "Units": st.sampled_from(["BQML", "CNTS", "GML", "CM2ML", "", None]), "SUVType": st.sampled_from(["BW", "BSA", "LBM", None]),
    "DecayCorrection": st.sampled_from(["START", "ADMIN", "NONE", None]), "CorrectedImage": st.just(["ATTN", "DECY"]),
    "PatientWeight": NUMBERS, "PatientSize": NUMBERS, "PatientSex": st.sampled_from(["M", "F", "O", None]),
    "SeriesDate": DATES, "SeriesTime": TIMES, "AcquisitionDate": DATES, "AcquisitionTime": TIMES,
    "DecayCorrectionDateTime": MOMENTS, "FrameReferenceTime": NUMBERS, "ActualFrameDuration": NUMBERS,
    "TimezoneOffsetFromUTC": st.sampled_from([None, "+0200", "-9999", "zone"]),
    "RadiopharmaceuticalInformationSequence": st.lists(SOURCES.map(header), max_size=2),
})  # fmt: skip
MAPS = st.fixed_dictionaries({
    "RealWorldValueSlope": NUMBERS, "RealWorldValueIntercept": NUMBERS,
    "DoubleFloatRealWorldValueFirstValueMapped": NUMBERS, "DoubleFloatRealWorldValueLastValueMapped": NUMBERS,
    "RealWorldValueLUTData": st.none() | st.lists(st.floats(-1e6, 1e6), max_size=4),
    "MeasurementUnitsCodeSequence": st.lists(
        st.sampled_from(["1", "ms", "{x}"]).map(lambda code: header({"CodeValue": code, "CodingSchemeDesignator": "UCUM"})), max_size=1
    ),
})  # fmt: skip


@settings(deadline=None)
@given(PET, st.sampled_from(KINDS))
def test_an_uptake_value_has_a_factor_or_a_reason(attributes, kind):
    made = volume("PT", slices=2, **attributes)
    found = uptake(made.frames, kind)
    assert (found.factor is None) == bool(found.missing)
    assert found.factor is None or found.factor >= 0 or math.isinf(found.factor)
    SuvInputs(kind)(series(made))


@settings(deadline=None)
@given(st.lists(MAPS.map(header), max_size=3), st.sampled_from([0, 1, None]))
def test_maps_of_real_units_never_overlap(items, sign):
    made = volume("MR", slices=2, RealWorldValueMappingSequence=items, PixelRepresentation=sign)
    MrScales("quantitative")(series(made))
    scales(made.frames[0])
    maps = quantitative_maps(made.frames[0])
    assert len({each.units for each in maps}) <= 1
    for index, each in enumerate(maps):
        assert all(each.last < other.first or other.last < each.first for other in maps[index + 1 :])
