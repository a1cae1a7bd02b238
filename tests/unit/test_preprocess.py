"""The series-complete handler as a whole: what is written, when nothing is, and that bad data never raises."""

import hashlib
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

import data
from handlers import preprocess as room
from handlers.api import ContrastOptions, Recipe, needs_values, per_volume
from handlers.errors import PluginError
from handlers.model import Finding, Product, Scope, Series, Severity, Verdict
from handlers.preprocess import preprocess
from handlers.reading import series_from_files

SMALL = {"slices": 12, "rows": 32, "columns": 24}


def series_of(datasets, folder) -> Series:
    (series,), unreadable = series_from_files(data.write(datasets, folder))
    assert unreadable == []
    return series


@pytest.fixture
def series(tmp_path):
    return series_of(data.ct_series(**SMALL), tmp_path / "in")


@pytest.fixture
def plug_ins(monkeypatch):
    """A dict of plug-ins by name, offered as if installed."""
    offered = {}

    def load(group, name):
        if name not in offered:
            raise PluginError(f"no plug-in {name!r} in {group}; installed: none")
        return offered[name]

    monkeypatch.setattr(room, "load", load)
    return offered


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def report_in(folder):
    return json.loads((folder / "report.json").read_text("utf-8"))


def test_an_accepted_series_gets_volume_sidecar_picture_and_reports(series, tmp_path):
    outcome = preprocess(series, tmp_path / "out")
    assert outcome.verdict in (Verdict.ACCEPT, Verdict.ACCEPT_WARN)
    assert set(contents(tmp_path / "out")) == {"report.html", "report.json", "v0.json", "v0.nii.gz", "v0.png"}
    assert {p.path.as_posix(): p.sha256 for p in outcome.products} == contents(tmp_path / "out")
    assert nib.load(tmp_path / "out" / "v0.nii.gz").shape == (24, 32, 12)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_the_outcome_holds_no_voxels(series, tmp_path):
    outcome = preprocess(series, tmp_path / "out")
    assert all(volume.values is None and volume.padding is None for volume in outcome.volumes)


def test_two_runs_give_the_same_bytes_in_every_file(tmp_path):
    series = series_of(
        data.ct_series(**SMALL, bits_stored=16, pixel_representation=1, padding=-2000), tmp_path / "in"
    )
    recipe = Recipe(writers=("structured-report",), spacing_mm=(1.0, 1.0, 3.0), save_padding_mask=True)
    preprocess(series, tmp_path / "first", recipe)
    preprocess(series, tmp_path / "second", recipe)
    first = contents(tmp_path / "first")
    assert "dicom/report.dcm" in first
    assert "v0_padding.nii.gz" in first
    assert first == contents(tmp_path / "second")


def test_order_and_names_of_the_files_do_not_matter(tmp_path):
    datasets = data.ct_series(**SMALL)
    preprocess(series_of(datasets, tmp_path / "a"), tmp_path / "first")
    preprocess(series_of(datasets[::-1], tmp_path / "elsewhere"), tmp_path / "second")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_an_older_result_is_replaced_as_a_whole(series, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "v7.nii.gz").write_text("of an older revision")
    preprocess(series, tmp_path / "out")
    assert not (tmp_path / "out" / "v7.nii.gz").exists()


def test_a_refused_series_gets_a_report_and_no_volume(tmp_path):
    outcome = preprocess(series_of([data.secondary_capture()], tmp_path / "in"), tmp_path / "out")
    assert outcome.verdict is Verdict.REJECT
    assert set(contents(tmp_path / "out")) == {"report.html", "report.json"}


def test_a_series_without_a_readable_instance_gets_a_report(tmp_path):
    unreadable = ((tmp_path / "x.dcm", "cut short"),)
    preprocess(Series("1.2.3", "1.2", (), unreadable=unreadable), tmp_path / "out")
    report = report_in(tmp_path / "out")
    assert report["verdict"] == "REJECT"
    assert report["volumes"] == []
    assert "ING-001" in {finding["code"] for finding in report["findings"]}


def test_pixel_data_that_was_cut_short_is_refused_with_a_code(series, tmp_path):
    path = series.instances[3].path
    path.write_bytes(path.read_bytes()[:-500])
    outcome = preprocess(series_of_folder(tmp_path / "in"), tmp_path / "out")
    assert outcome.volume_verdicts == (Verdict.REJECT,)
    assert {"ING-004", "PIX-006"} & {finding.code for finding in outcome.findings}


