"""The sidecar: BIDS names, our own block, and nothing that leaks a label or a person."""

import json

import numpy as np
import pytest

import data
from handlers.model import AppliedStep, Finding, Scope, Severity, Verdict
from handlers.outputs import sidecar
from outcomes import ct_volume, geometry_of, kernel_finding, outcome_of

SECRET = "Zebra<script>"
FREE_TEXT = [
    "SeriesDescription", "StudyDescription", "ProtocolName", "ImageComments", "PatientComments",
    "AccessionNumber", "ReferringPhysicianName", "InstitutionName", "StationName", "PatientName", "PatientID",
    "RequestedProcedureDescription", "AdmittingDiagnosesDescription", "OperatorsName", "DeviceSerialNumber",
    "AdditionalPatientHistory", "DerivationDescription", "AcquisitionProtocolName", "PerformedProcedureStepDescription",
]  # fmt: skip


def sidecar_of(*datasets_options, findings=(), **changes):
    volume = ct_volume(*datasets_options, **changes)
    return sidecar.sidecar(outcome_of(volume, findings=findings), volume, Verdict.ACCEPT)


def test_bids_names_and_seconds():
    datasets = data.ct_series(
        slices=3, rows=8, columns=8, EchoTime="12.5", RepetitionTime="2000", ManufacturerModelName="Model X"
    )
    described = sidecar_of(datasets)
    assert described["EchoTime"] == 0.0125
    assert described["RepetitionTime"] == 2.0
    assert described["ManufacturersModelName"] == "Model X"
    assert described["ConvolutionKernel"] == "B30f"
    assert described["ImageType"] == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert described["ConversionSoftware"] == "prepnode"


def test_no_free_text_reaches_the_sidecar():
    datasets = data.ct_series(slices=3, rows=8, columns=8, **dict.fromkeys(FREE_TEXT, SECRET))
    contrast = {
        "label": "ARTERIAL",
        "code": "ART",
        "confidence": 0.9,
        "evidence": [{"source": "SeriesDescription", "raw": SECRET, "supports": "ART", "weight": 1.0}],
    }
    findings = (
        Finding("CON-001", Severity.INFO, f"phase from {SECRET}", Scope.VOLUME, "v0", {"contrast": contrast}),
        Finding("TRI-LOC-001", Severity.WARN, SECRET, Scope.VOLUME, "v0", {"SeriesDescription": SECRET}),
    )
    text = json.dumps(sidecar_of(datasets, findings=findings, split_key={"SeriesDescription": SECRET}))
    assert "Zebra" not in text
    described = json.loads(text)
    assert described["node"]["contrast"]["label"] == "ARTERIAL"
    assert described["node"]["contrast"]["evidence"] == [
        {"source": "SeriesDescription", "supports": "ART", "weight": 1.0}
    ]
    assert {"code": "TRI-LOC-001", "severity": "WARN"} in described["node"]["findings"]


def test_every_slice_names_its_instance():
    datasets = data.ct_series(slices=5, rows=8, columns=8)
    described = sidecar_of(datasets)
    sources = described["node"]["sources"]
    assert sources["axis"] == "slice"
    assert [frame["index"] for frame in sources["frames"]] == [0, 1, 2, 3, 4]
    assert [frame["SOPInstanceUID"] for frame in sources["frames"]] == [d.SOPInstanceUID for d in datasets]


def test_a_flipped_and_permuted_array_still_names_its_instances():
    datasets = data.mr_series(slices=5, rows=8, columns=6, orientation="sagittal")
    native = geometry_of(datasets).affine
    # Written as LPS: the acquired slice axis has become the array's column axis.
    axis_of_x = int(np.abs(native[0, :3]).argmax())
    assert axis_of_x == 2
    order = [2, int(np.abs(native[1, :3]).argmax()), int(np.abs(native[2, :3]).argmax())]
    sizes = np.array([6, 8, 5])[order]
    affine = np.eye(4)
    affine[:3, :3] = native[:3, order]
    affine[:3, 3] = native[:3, 3]
    for axis in range(3):
        if affine[axis, axis] < 0:
            affine[:3, 3] += affine[:3, axis] * (sizes[axis] - 1)
            affine[:3, axis] *= -1
    described = sidecar_of(datasets, affine=affine)
    sources = described["node"]["sources"]
    assert sources["axis"] == "column"
    assert [frame["index"] for frame in sources["frames"]] == [0, 1, 2, 3, 4]
    leftward = sorted(datasets, key=lambda each: float(each.ImagePositionPatient[0]))
    assert [frame["SOPInstanceUID"] for frame in sources["frames"]] == [d.SOPInstanceUID for d in leftward]


def test_a_resampled_volume_gives_fractional_indices():
    datasets = data.ct_series(slices=4, rows=8, columns=8, step_mm=2.0)
    affine = geometry_of(datasets).affine.copy()
    affine[:3, 2] *= 0.8  # 1.6 mm slices on the same origin
    described = sidecar_of(datasets, affine=affine)
    assert [frame["index"] for frame in described["node"]["sources"]["frames"]] == [0, 1.25, 2.5, 3.75]


def test_volume_uid_depends_on_the_frames_and_not_on_the_recipe_or_arrival():
    datasets = data.ct_series(slices=4, rows=8, columns=8)
    uid = sidecar_of(datasets)["node"]["volume_uid"]
    assert sidecar_of(datasets, steps=(AppliedStep("resample"),))["node"]["volume_uid"] == uid
    assert sidecar_of(datasets[:3])["node"]["volume_uid"] != uid


@pytest.mark.parametrize("keyword", ["EchoTime", "FlipAngle", "KVP"])
def test_a_malformed_number_is_left_out(keyword):
    datasets = data.ct_series(slices=3, rows=8, columns=8)
    datasets[0].add_new(keyword, "LO", "not a number")
    assert keyword not in sidecar_of(datasets)


def test_file_lies_beside_the_volume(tmp_path):
    (product,) = sidecar.write(outcome_of(ct_volume(), findings=(kernel_finding(),)), tmp_path)
    described = json.loads((tmp_path / "v0.json").read_text("utf-8"))
    assert product.path.name == "v0.json"
    assert described["node"]["kernel"] == {"raw": "B30f", "class": "smooth"}
    assert described["node"]["units"] == "[hnsf'U]"
