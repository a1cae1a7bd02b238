"""What the rules hold, and a policy or a person lets pass: its geometry must be right, or it stays held."""

import numpy as np
import pytest

import data
from handlers.api import Recipe
from handlers.model import Verdict
from runs import expected_hu, process

RELEASED = Recipe(release=True)
HOLE_ACCEPTED = Recipe(policy={"GEO-005": Verdict.ACCEPT})
UNEVEN_ACCEPTED = Recipe(policy={"GEO-006": Verdict.ACCEPT_WARN})
UNEVEN_MM = np.cumsum([0.0, 2.0, 2.7, 1.3, 2.0, 2.7, 1.3, 2.0, 2.0, 2.7, 1.3, 2.0]) - 11.0


def uneven():
    corner = ["-15.75", "-15.75"]
    return data.ct_series(slices=12, ImagePositionPatient=lambda k: [*corner, f"{UNEVEN_MM[k]:.3f}"])


@pytest.mark.parametrize("recipe", [RELEASED, HOLE_ACCEPTED])
@pytest.mark.parametrize("missing", [(5,), (4, 5), (3, 8)])
def test_measured_slices_stay_where_they_were_measured_when_a_hole_is_accepted(tmp_path, recipe, missing):
    result = process(data.ct_series(slices=12, missing=missing), tmp_path, recipe)
    (volume,) = result.accepted
    assert volume["shape"] == [64, 64, 12]
    assert volume["missing_slices"] == len(missing)
    assert len(volume["sop_instance_uids"]) == 12 - len(missing)
    assert {"GEO-005", "NRM-GAP-001"} <= result.codes
    measured = [k for k in range(12) if k not in missing]
    values, expected = result.values(volume), expected_hu(result.points(volume))
    np.testing.assert_array_equal(values[measured], expected[measured])
    mask = result.values({"file": volume["companions"]["interpolated"]})
    assert np.unique(mask[measured]).tolist() == [0]
    assert np.unique(mask[list(missing)]).tolist() == [1]


@pytest.mark.parametrize("recipe", [RELEASED, UNEVEN_ACCEPTED])
def test_uneven_slices_that_are_accepted_come_to_lie_where_they_were_measured(tmp_path, recipe):
    result = process(uneven(), tmp_path, recipe)
    (volume,) = result.accepted
    assert "NRM-GAP-001" in result.codes
    first, last = result.points(volume)[[0, -1], 0, 0, 2]
    assert first == pytest.approx(UNEVEN_MM[0], abs=1e-4)
    assert UNEVEN_MM[-1] - 1.3 < last <= UNEVEN_MM[-1] + 1e-4


@pytest.mark.parametrize("recipe", [RELEASED, Recipe(policy={"SPL-003": Verdict.ACCEPT_WARN})])
def test_two_images_of_one_place_make_no_volume_whoever_lets_them_pass(tmp_path, recipe):
    result = process(data.ct_series(slices=12, duplicate=7, duplicate_differs=True), tmp_path, recipe)
    (volume,) = result.report["volumes"]
    assert volume["verdict"] == "QUARANTINE"
    assert result.report["verdict"] == "QUARANTINE"
    assert "file" not in volume
    assert list(result.folder.glob("*.nii.gz")) == []


def test_a_step_that_cannot_be_done_holds_the_volume_whatever_the_policy_says(tmp_path):
    too_fine = {"spacing_mm": (0.001, 0.001, 0.001), "policy": {"NRM-RES-003": Verdict.ACCEPT}}
    result = process(data.ct_series(slices=12), tmp_path, Recipe(**too_fine))
    (volume,) = result.report["volumes"]
    assert volume["verdict"] == "QUARANTINE"
    assert "file" not in volume


def test_pixels_that_cannot_be_decoded_are_no_volume_whatever_the_policy_says(tmp_path):
    recipe = Recipe(policy={"ING-004": Verdict.ACCEPT})
    datasets = data.ct_series(slices=12)
    datasets[3].PixelData = datasets[3].PixelData[:-512]
    result = process(datasets, tmp_path, recipe)
    (volume,) = result.report["volumes"]
    assert volume["verdict"] == "QUARANTINE"
    assert "file" not in volume
