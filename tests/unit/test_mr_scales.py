"""MR values: displayed, in real-world units, and in the scale of Philips, each known from construction."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import data
from handlers.api import Recipe
from handlers.errors import VolumeError
from handlers.model import Frame, Severity, Verdict
from handlers.normalization.pipeline import to_modality_units
from handlers.preprocess import preprocess
from handlers.reading import series_from_files
from handlers.triage.mr_scales import MrScales
from handlers.value_scales import quantitative_kind, real_world_maps, scales
from handmade import built
from triage_cases import codes, header, only, series, volume

SMALL = {"slices": 3, "rows": 16, "columns": 16}
QUANTITATIVE = Recipe(mr_values="quantitative")


def units(code, scheme="UCUM"):
    return Sequence([header({"CodeValue": code, "CodingSchemeDesignator": scheme, "CodeMeaning": "units"})])


def linear(slope, intercept=0.0, code="ms", first=0, last=4095, **more):
    return header({
        "RealWorldValueSlope": slope, "RealWorldValueIntercept": intercept, "MeasurementUnitsCodeSequence": units(code),
        "RealWorldValueFirstValueMapped": first, "RealWorldValueLastValueMapped": last, **more,
    })  # fmt: skip


def table(values, first, code="ms"):
    return header({
        "RealWorldValueLUTData": list(values), "MeasurementUnitsCodeSequence": units(code),
        "RealWorldValueFirstValueMapped": first, "RealWorldValueLastValueMapped": first + len(values) - 1,
    })  # fmt: skip


def mapped(*items):
    return {"RealWorldValueMappingSequence": Sequence(items)}


def philips(dataset, slope, intercept=0.0):
    block = dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0D, "FL", intercept)
    block.add_new(0x0E, "FL", slope)


def files(stored, folder, **attributes):
    """Three slices that hold the given stored values, each value in a column of its own."""
    made = data.mr_series(**SMALL, bits_stored=16, **attributes)
    row = np.resize(np.asarray(stored, "<u2"), 16)
    for dataset in made:
        dataset.PixelData = np.tile(row, (16, 1)).tobytes()
    return built(made, folder), row


def step_of(result):
    return next(step for step in result.steps if step.name == "modality_transform").parameters


def test_the_displayed_values_are_the_default(tmp_path):
    subject, row = files([0, 100, 4095], tmp_path, slope=2.0, intercept=1.0, **mapped(linear(0.5)))
    result = to_modality_units(subject)
    assert np.array_equal(result.values[0, 0], row * 2.0 + 1.0)
    assert result.units == "1"
    assert step_of(result)["mr_values"] == "displayed"
    assert step_of(result)["scales"]["real_world"] == [
        {"first": 0, "last": 4095, "units": "ms", "slope": 0.5, "intercept": 0.0}
    ]


def test_real_world_values_come_from_stored_values_not_from_displayed_ones(tmp_path):
    subject, row = files([0, 100, 4095], tmp_path, slope=2.0, intercept=1.0, **mapped(linear(0.5, 3.0)))
    result = to_modality_units(subject, QUANTITATIVE)
    assert np.array_equal(result.values[0, 0], row * 0.5 + 3.0)
    assert (result.units, result.values.dtype) == ("ms", np.float32)
    assert step_of(result)["mr_values"] == "real-world"


@pytest.mark.parametrize("code", ["1", "", "{counts}", "no units"])
def test_a_map_without_real_units_is_not_taken(tmp_path, code):
    subject, row = files([0, 100], tmp_path, slope=2.0, intercept=0.0, **mapped(linear(0.5, code=code)))
    result = to_modality_units(subject, QUANTITATIVE)
    assert np.array_equal(result.values[0, 0], row * 2.0)
    assert step_of(result)["mr_values"] == "displayed"


def test_units_of_another_scheme_are_not_ucum():
    item = linear(0.5)
    item.MeasurementUnitsCodeSequence = units("ms", scheme="99LOCAL")
    assert not real_world_maps(volume("MR", **mapped(item)).frames[0])[0].has_real_units


def test_of_several_maps_the_first_with_real_units_is_taken(tmp_path):
    items = (linear(2.0, code="1"), linear(0.5, code="ms"), linear(7.0, code="um2/s"))
    subject, row = files([0, 100], tmp_path, **mapped(*items))
    result = to_modality_units(subject, QUANTITATIVE)
    assert result.units == "ms"
    assert np.array_equal(result.values[0, 0], row * 0.5)


def test_maps_of_one_unit_over_other_ranges_belong_together(tmp_path):
    items = (linear(1.0, 0.0, first=0, last=99), linear(2.0, -100.0, first=100, last=4095))
    subject, _ = files([50, 99, 100, 200], tmp_path, **mapped(*items))
    result = to_modality_units(subject, QUANTITATIVE)
    assert result.values[0, 0, :4].tolist() == [50.0, 99.0, 100.0, 300.0]


def test_a_second_map_over_the_same_range_is_not_mixed_in(tmp_path):
    subject, row = files([50, 200], tmp_path, **mapped(linear(1.0), linear(9.0)))
    assert np.array_equal(to_modality_units(subject, QUANTITATIVE).values[0, 0], row)


def test_a_table_gives_the_value_of_each_entry(tmp_path):
    subject, _ = files([10, 11, 13], tmp_path, **mapped(table([5.5, 7.25, -1.0, 100.0], first=10)))
    result = to_modality_units(subject, QUANTITATIVE)
    assert result.values[0, 0, :3].tolist() == [5.5, 7.25, 100.0]


def test_a_table_whose_length_contradicts_its_range_is_not_used():
    broken = table([1.0, 2.0], first=10)
    broken.RealWorldValueLastValueMapped = 99
    assert real_world_maps(volume("MR", **mapped(broken)).frames[0]) == ()


def test_values_that_no_map_covers_refuse_the_volume(tmp_path):
    subject, _ = files([10, 5000], tmp_path, **mapped(linear(0.5, last=4095)))
    with pytest.raises(VolumeError, match="does not cover") as raised:
        to_modality_units(subject, QUANTITATIVE)
    assert raised.value.code == "RSC-003"


def test_padding_need_not_be_covered(tmp_path):
    subject, _ = files([10, 5000], tmp_path, PixelPaddingValue=5000, **mapped(linear(0.5, last=4095)))
    result = to_modality_units(subject, QUANTITATIVE)
    assert result.values[0, 0, :2].tolist() == [5.0, 0.0]


def test_bounds_are_read_as_the_pixels_are_signed():
    signed = volume("MR", PixelRepresentation=1, **mapped(linear(1.0, first=65535, last=10)))
    found = real_world_maps(signed.frames[0])[0]
    assert (found.first, found.last) == (-1, 10)


def test_a_map_without_bounds_covers_everything():
    item = linear(1.0)
    del item.RealWorldValueFirstValueMapped, item.RealWorldValueLastValueMapped
    found = real_world_maps(volume("MR", **mapped(item)).frames[0])[0]
    assert (found.first, found.last) == (-math.inf, math.inf)
    assert found.record["last"] is None


def test_the_scale_of_philips_gives_back_the_signal(tmp_path):
    # The scanner had a signal of 0, 250 and 500; it stored SV = FP * SS, and displays DV = SV * RS.
    signal, scale_slope, rescale_slope = np.array([0.0, 250.0, 500.0]), 4.0, 0.7
    made = data.mr_series(**SMALL, bits_stored=16, slope=rescale_slope, intercept=0.0)
    for dataset in made:
        row = np.resize(np.rint(signal * scale_slope).astype("<u2"), 16)
        dataset.PixelData = np.tile(row, (16, 1)).tobytes()
        philips(dataset, scale_slope)
    result = to_modality_units(built(made, tmp_path), QUANTITATIVE)
    assert result.values[0, 0, :3].tolist() == pytest.approx(signal.tolist())
    told = step_of(result)
    assert told["mr_values"] == "floating-point"
    assert told["scales"]["philips"] == {"scale_slope": 4.0, "scale_intercept": 0.0}
    assert (told["RescaleSlope"], result.units) == (0.25, "1")


def test_the_scale_of_philips_follows_its_formula_with_an_intercept(tmp_path):
    # FP = DV / (RS * SS): DV = 100 * 2 - 8 = 192, so FP = 192 / (2 * 0.25) = 384
    made = data.mr_series(**SMALL, bits_stored=16, slope=2.0, intercept=-8.0)
    for dataset in made:
        dataset.PixelData = np.full((16, 16), 100, "<u2").tobytes()
        philips(dataset, 0.25)
    assert float(to_modality_units(built(made, tmp_path), QUANTITATIVE).values[0, 0, 0]) == pytest.approx(
        384.0
    )


def test_each_slice_has_its_own_scale_of_philips(tmp_path):
    made = data.mr_series(**SMALL, bits_stored=16, slope=2.0, intercept=0.0)
    for dataset, slope in zip(made, (1.0, 2.0, 4.0), strict=True):
        dataset.PixelData = np.full((16, 16), 100, "<u2").tobytes()
        philips(dataset, slope)
    result = to_modality_units(built(made, tmp_path), QUANTITATIVE)
    assert result.values[:, 0, 0].tolist() == [100.0, 50.0, 25.0]
    assert step_of(result)["scales"]["philips"]["scale_slope"] == [1.0, 2.0, 4.0]


def test_the_scale_of_philips_in_the_groups_of_an_enhanced_object(tmp_path):
    dataset = data.enhanced_mr(slices=4, rows=16, columns=16, slopes=(1.0, 2.0, 4.0, 0.5))
    for group, slope in zip(dataset.PerFrameFunctionalGroupsSequence, (1.0, 0.5, 0.25, 2.0), strict=True):
        nested = Dataset()
        philips(nested, slope)
        block = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
        block.add_new(0x0F, "SQ", Sequence([nested]))
    # DV is 1200 at most in every frame; RS * SS is 1 in every frame, so FP is DV
    subject = built([dataset], tmp_path)
    result = to_modality_units(subject, QUANTITATIVE)
    assert step_of(result)["mr_values"] == "floating-point"
    assert np.array_equal(result.values, to_modality_units(subject).values)


def test_real_units_win_over_the_scale_of_philips(tmp_path):
    made = data.mr_series(**SMALL, bits_stored=16, **mapped(linear(0.5)))
    for dataset in made:
        philips(dataset, 4.0)
    assert to_modality_units(built(made, tmp_path), QUANTITATIVE).units == "ms"


def test_a_scale_that_some_frames_lack_is_none(tmp_path):
    made = data.mr_series(**SMALL, slope=1.0, intercept=0.0)
    philips(made[0], 4.0)
    assert step_of(to_modality_units(built(made, tmp_path), QUANTITATIVE))["mr_values"] == "displayed"


def test_only_mr_is_asked_for_quantitative_values(tmp_path):
    result = to_modality_units(built(data.ct_series(**SMALL, **mapped(linear(0.5))), tmp_path), QUANTITATIVE)
    assert result.units == "[hnsf'U]"
    assert "mr_values" not in step_of(result)


def test_the_constants_are_in_the_sidecar(tmp_path):
    made = data.mr_series(slices=12, rows=16, columns=16, slope=0.5, intercept=0.0)
    for dataset in made:
        philips(dataset, 4.0)
    (found,), _ = series_from_files(data.write(made, tmp_path / "in"))
    outcome = preprocess(found, tmp_path / "out", QUANTITATIVE)
    assert outcome.verdict in (Verdict.ACCEPT, Verdict.ACCEPT_WARN)
    sidecar = json.loads((tmp_path / "out" / "v0.json").read_text("utf-8"))
    told = next(step for step in sidecar["node"]["steps"] if step["name"] == "modality_transform")[
        "parameters"
    ]
    assert told["mr_values"] == "floating-point"
    assert told["scales"]["philips"]["scale_slope"] == 4.0


def judged(subject, mr_values="displayed"):
    return MrScales(mr_values)(series(subject))


def scaled(**more):
    return volume("MR", RescaleSlope=2.0, RescaleIntercept=0.0, **more)


def test_several_scales_are_noted_with_their_constants():
    finding = only(judged(scaled(**mapped(linear(2.0, code="1")))))
    assert (finding.code, finding.severity) == ("MRS-001", Severity.INFO)
    assert finding.evidence["rescale"] == {"RescaleSlope": 2.0, "RescaleIntercept": 0.0}
    assert finding.evidence["real_world"][0]["slope"] == 2.0


def test_the_scale_of_philips_is_one_of_several():
    made = scaled()
    for each in made.instances:
        philips(each.header, 4.0)
    assert codes(judged(made)) == ["MRS-001"]


@pytest.mark.parametrize("made", [scaled(), volume("MR"), volume("MR", **mapped(linear(1.0)))])
def test_one_scale_or_none_is_not_noted(made):
    assert judged(made) == []


def test_slopes_that_differ_between_frames_are_noted():
    finding = only(judged(volume("MR", RescaleSlope=lambda k: 1.0 + k, RescaleIntercept=0.0)))
    assert (finding.code, finding.severity) == ("MRS-002", Severity.INFO)
    assert finding.evidence["RescaleSlope"] == {"values": 20, "lowest": 1.0, "highest": 20.0}


def test_only_mr_is_judged():
    made = volume("CT", RescaleSlope=lambda k: 1.0 + k)
    assert judged(made, "quantitative") == []


def test_the_absence_of_a_quantitative_scale_is_told_where_it_is_wanted():
    finding = only(judged(scaled(), "quantitative"))
    assert (finding.code, finding.severity) == ("MRS-004", Severity.WARN)
    assert judged(volume("MR", **mapped(linear(1.0))), "quantitative") == []


def test_malformed_constants_are_no_scale():
    broken = volume("MR", **mapped(header({"RealWorldValueSlope": 0.0, "RealWorldValueIntercept": 0.0})))
    assert scales(broken.frames[0]) == {}
    assert quantitative_kind((Frame(broken.instances[0]),)) == ""
