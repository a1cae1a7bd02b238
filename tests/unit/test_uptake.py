"""Uptake values of PET against bodies of known uptake, every route to them, and every reason to refuse."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from handlers.api import Recipe
from handlers.body_size import BodySize, lean_mass_kg, surface_m2
from handlers.model import Severity, Verdict
from handlers.normalization.pipeline import to_modality_units
from handlers.preprocess import preprocess
from handlers.reading import series_from_files
from handlers.triage.suv_inputs import SuvInputs
from handlers.uptake import uptake
from handmade import built
from pets import DOSE_BQ, HALF_LIFE_S, LEFT_BQ, ROD, WATER_BQML, WEIGHT_KG, attributes, injection, pet_series
from triage_cases import codes, only, series, volume

WATER_SUV = 1.0  # the activity that is left, spread over the weight
# By hand: body mass index 80 / 1.8^2 = 24.6914; 9270 * 80 / (6680 + 216 * 24.6914) = 61.7314 kg.
LEAN_SHARE = 61.7314 / 80
# By logarithms: 0.007184 * 80^0.425 * 180^0.725 = 1.99642 m2; per gram of body 19964.2 / 80000 cm2.
SURFACE_SHARE = 19964.2 / 80000


def made(tmp_path, kind, **changes):
    return to_modality_units(built(pet_series(**changes), tmp_path), Recipe(suv=kind))


def water_of(result):
    """The value of most voxels that are not air."""
    values, counts = np.unique(np.round(result.values[result.values > 0], 7), return_counts=True)
    return float(values[np.argmax(counts)])


def header_only(**changes):
    return volume("PT", slices=12, **attributes(**changes))


def factor(kind="bw", **changes):
    return uptake(header_only(**changes).frames, kind).factor


def judged(kind="none", **changes):
    return SuvInputs(kind)(series(header_only(**changes)))


def missing(kind="none", **changes):
    return only(judged(kind, **changes), "PET-001").evidence["missing"]


@pytest.mark.parametrize(
    ("kind", "units", "water"),
    [
        ("bw", "g/ml{SUVbw}", WATER_SUV),
        ("lbm", "g/ml{SUVlbm(Janma)}", LEAN_SHARE),
        ("bsa", "cm2/ml{SUVbsa}", SURFACE_SHARE),
    ],
)
def test_a_body_of_known_uptake_has_it(tmp_path, kind, units, water):
    result = made(tmp_path, kind)
    assert result.units == units
    assert result.values.dtype == np.float32
    assert water_of(result) == pytest.approx(water, rel=1e-5)
    assert float(result.values.max()) == pytest.approx(ROD * water, rel=1e-5)
    assert result.measured["max"] == pytest.approx(ROD * water, rel=1e-5)


def test_without_a_wish_for_it_values_stay_becquerels(tmp_path):
    result = made(tmp_path, "none")
    assert (result.units, water_of(result)) == ("Bq/ml", WATER_BQML)
    assert "uptake_value" not in [step.name for step in result.steps]


def test_without_the_inputs_values_stay_becquerels(tmp_path):
    result = made(tmp_path, "bw", PatientWeight=None)
    assert (result.units, water_of(result)) == ("Bq/ml", WATER_BQML)
    step = next(step for step in result.steps if step.name == "uptake_value")
    assert step.parameters == {"suv": "none", "missing": ["PatientWeight"]}


def test_the_record_tells_what_it_rests_on_and_nothing_of_the_patient(tmp_path):
    step = next(step for step in made(tmp_path, "lbm").steps if step.name == "uptake_value")
    assert step.parameters["formula"] == "Janmahasatian 2005"
    assert step.parameters["decay_s"] == 2 * HALF_LIFE_S
    assert (step.parameters["scan_time_source"], step.parameters["route"]) == ("SeriesTime", "Bq/ml")
    told = json.dumps(step.parameters)
    assert not any(secret in told for secret in ("20240502", "122000", "090000", "320000000"))


def test_a_volume_with_uptake_values_is_written_with_its_units(tmp_path):
    from data import write

    (found,), _ = series_from_files(write(pet_series(), tmp_path / "in"))
    outcome = preprocess(found, tmp_path / "out", Recipe(suv="bw"))
    assert outcome.verdict in (Verdict.ACCEPT, Verdict.ACCEPT_WARN)
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["volumes"][0]["units"] == "g/ml{SUVbw}"
    assert report["volumes"][0]["statistics"]["max"] == pytest.approx(ROD, rel=1e-5)


def test_decay_corrected_to_the_injection_needs_no_time():
    # all the dose counts, not what is left of it
    assert factor(DecayCorrection="ADMIN") == pytest.approx(1000 * WEIGHT_KG / DOSE_BQ)
    assert (
        factor(DecayCorrection="ADMIN", SeriesTime=None, injection={"RadiopharmaceuticalStartTime": None})
        is not None
    )


EXPECTED = 1000 * WEIGHT_KG / LEFT_BQ


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({}, "SeriesTime"),
        # the series was made anew, a day later; GE keeps the moment
        ({"SeriesDate": "20240503"}, "GEMS_PETD_01 (0009,xx0D)"),
        ({"SeriesTime": None}, "GEMS_PETD_01 (0009,xx0D)"),
        ({"SeriesTime": None, "DecayCorrectionDateTime": "20240502122000"}, "DecayCorrectionDateTime"),
        # later bed positions and time slots are corrected to the start of the series too
        ({"AcquisitionTime": "125000"}, "SeriesTime"),
    ],
)
def test_the_moment_of_the_decay_correction(changes, source):
    subject = header_only(**changes)
    if "GEMS" in source:
        for each in subject.instances:
            block = each.header.private_block(0x0009, "GEMS_PETD_01", create=True)
            block.add_new(0x0D, "DT", "20240502122000.00")
    found = uptake(subject.frames, "bw")
    assert found.decay.scan_source == source
    assert found.factor == pytest.approx(EXPECTED)


def test_the_moment_is_computed_from_the_frame_reference_time():
    # A frame so short that its mean count rate is that of its middle: the frame begins at 12:50:00, its middle
    # is 30 min 1 s after the moment wanted, so that this was 12:20:00.
    found = uptake(
        header_only(SeriesTime=None, AcquisitionTime="125000", FrameReferenceTime=1801000, ActualFrameDuration=2000).frames, "bw"
    )  # fmt: skip
    assert found.decay.scan_source == "FrameReferenceTime"
    assert found.decay.seconds == pytest.approx(2 * HALF_LIFE_S, abs=0.01)
    assert found.factor == pytest.approx(EXPECTED, rel=1e-5)


def test_a_long_frame_has_its_mean_rate_before_its_middle():
    # over 2 half-lives the mean of 2^-x is 3 / (8 ln 2), which is reached after log2(8 ln 2 / 3) half-lives
    duration = 2 * HALF_LIFE_S
    after = math.log2(8 * math.log(2) / 3) * HALF_LIFE_S
    found = uptake(
        header_only(
            SeriesTime=None, FrameReferenceTime=1000 * after, ActualFrameDuration=1000 * duration
        ).frames,
        "bw",
    )
    assert found.decay.seconds == pytest.approx(2 * HALF_LIFE_S, abs=0.01)


@pytest.mark.parametrize(
    "injected",
    [
        {"RadiopharmaceuticalStartDateTime": "20240502090000.00"},
        {"RadiopharmaceuticalStartDateTime": "20240502090000", "RadiopharmaceuticalStartTime": "080000"},
        {"RadiopharmaceuticalStartTime": "09:00:00"},
        {"RadiopharmaceuticalStartTime": "0900"},
        {"RadiopharmaceuticalStartTime": "090000.000000"},
    ],
)
def test_the_time_of_the_injection_is_read_as_it_comes(injected):
    assert factor(injection=injected) == pytest.approx(EXPECTED)


def test_an_offset_from_utc_counts_where_both_are_known():
    start = {"RadiopharmaceuticalStartDateTime": "20240502070000+0000"}
    assert factor(injection=start, TimezoneOffsetFromUTC="+0200") == pytest.approx(EXPECTED)


def test_an_injection_before_midnight_was_the_day_before():
    late = {
        "SeriesTime": "005000",
        "AcquisitionTime": "005000",
        "injection": {"RadiopharmaceuticalStartTime": "213000"},
    }
    assert factor(**late) == pytest.approx(EXPECTED)  # 200 minutes
    assert judged(**late) == []


@pytest.mark.parametrize(("suv_type", "kind", "expected"), [
    (None, "bw", 1.0), ("BW", "bw", 1.0), ("BW", "lbm", LEAN_SHARE), ("LBMJANMA", "lbm", 1.0), ("LBMJANMA", "bw", 1 / LEAN_SHARE),
    ("BSA", "bsa", 1.0), ("BW", "bsa", SURFACE_SHARE),
])  # fmt: skip
def test_an_uptake_value_is_converted_by_the_body_alone(suv_type, kind, expected):
    told = {} if suv_type is None else {"SUVType": suv_type}
    found = factor(
        kind, Units="GML", CorrectedImage=None, RadiopharmaceuticalInformationSequence=None, **told
    )
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("suv_type", ["LBM", "IBW", "LBMJAMES128"])
def test_an_uptake_value_of_another_formula_is_not_converted(suv_type):
    assert missing("bw", Units="GML", SUVType=suv_type) == [f"a formula for SUVType {suv_type}"]


def test_square_centimetres_are_an_uptake_value_by_surface():
    assert factor("bsa", Units="CM2ML") == 1.0
    assert factor("bw", Units="CM2ML") == pytest.approx(1 / SURFACE_SHARE, rel=1e-5)


def philips(offsets, **changes):
    subject = header_only(Units="CNTS", **changes)
    for each in subject.instances:
        block = each.header.private_block(0x7053, "Philips PET Private Group", create=True)
        for offset, value in offsets.items():
            block.add_new(offset, "DS", value)
    return subject


def test_the_factor_of_philips_makes_counts_an_uptake_value():
    assert uptake(philips({0x00: "0.000551", 0x09: "1.5"}).frames, "bw").factor == pytest.approx(0.000551)
    lean = uptake(philips({0x00: "0.000551"}).frames, "lbm").factor
    assert lean == pytest.approx(0.000551 * LEAN_SHARE, rel=1e-5)


def test_the_other_factor_of_philips_makes_counts_becquerels():
    found = uptake(philips({0x00: "0", 0x09: "1.5"}).frames, "bw")
    assert found.factor == pytest.approx(1.5 * EXPECTED)
    assert found.route == "Philips PET Private Group (7053,xx09)"


def test_counts_without_a_factor_are_refused():
    assert missing(Units="CNTS") == ["Units BQML"]
    assert SuvInputs()(series(philips({0x09: "1.5"}))) == []


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"SeriesTime": None, "AcquisitionTime": None}, ["scan time"]),
        ({"SeriesDate": "20240503"}, ["scan time"]),
        ({"injection": {"RadiopharmaceuticalStartTime": None}}, ["RadiopharmaceuticalStartTime"]),
        ({"injection": {"RadionuclideHalfLife": None}}, ["RadionuclideHalfLife"]),
        ({"RadiopharmaceuticalInformationSequence": None}, ["RadionuclideTotalDose", "RadionuclideHalfLife"]),
        ({"RadiopharmaceuticalInformationSequence": [injection(), injection()]}, ["one radiopharmaceutical", "RadionuclideTotalDose", "RadionuclideHalfLife"]),
        ({"DecayCorrection": "NONE"}, ["DecayCorrection"]),
        ({"CorrectedImage": ["DECY"]}, ["CorrectedImage ATTN"]),
        ({"CorrectedImage": ["ATTN"]}, ["CorrectedImage DECY"]),
        ({"Units": "PROPCPS"}, ["Units BQML"]),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(changes, names):
    finding = only(judged(**changes))
    assert (finding.code, finding.severity) == ("PET-001", Severity.WARN)
    assert finding.evidence["missing"] == names
    assert factor(**changes) is None


@pytest.mark.parametrize(
    ("kind", "changes", "name"),
    [
        ("lbm", {"PatientSex": "O"}, "PatientSex"),
        ("lbm", {"PatientSize": None}, "PatientSize"),
        ("bsa", {"PatientSize": None}, "PatientSize"),
    ],
)
def test_each_kind_needs_its_own_size_of_the_body(kind, changes, name):
    assert missing(kind, **changes) == [name]
    assert judged("bw", **changes) == []


def test_complete_inputs_give_no_finding():
    assert [judged(kind) for kind in ("none", "bw", "lbm", "bsa")] == [[]] * 4


@pytest.mark.parametrize(
    "changes",
    [
        {"injection": {"RadiopharmaceuticalStartTime": "122500"}},  # after the scan
        {"injection": {"RadiopharmaceuticalStartDateTime": "20240502130000"}},
        {"injection": {"RadiopharmaceuticalStartDateTime": "20240430090000"}},  # 30 half-lives before
    ],
)
def test_an_impossible_time_is_held_and_gives_no_uptake_value(changes):
    found = judged(**changes)
    assert codes(found) == ["PET-001", "PET-002"]
    assert only(found, "PET-002").severity is Severity.REVIEW
    assert factor(**changes) is None


def test_no_uptake_at_all_is_held_unless_the_scan_is_dynamic():
    same = {"RadiopharmaceuticalStartTime": "122000"}
    assert codes(judged(injection=same)) == ["PET-002"]
    assert judged(injection=same, SeriesType=["DYNAMIC", "IMAGE"]) == []


@pytest.mark.parametrize("weight", [12, 0.08, 700])
def test_a_weight_that_few_have_is_held(weight):
    finding = only(judged(PatientWeight=weight))
    assert (finding.code, finding.severity) == ("PET-002", Severity.REVIEW)


def test_what_never_becomes_an_uptake_value_is_not_held_for_its_times():
    apart = {"RadiopharmaceuticalStartDateTime": "20240430090000"}
    assert codes(judged(Units="PROPCPS", injection=apart)) == ["PET-001"]


@pytest.mark.parametrize("weight", [20, 80, 180])
def test_a_weight_that_people_have_is_not(weight):
    assert judged(PatientWeight=weight) == []


def test_a_size_in_centimetres_is_held_where_it_counts():
    assert codes(judged("bsa", PatientSize=180)) == ["PET-002"]
    assert judged("bw", PatientSize=180) == []


MIDNIGHT = {
    "SeriesTime": "000000",
    "AcquisitionTime": "000000",
    "injection": {"RadiopharmaceuticalStartTime": "000000"},
}


def test_times_set_to_midnight_give_no_uptake_value():
    found = judged(**MIDNIGHT)
    assert codes(found) == ["PET-001", "PET-003"]
    assert factor(**MIDNIGHT) is None


@pytest.mark.parametrize("mark", [{"PatientIdentityRemoved": "YES"}, {"DeidentificationMethod": "by hand"}])
@pytest.mark.parametrize(
    "changes",
    [{"injection": {"RadiopharmaceuticalStartTime": None}}, {"SeriesTime": None, "AcquisitionTime": None}],
)
def test_times_that_a_deidentification_removed_are_told(mark, changes):
    finding = only(judged(**mark, **changes), "PET-003")
    assert (finding.severity, finding.evidence["times"]) == (Severity.WARN, "removed")
    assert "PET-003" not in codes(judged(**changes))


def test_dates_that_a_deidentification_moved_apart_are_told():
    moved = {
        "injection": {"RadiopharmaceuticalStartDateTime": "20170502090000"},
        "PatientIdentityRemoved": "YES",
    }
    assert only(judged(**moved), "PET-003").evidence["times"] == "moved apart"


def test_a_deidentified_series_that_kept_its_times_is_as_good_as_any():
    assert judged(PatientIdentityRemoved="YES") == []


def test_lean_mass_grows_with_weight_also_in_obesity():
    # the formula of James falls from about 120 kg on (1.60 m, woman)
    masses = [lean_mass_kg(weight, 1.6, is_male=False) for weight in (60, 90, 120, 150, 180)]
    assert masses == sorted(masses)
    # by hand: 9270 * 60 / (8780 + 244 * 60 / 2.56) = 38.36 kg
    assert masses[0] == pytest.approx(38.36, abs=0.01)


def test_the_surface_of_a_known_body():
    # Du Bois: 70 kg and 170 cm are 1.81 m2
    assert surface_m2(70, 1.70) == pytest.approx(1.81, abs=0.005)


def test_a_body_without_a_weight_has_no_reference():
    with pytest.raises(ValueError, match="PatientWeight"):
        BodySize(None).reference("bw")


@pytest.mark.parametrize("size_m", [0.01, 1e4, 1e154, 1e308, float("inf"), float("nan")])
def test_a_size_of_nobody_is_not_known(size_m):
    with pytest.raises(ValueError, match=r"^PatientSize: not known"):
        BodySize(70, size_m, "M").reference("lbm")
    assert BodySize(70, size_m).reference("bw") == 70_000


@pytest.mark.parametrize("weight_kg", [0.01, 1e4, 1e308, float("inf"), float("nan")])
def test_a_weight_of_nobody_is_not_known(weight_kg):
    with pytest.raises(ValueError, match=r"^PatientWeight: not known"):
        BodySize(weight_kg, 1.7).reference("bsa")