def series_of_folder(folder):
    (series,), _ = series_from_files(sorted(folder.iterdir()))
    return series


def test_an_error_nobody_thought_of_holds_the_volume_and_is_told(series, tmp_path, monkeypatch):
    def broken(volume, recipe):
        raise ZeroDivisionError("in a step")

    monkeypatch.setattr(room, "to_canonical", broken)
    outcome = preprocess(series, tmp_path / "out")
    (finding,) = [finding for finding in outcome.findings if finding.code == "NRM-ERR-001"]
    assert outcome.verdict is Verdict.QUARANTINE
    assert "ZeroDivisionError: in a step" in finding.message
    assert finding.evidence["raised_at"].startswith("test_preprocess.py:")
    assert set(contents(tmp_path / "out")) == {"report.html", "report.json", "v0.png"}


def test_a_full_disk_leaves_the_older_result(series, tmp_path, monkeypatch):
    preprocess(series, tmp_path / "out")
    before = contents(tmp_path / "out")

    @per_volume
    def full(outcome, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room, "WRITERS", (("full", full),))
    with pytest.raises(OSError, match="No space left"):
        preprocess(series, tmp_path / "out")
    assert contents(tmp_path / "out") == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in", "out"]


def test_a_source_file_that_is_gone_is_told_and_nothing_is_made_of_the_rest(series, tmp_path):
    series.instances[0].path.unlink()
    outcome = preprocess(series, tmp_path / "out")
    assert outcome.volume_verdicts == (Verdict.REJECT,)
    assert "v0.nii.gz" not in contents(tmp_path / "out")


def test_a_policy_decides_otherwise(series, tmp_path):
    outcome = preprocess(series, tmp_path / "out", Recipe(policy={"KER-001": Verdict.QUARANTINE}))
    assert outcome.verdict is Verdict.QUARANTINE
    assert "v0.nii.gz" not in contents(tmp_path / "out")


def test_what_a_person_released_is_written_with_a_warning(series, tmp_path):
    held = Recipe(policy={"KER-001": Verdict.QUARANTINE})
    preprocess(series, tmp_path / "out", held)
    outcome = preprocess(series, tmp_path / "out", replace(held, release=True))
    assert outcome.verdict is Verdict.ACCEPT_WARN
    assert "v0.nii.gz" in contents(tmp_path / "out")


def test_findings_that_came_with_the_series_count(series, tmp_path):
    conflict = Finding("ING-002", Severity.REVIEW, "two objects bear one identity")
    outcome = preprocess(replace(series, findings=(conflict,)), tmp_path / "out")
    assert outcome.verdict is Verdict.QUARANTINE
    assert conflict in outcome.findings


def test_a_rule_of_the_site_is_heard(series, tmp_path, plug_ins):
    plug_ins["no-water"] = lambda _series: [Finding("SITE-001", Severity.REVIEW, "there is water")]
    outcome = preprocess(series, tmp_path / "out", Recipe(rules=("no-water",)))
    assert outcome.verdict is Verdict.QUARANTINE


def test_a_rule_of_the_site_that_raises_holds_the_series(series, tmp_path, plug_ins):
    def broken(_series):
        raise KeyError("SomeKeyword")

    plug_ins["broken"] = broken
    outcome = preprocess(series, tmp_path / "out", Recipe(rules=("broken",)))
    assert outcome.verdict is Verdict.QUARANTINE
    assert "TRI-ERR-001" in {finding.code for finding in outcome.findings}


def test_a_rule_that_needs_values_sees_one_volume_in_modality_units(series, tmp_path, plug_ins):
    seen = []

    @needs_values
    def look(given):
        (volume,) = given.volumes
        seen.append((volume.units, int(volume.values.min()), int(volume.values.max())))
        return []

    plug_ins["look"] = look
    preprocess(series, tmp_path / "out", Recipe(rules=("look",)))
    assert seen == [("[hnsf'U]", -1000, 1000)]


