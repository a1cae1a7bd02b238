"""report.json: its schema, its values, and that nothing in it depends on clock, machine or folder."""

import dataclasses
import json
from pathlib import Path

import numpy as np
from pydicom.valuerep import DSfloat, PersonName

import data
from handlers.api import Recipe
from handlers.model import Finding, Product, Scope, Severity, Verdict
from handlers.outputs import report as report_room
from handlers.outputs.report import report
from outcomes import ct_volume, geometry_of, kernel_finding, outcome_of
from schema_check import violations

SCHEMA = json.loads(Path(report_room.__file__).with_name("report.schema.json").read_text("utf-8"))


def described(**changes):
    volume = ct_volume(written={"shape": (24, 32, 6), "padding_voxels": 7})
    product = Product("nifti", Path("v0.nii.gz"), 0)
    return report(outcome_of(volume, findings=(kernel_finding(),), products=(product,), **changes))


def test_report_follows_its_schema():
    assert violations(described(), SCHEMA) == []


def test_report_of_a_series_without_any_volume_follows_its_schema():
    outcome = outcome_of(ct_volume())
    refused = dataclasses.replace(outcome, volumes=(), volume_verdicts=(), verdict=Verdict.REJECT)
    assert violations(report(refused), SCHEMA) == []


def test_report_of_a_volume_that_was_never_read_follows_its_schema():
    volume = ct_volume(values=None, padding=None, affine=None, measured={}, written={})
    (entry,) = report(outcome_of(volume, verdicts=(Verdict.REJECT,)))["volumes"]
    assert violations(report(outcome_of(volume, verdicts=(Verdict.REJECT,))), SCHEMA) == []
    assert "file" not in entry
    assert entry["shape"] == [24, 32, 6]
    assert entry["spacing_mm"] == [0.5, 0.5, 2.0]
    assert entry["orientation"] == "LPS"
    assert entry["units"] is None
    assert entry["statistics"] is None
    np.testing.assert_allclose(entry["affine_ras"], np.diag([-1, -1, 1, 1]) @ volume.geometry.affine)


def test_report_of_a_projection_has_no_orientation():
    volume = ct_volume(affine=None, geometry=None, spacing_mm=(0.2, 0.2, None), units="1", modality="DX")
    (entry,) = report(outcome_of(volume))["volumes"]
    assert (entry["orientation"], entry["affine_ras"], entry["shear_deg"]) == (None, None, None)
    assert entry["spacing_mm"] == [0.2, 0.2, None]
    assert violations(report(outcome_of(volume)), SCHEMA) == []


def test_the_checker_of_this_test_does_find_mistakes():
    broken = described()
    broken["verdict"] = "FINE"
    broken["volumes"][0]["shape"] = [1, 2]
    broken["volumes"][0]["surprise"] = 1
    del broken["completion"]
    assert len(violations(broken, SCHEMA)) == 4


def test_volume_facts_come_from_the_findings():
    contrast = {"label": "ARTERIAL", "code": "ART", "confidence": 0.9, "evidence": []}
    findings = (
        kernel_finding("B70s"),
        Finding("CON-001", Severity.INFO, "arterial", Scope.VOLUME, "v0", {"contrast": contrast}),
        Finding(
            "CON-001",
            Severity.INFO,
            "of another volume",
            Scope.VOLUME,
            "v1",
            {"contrast": {"label": "DELAYED"}},
        ),
    )
    (entry,) = report(outcome_of(ct_volume(), findings=findings))["volumes"]
    assert entry["kernel"] == {"raw": "B70s", "class": "smooth"}
    assert entry["contrast"]["label"] == "ARTERIAL"
    assert entry["lossy"] is False


def test_missing_slices_are_counted():
    datasets = data.ct_series(slices=6, rows=8, columns=8)
    volume = ct_volume(datasets, geometry=geometry_of(datasets, missing=((1, 1), (3, 2))))
    assert report(outcome_of(volume))["volumes"][0]["missing_slices"] == 3


def test_statistics_are_those_before_interpolation():
    changed = {"min": -900.0, "p1": -900.0, "mean": 0.0, "p99": 800.0, "max": 900.0}
    volume = ct_volume(written={"shape": (24, 32, 6), "padding_voxels": 0, "statistics": changed})
    (entry,) = report(outcome_of(volume))["volumes"]
    assert entry["statistics"]["max"] == 1000.0
    assert entry["statistics_written"]["max"] == 900.0


def test_evidence_of_any_kind_becomes_json():
    evidence = {
        "number": np.float32(1.5),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "array": np.arange(3),
        "nan": float("nan"),
        "infinite": np.array([np.inf, 1.0]),
        "ds": DSfloat("1.25"),
        "name": PersonName("Doe^Jane"),
        "bytes": b"\x00\x01",
        "set": {"b", "a"},
        "path": Path("/home/someone/file.dcm"),
        "severity": Severity.WARN,
        "verdict": Verdict.REJECT,
        "surrogate": "a\udc80b",
        3: "key",
    }
    finding = Finding("GEO-004", Severity.WARN, "m", evidence=evidence)
    text = json.dumps(report(outcome_of(ct_volume(), findings=(finding,))), allow_nan=False)
    text.encode("utf-8")
    found = json.loads(text)["findings"][0]["evidence"]
    assert found["number"] == 1.5
    assert (found["count"], found["flag"], found["array"]) == (3, True, [0, 1, 2])
    assert (found["nan"], found["infinite"]) == (None, [None, 1.0])
    assert found["ds"] == 1.25
    assert found["set"] == ["a", "b"]
    assert found["path"] == "file.dcm"
    assert (found["severity"], found["verdict"]) == (1, "REJECT")
    assert "Jane" not in text
    assert found["3"] == "key"


def test_endless_nesting_is_cut():
    value = []
    for _ in range(100):
        value = [value]
    finding = Finding("GEO-004", Severity.WARN, "m", evidence={"deep": value})
    assert "nested too deep" in json.dumps(report(outcome_of(ct_volume(), findings=(finding,))))


def test_provenance_identifies_source_recipe_and_software():
    first = described()["provenance"]
    assert first == described()["provenance"]
    other = described(recipe=Recipe(spacing_mm=(1.0, 1.0, 1.0)))["provenance"]
    assert other["config_sha256"] != first["config_sha256"]
    assert other["plan_sha256"] != first["plan_sha256"]
    policy = described(recipe=Recipe(policy={"GEO-005": Verdict.REJECT}))["provenance"]
    assert policy["config_sha256"] != first["config_sha256"]
    assert policy["plan_sha256"] == first["plan_sha256"]
    assert {"python", "numpy", "pydicom", "SimpleITK"} <= set(first["versions"])


def test_digest_of_the_instances_is_that_of_the_specification():
    import hashlib

    volume = ct_volume()
    uids = sorted(instance.sop_instance_uid for instance in volume.instances)
    expected = hashlib.sha256("\n".join(uids).encode()).hexdigest()
    assert report(outcome_of(volume))["provenance"]["sop_uid_digest"] == expected


def test_written_file_is_the_report(tmp_path):
    outcome = outcome_of(ct_volume())
    (product,) = report_room.write(outcome, tmp_path)
    assert json.loads((tmp_path / product.path).read_text("utf-8")) == report(outcome)
