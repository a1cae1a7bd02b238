"""From files to report: what a profile, the other series of a study and the outputs know of mammograms and cines."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForProcessing,
    XRayAngiographicImageStorage,
)

import data
from handlers.api import Recipe
from handlers.model import Verdict
from handlers.reading import series_from_files
from handlers.triage.rules import HEADER_RULES, judge
from handlers.volumes import split
from pictures import COLUMNS, ROWS, craniocaudal, mediolateral_oblique, write_text
from runs import process


def mammogram(side="L", view="CC", picture=None, **attributes):
    orientation = ["A", "R"] if side == "L" else ["P", "L"]
    plain = {"ImageLaterality": side, "ViewPosition": view, "PatientOrientation": orientation}
    image = data.projection(
        "MG", rows=ROWS, columns=COLUMNS, name=f"{side} {view}", **{**plain, **attributes}
    )
    if picture is None:
        picture = craniocaudal() if view == "CC" else mediolateral_oblique()
        picture = picture if side == "L" else picture[:, ::-1]
    image.PixelData = picture.astype("<u2").tobytes()
    return image


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_a_plain_mammogram_passes_the_rules_on_its_picture(tmp_path, side, view):
    result = process([mammogram(side, view)], tmp_path)
    assert {each for each in result.codes if each.startswith(("MAM", "POL", "DEI"))} == {"MAM-004"}
    (described,) = result.accepted
    assert described["view"] == {
        "ImageLaterality": side,
        "view": view,
        "source": "ViewPosition",
        "modifiers": [],
        "kind": "2-D",
        "PresentationIntentType": "FOR PRESENTATION",
        "is_partial": False,
        "has_implant": False,
    }
    sidecar = json.loads((result.folder / "v0.json").read_text())
    assert sidecar["node"]["view"] == described["view"]
    name = "left" if side == "L" else "right"
    assert f"{name} {view}, 2-D" in (result.folder / "report.html").read_text()


def test_a_flipped_mammogram_is_held(tmp_path):
    result = process([mammogram(picture=craniocaudal()[:, ::-1])], tmp_path)
    assert result.report["verdict"] == "QUARANTINE"
    assert result.evidence("MAM-007")["seen"] == "right"


def test_text_in_a_mammogram_is_a_warning_and_a_profile_may_hold_it(tmp_path):
    picture = craniocaudal()
    write_text(picture, "SMITH", top=8, left=100, value=4095)
    warned = process([mammogram(picture=picture)], tmp_path / "warned")
    assert warned.report["verdict"] == "ACCEPT_WARN"
    assert "DEI-BIA-002" in warned.codes
    strict = Recipe(policy={"DEI-BIA-002": Verdict.QUARANTINE})
    assert process([mammogram(picture=picture)], tmp_path / "held", strict).report["verdict"] == "QUARANTINE"


def test_a_profile_refuses_images_for_another_use(tmp_path):
    raw = mammogram(PresentationIntentType="FOR PROCESSING")
    raw.SOPClassUID = raw.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForProcessing
    refused = process([raw], tmp_path / "refused", Recipe(presentation_intent="FOR PRESENTATION"))
    assert refused.report["verdict"] == "REJECT"
    assert "MAM-005" in refused.codes
    for name, intent in (("wanted", "FOR PROCESSING"), ("both", "")):
        taken = process([raw], tmp_path / name, Recipe(presentation_intent=intent))
        assert "MAM-005" not in taken.codes
        assert taken.report["verdict"] != "REJECT"


def test_the_series_of_one_folder_know_the_views_of_each_other(tmp_path):
    images = [mammogram(side, view) for side in "LR" for view in ("CC", "MLO")]
    found, _ = series_from_files(data.write(images, tmp_path))
    assert len(found) == 4
    for series in found:
        codes = {finding.code for finding in judge(split(series), HEADER_RULES)}
        assert codes & {"MAM-004", "MAM-010", "TRI-ERR-001"} == set()
    three, _ = series_from_files(data.write(images[:3], tmp_path / "three"))
    for series in three:
        (finding,) = (each for each in judge(split(series), HEADER_RULES) if each.code == "MAM-004")
        assert finding.evidence["missing"] == ["R MLO"]


def test_an_angiogram_is_no_volume_in_space_and_keeps_its_angles(tmp_path):
    run = data.projection(
        "DX", Modality="XA", imager_pixel_spacing=(0.2, 0.2), NumberOfFrames=4, FrameTimeVector=["0", "66", "66", "132"],
        FrameIncrementPointer=0x00181065, PositionerPrimaryAngle="-30.5", PositionerSecondaryAngle="20",
        PositionerPrimaryAngleIncrement=["0", "1.5", "3", "4.5"], DistanceSourceToDetector="1000",
        DistanceSourceToPatient="800", ImageLaterality=None, ViewPosition=None, MaskSubtractionSequence=[],
    )  # fmt: skip
    run.SOPClassUID = run.file_meta.MediaStorageSOPClassUID = XRayAngiographicImageStorage
    run.PixelData = run.PixelData * 4
    result = process([run], tmp_path)
    (described,) = result.report["volumes"]
    assert described["shape"] == [48, 64, 4]
    assert (described["orientation"], described["affine_ras"]) == (None, None)
    assert described["spacing_mm"] == [0.2, 0.2, None]
    assert (described["pixel_spacing"]["plane"], described["pixel_spacing"]["magnification"]) == (
        "detector",
        1.25,
    )
    assert described["frame_times"]["times_ms"] == [0.0, 66.0, 132.0, 264.0]
    sidecar = json.loads((result.folder / "v0.json").read_text())
    assert (sidecar["PositionerPrimaryAngle"], sidecar["PositionerSecondaryAngle"]) == (-30.5, 20.0)
    assert sidecar["PositionerPrimaryAngleIncrement"] == [0.0, 1.5, 3.0, 4.5]
    np.testing.assert_array_equal(result.values(described)[3], run.pixel_array[3])