def test_a_writer_of_the_site_gets_the_whole_outcome_at_the_end(series, tmp_path, plug_ins):
    def listing(outcome, folder):
        (folder / "list.txt").write_text(" ".join(product.path.name for product in outcome.products))
        return [Product("list", folder.__class__("list.txt"))]

    plug_ins["listing"] = listing
    outcome = preprocess(series, tmp_path / "out", Recipe(writers=("listing",)))
    assert (tmp_path / "out" / "list.txt").read_text() == "v0.nii.gz v0.json v0.png"
    assert "list" in {product.kind for product in outcome.products}


def test_a_writer_that_needs_values_gets_them(series, tmp_path, plug_ins):
    @per_volume
    def raw(outcome, folder):
        (volume,) = outcome.volumes
        np.save(folder / "v0.npy", volume.values)
        return [Product("npy", folder.__class__("v0.npy"), 0)]

    plug_ins["raw"] = raw
    preprocess(series, tmp_path / "out", Recipe(writers=("raw",)))
    assert np.load(tmp_path / "out" / "v0.npy").shape == (12, 32, 24)


def test_a_writer_that_raises_holds_the_volume_and_the_others_run(series, tmp_path, plug_ins):
    def broken(_outcome, _folder):
        raise ValueError("no such template")

    plug_ins["broken"] = broken
    outcome = preprocess(series, tmp_path / "out", Recipe(writers=("broken",)))
    assert outcome.verdict is Verdict.QUARANTINE
    (finding,) = [finding for finding in outcome.findings if finding.code == "OUT-005"]
    assert "'broken' failed" in finding.message
    assert set(contents(tmp_path / "out")) == {"report.html", "report.json", "v0.png"}


def test_a_plug_in_that_is_not_installed_is_told_before_any_work(series, tmp_path):
    with pytest.raises(PluginError, match="structured-report"):
        preprocess(series, tmp_path / "out", Recipe(writers=("pdf-by-fax",)))
    assert not (tmp_path / "out").exists()


def test_a_volume_that_is_held_later_is_taken_back(tmp_path, plug_ins):
    first = data.ct_series(**SMALL, kernel="B30f", series_uid="1.2.3")
    second = data.ct_series(**SMALL, kernel="B70f", series_uid="1.2.3", name="sharp")

    @needs_values
    def second_is_wrong(given):
        is_second = given.volumes[0].index == 1
        return (
            [Finding("SITE-002", Severity.REVIEW, "the whole series is doubtful", Scope.SERIES)]
            if is_second
            else []
        )

    plug_ins["doubt"] = second_is_wrong
    series = series_of([*first, *second], tmp_path / "in")
    outcome = preprocess(series, tmp_path / "out", Recipe(rules=("doubt",)))
    assert outcome.volume_verdicts == (Verdict.QUARANTINE, Verdict.QUARANTINE)
    assert set(contents(tmp_path / "out")) == {"report.html", "report.json", "v0.png", "v1.png"}
    assert {p.path.as_posix() for p in outcome.products} == set(contents(tmp_path / "out"))


def test_number_format_of_the_recipe_is_written(series, tmp_path):
    preprocess(series, tmp_path / "out", Recipe(dtype="float32"))
    assert nib.load(tmp_path / "out" / "v0.nii.gz").get_data_dtype() == np.float32


def test_statistics_of_resampled_values_are_told_beside_the_measured_ones(series, tmp_path):
    preprocess(series, tmp_path / "out", Recipe(spacing_mm=(1.0, 1.0, 2.0)))
    (volume,) = report_in(tmp_path / "out")["volumes"]
    assert volume["statistics"]["max"] == 1000
    assert volume["statistics_written"]["max"] <= 1000
    assert volume["shape"] == [12, 16, 12]


def test_contrast_is_judged_anew_with_values_and_told_once(series, tmp_path):
    recipe = Recipe(contrast=ContrastOptions(image_evidence=True))
    preprocess(series, tmp_path / "plain")
    preprocess(series, tmp_path / "out", recipe)
    plain, looked = (report_in(tmp_path / name) for name in ("plain", "out"))
    assert [f["code"] for f in plain["findings"]].count("CON-002") == 1
    assert [f["code"] for f in looked["findings"]].count("CON-002") == 1
    lines = looked["volumes"][0]["contrast"]["evidence"]
    assert [line["source"] for line in lines].count("aorta") == 1  # of a phantom that is no trunk
    assert "aorta" not in [line["source"] for line in plain["volumes"][0]["contrast"]["evidence"]]
    assert looked["verdict"] == plain["verdict"]
