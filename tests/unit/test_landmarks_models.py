"""Intensity models from end to end: landmarks kept, an explicit fit, candidate to active, used, watched."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from click.testing import CliRunner

import data
from handlers.normalization.landmarks import PERCENTILES, on_scale
from node import child
from node.cli.landmarks import landmarks
from node.config import Config
from node.errors import NodeError, RegistryError
from node.landmarks import drift, fit, objection
from node.processing import SeriesWork
from node.registry import intensity
from registered import START, Node
from registries import rows as table_rows

COHORT = "HEAD/T1/3D/3T/plain"


def values_of(number: int) -> list[float]:
    """Landmarks of volume `number`: its own gain, and a bend that differs a little from volume to volume."""
    return [100 + (number + 1) * each ** (1 + 0.01 * (number % 3)) for each in PERCENTILES]


def told(number: int, **changes) -> dict:
    fact = {"kind": "nyul", "cohort": COHORT, "manufacturer": "SIEMENS", "positions": list(PERCENTILES)}
    return {**fact, "values": values_of(number), **changes}


def volume(number: int, **changes) -> dict:
    accepted = {"index": 0, "verdict": "ACCEPT", "file": "v0.nii.gz", "volume_uid": f"uid-{number:03d}"}
    return {**accepted, "landmarks": [told(number)], **changes}


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def command(node, tmp_path):
    file = tmp_path / "node.toml"
    file.write_text(f'[node]\ndata_dir = "{node.folder}"\n', encoding="utf-8")

    def invoke(name, *arguments):
        return CliRunner().invoke(landmarks, [name, "-c", str(file), *arguments])

    return invoke


def finish(node, number: int, *volumes: dict, verdict="ACCEPT", revision=1) -> str:
    """Take one series to its end with these volumes."""
    uid = f"1.2.3.{number}"
    path = node.folder / f"{number}.dcm"
    path.write_bytes(str((number, revision)).encode())
    node.arrive([path], series=uid, study=f"1.2.4.{number}", sops=[f"{uid}.{revision}"])
    node.repository.complete(uid, "test", {}, node.clock())
    assert node.repository.start(uid, revision, node.clock(), profile="mr-brain")
    report = {"verdict": verdict, "volumes": list(volumes), "findings": []}
    node.clock.advance(seconds=1)
    assert node.repository.finish(uid, revision, report, [], [], node.clock())
    return uid


def cohort(node, count: int, first: int = 0):
    for number in range(first, first + count):
        finish(node, number, volume(number))


def test_of_an_accepted_volume_its_landmarks_are_kept(node):
    uid = finish(node, 7, volume(7))
    (row,) = table_rows(node.engine, "landmarks")
    assert (row["SeriesInstanceUID"], row["cohort"], row["profile"]) == (uid, COHORT, "mr-brain")
    assert row["values"] == values_of(7)


def test_of_a_held_volume_and_of_one_without_a_cohort_nothing_is_kept(node):
    held = {**volume(1, verdict="QUARANTINE"), "file": None}
    finish(node, 1, held, volume(2, index=1, landmarks=[told(2, cohort=None)]), verdict="QUARANTINE")
    assert table_rows(node.engine, "landmarks") == []


def test_a_later_revision_takes_the_place_of_the_landmarks_before(node):
    finish(node, 1, volume(1))
    finish(node, 1, volume(1, landmarks=[told(5)]), revision=2)
    (row,) = table_rows(node.engine, "landmarks")
    assert (row["revision"], row["values"]) == (2, values_of(5))


def test_a_fit_is_the_mean_of_the_chosen_volumes_and_lists_them(node):
    cohort(node, 3)
    rows = intensity.landmarks_of(node.engine, "nyul", COHORT)
    model = fit(rows[:2], kind="nyul", cohort=COHORT, version=1)
    expected = (on_scale(values_of(0)) + on_scale(values_of(1))) / 2
    assert model["content"]["values"] == pytest.approx(expected, rel=1e-8)
    assert [each["volume_uid"] for each in model["content"]["volumes"]] == ["uid-000", "uid-001"]
    assert len({each["sha256"] for each in model["content"]["volumes"]}) == 2


def test_the_digest_does_not_depend_on_the_order_and_does_on_the_volumes(node):
    cohort(node, 3)
    rows = intensity.landmarks_of(node.engine, "nyul", COHORT)
    one, again, other = (
        fit(some, kind="nyul", cohort=COHORT, version=1)["sha256"] for some in (rows, rows[::-1], rows[:2])
    )
    assert one == again != other


@pytest.mark.parametrize(
    ("n", "moved", "expected"), [(19, 0.1, "20 are needed"), (20, 2.0, "move by 2.00"), (20, 1.9, None)]
)
def test_a_model_needs_volumes_and_must_stand_being_held_out(n, moved, expected):
    problem = objection({"kind": "nyul", "n": n, "drift": moved})
    assert problem is None if expected is None else expected in problem


def test_a_cohort_of_two_kinds_is_not_stable():
    """Half of the volumes bend up, half down, one kind in every fifth place: holding it out moves the mean."""
    shapes = [[each**3 if index % 5 == 0 else each**0.3 for each in PERCENTILES] for index in range(20)]
    rows = [
        {
            "id": i,
            "volume_uid": f"{i:03d}",
            "SeriesInstanceUID": "1",
            "positions": list(PERCENTILES),
            "values": v,
        }
        for i, v in enumerate(shapes)
    ]
    assert "held out" in objection(fit(rows, kind="nyul", cohort=COHORT, version=1))


def test_histogram_matching_has_one_reference(node):
    cohort(node, 2)
    rows = intensity.landmarks_of(node.engine, "nyul", COHORT)
    with pytest.raises(NodeError, match="one reference volume, not 2"):
        fit(rows, kind="histogram", cohort=COHORT, version=1)
    model = fit(rows[:1], kind="histogram", cohort=COHORT, version=1)
    assert model["content"]["values"] == pytest.approx(values_of(0), rel=1e-8)
    assert objection(model) is None


def test_from_candidate_to_active_to_retired(node, command):
    cohort(node, 21)
    assert "say which volumes" in str(command("fit", COHORT).exception)
    first = command("fit", COHORT, "--all")
    assert first.exit_code == 0, first.output
    assert intensity.in_use(node.engine, {"nyul"}) == ()  # a candidate is not used
    assert command("activate", f"nyul:{COHORT}:v1").exit_code == 0
    (used,) = intensity.in_use(node.engine, {"nyul"})
    assert (used["version"], used["n"]) == (1, 21)
    chosen = [f"uid-{number:03d}" for number in range(1, 21)]
    assert command("fit", COHORT, *chosen).exit_code == 0
    assert command("activate", f"nyul:{COHORT}:v2").exit_code == 0
    assert [row["state"] for row in intensity.models(node.engine)] == ["retired", "active"]
    (used,) = intensity.in_use(node.engine, {"nyul"})
    assert used["version"] == 2
    assert command("retire", f"nyul:{COHORT}:v2").exit_code == 0
    assert intensity.in_use(node.engine, {"nyul", "histogram", "frequency"}) == ()
    assert command("activate", f"nyul:{COHORT}:v1").exit_code == 0  # an old version can come back
    assert [each["n"] for each in node.events("model.fitted")] == [21, 20]


def test_too_few_volumes_are_fitted_but_not_used(node, command):
    cohort(node, 4)
    result = command("fit", COHORT, "--all")
    assert "20 are needed" in result.output
    refused = command("activate", f"nyul:{COHORT}:v1")
    assert "cannot be activated" in str(refused.exception)
    assert intensity.in_use(node.engine, {"nyul"}) == ()


def test_a_volume_that_is_not_of_the_cohort_cannot_be_chosen(node, command):
    cohort(node, 1)
    assert "no landmarks" in str(command("fit", COHORT, "uid-099").exception)


def test_a_version_that_is_taken_is_refused(node):
    cohort(node, 1)
    rows = intensity.landmarks_of(node.engine, "nyul", COHORT)
    model = fit(rows, kind="nyul", cohort=COHORT, version=1)
    node.repository.add_model(model, who="a", now=START)
    with pytest.raises(RegistryError, match="fit again"):
        node.repository.add_model(model, who="b", now=START)


def test_a_model_of_one_manufacturer_has_a_cohort_of_its_own(node, command):
    cohort(node, 2)
    finish(node, 50, volume(50, landmarks=[told(50, manufacturer="GE")]))
    assert command("fit", COHORT, "--all", "--manufacturer", "SIEMENS").exit_code == 0
    (model,) = intensity.models(node.engine)
    assert (model["cohort"], model["n"]) == (f"{COHORT}/SIEMENS", 2)


def test_lists_show_cohorts_volumes_and_models(node, command):
    cohort(node, 2)
    command("fit", COHORT, "uid-000")
    cohorts, volumes, models = (
        list(csv.DictReader(io.StringIO(command(*words, "--csv").output)))
        for words in (["list"], ["volumes", COHORT], ["models"])
    )
    assert (cohorts[0]["cohort"], cohorts[0]["volumes"]) == (COHORT, "2")
    assert [row["volume_uid"] for row in volumes] == ["uid-000", "uid-001"]
    assert (models[0]["model_id"], models[0]["state"]) == (f"nyul:{COHORT}:v1", "candidate")


def test_drift_is_told_of_the_newest_volumes_that_were_not_fitted_to(node, command):
    cohort(node, 20)
    command("fit", COHORT, "--all")
    command("activate", f"nyul:{COHORT}:v1")
    assert command("drift").exit_code == 0
    cohort(node, 20, first=20)  # the same scanner
    result = command("drift", "--csv")
    assert result.exit_code == 0, result.output
    for number in range(60, 80):  # another protocol
        bent = [each**2 for each in PERCENTILES]
        finish(node, number, volume(number, landmarks=[told(number, values=bent)]))
    assert command("drift").exit_code == 1
    (model,) = intensity.models(node.engine)
    told_of = drift(model, intensity.landmarks_of(node.engine, "nyul", COHORT))
    expected = np.abs(on_scale([each**2 for each in PERCENTILES]) - model["content"]["values"]).max()
    assert told_of["drift"] == pytest.approx(expected, abs=1e-3)


def test_few_new_volumes_do_not_tell_of_drift(node, command):
    cohort(node, 20)
    command("fit", COHORT, "--all")
    command("activate", f"nyul:{COHORT}:v1")
    finish(node, 60, volume(60, landmarks=[told(60, values=[each**2 for each in PERCENTILES])]))
    assert command("drift").exit_code == 0


def test_a_series_is_processed_with_the_active_model_and_says_so(node, command, tmp_path):
    """Landmarks of the fit are those of the series itself, so its own go to the standard scale exactly."""
    series = data.mr_series(slices=6, rows=32, columns=32, BodyPartExamined="HEAD")
    for each in series:
        stored = each.pixel_array.astype(np.int64)
        bent = stored + (np.indices(stored.shape).sum(axis=0) * 3) * (stored > 200)
        each.PixelData = bent.astype("<u2").tobytes()
    files = tuple(data.write(series, tmp_path / "in"))
    config = Config(profile={"p": {"intensity": "nyul"}})
    order = child.Order(
        series[0].SeriesInstanceUID,
        series[0].StudyInstanceUID,
        1,
        files,
        tmp_path / "out" / "r1",
        profile="p",
    )
    before = child.run(order, config)["report"]
    (fact,) = before["volumes"][0]["landmarks"]
    assert "NRM-INT-002" in {each["code"] for each in before["findings"]}
    for number in range(20):
        finish(node, number, volume(number, landmarks=[fact]))
    assert command("fit", fact["cohort"], "--all").exit_code == 0
    assert command("activate", f"nyul:{fact['cohort']}:v1").exit_code == 0

    class Runner:
        def run(self, given):
            self.order = given
            return {"report": {"verdict": "ACCEPT", "volumes": [], "findings": []}, "products": []}

    keys = {"profile": {"p": {"intensity": "nyul"}}, "route": [{"name": "r", "profile": "p"}]}
    runner, routed = Runner(), Config(node={"data_dir": node.folder}, **keys)
    extra = node.folder / "extra.dcm"
    extra.write_bytes(b"x")
    node.arrive([extra], series="1.2.9", study="1.2.8")
    node.repository.complete("1.2.9", "test", {}, node.clock())
    SeriesWork(routed, node.repository, runner, now=node.clock)("1.2.9", 1)
    (model,) = runner.order.models
    after = child.run(child.replace(order, models=(model,), out=tmp_path / "again" / "r1"), config)["report"]
    codes = {each["code"] for each in after["findings"]}
    assert not codes & {"NRM-INT-002", "NRM-INT-003"}
    assert after["provenance"]["plan"]["models"] == {f"nyul:{fact['cohort']}:v1": model["sha256"]}
    assert after["volumes"][0]["statistics_written"]["p99"] < 110
    assert after["volumes"][0]["landmarks"] == [fact]
