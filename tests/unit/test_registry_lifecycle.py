import pytest

from node.errors import IllegalMoveError, RegistryError
from node.registry.repository import Repository
from node.registry.states import SeriesState
from phantoms import uid
from registries import NOON, after, arrival, registry, report, rows

SERIES, STUDY = uid("series"), uid("study of", "series")
NIFTI = {"kind": "nifti", "path": "v0.nii.gz", "volume": 0, "sha256": "0" * 64, "size_bytes": 10}
TO_RESEARCH = {"destination": "research", "send": ["outputs", "report"]}


@pytest.fixture
def repository(tmp_path):
    made = Repository(registry(tmp_path))
    made.register([arrival(0), arrival(1)], NOON)
    yield made
    made.engine.dispose()


def series(repository):
    return rows(repository.engine, "series")[0]


def events(repository):
    return [row["name"] for row in rows(repository.engine, "event")]


def begin(repository, at=5.0):
    revision = repository.complete(SERIES, "released, contiguous", {"n": 2}, after(at))
    assert repository.start(SERIES, revision, after(at + 1), profile="default")
    return revision


def finished(repository, verdict="ACCEPT", at=5.0):
    revision = begin(repository, at)
    assert repository.finish(SERIES, revision, report(verdict), [NIFTI], [TO_RESEARCH], after(at + 2))
    return revision


def test_a_series_is_complete_for_a_reason(repository):
    assert repository.complete(SERIES, "released, contiguous", {"n": 2}, after(5)) == 1
    row = series(repository)
    assert (row["state"], row["reason"], row["evidence"]) == ("COMPLETE", "released, contiguous", {"n": 2})
    assert (row["completed_at"], row["due_at"]) == (after(5), None)


def test_a_series_is_complete_once(repository):
    repository.complete(SERIES, "first", {}, after(5))
    with pytest.raises(IllegalMoveError, match=SERIES):
        repository.complete(SERIES, "second", {}, after(6))
    assert series(repository)["reason"] == "first"


def test_a_job_that_is_run_again_starts_again(repository):
    revision = begin(repository)
    assert repository.start(SERIES, revision, after(9))
    assert series(repository)["state"] == SeriesState.PROCESSING


def test_a_job_for_an_earlier_revision_does_not_start(repository):
    repository.complete(SERIES, "early", {}, after(5))
    repository.register([arrival(2)], after(6))
    repository.complete(SERIES, "now", {}, after(16))
    assert not repository.start(SERIES, 1, after(17))
    assert repository.start(SERIES, 2, after(17))


def test_a_job_does_not_start_what_is_finished(repository):
    revision = finished(repository)
    assert not repository.start(SERIES, revision, after(20))
    assert series(repository)["state"] == SeriesState.PROCESSED


def test_a_job_does_not_start_what_still_arrives(repository):
    with pytest.raises(IllegalMoveError):
        repository.start(SERIES, 1, after(1))


def test_finish_writes_state_volumes_outputs_and_deliveries_at_once(repository):
    revision = begin(repository)
    finding = {
        "code": "LOS-001",
        "severity": "WARN",
        "scope": "series",
        "target": "",
        "message": "was lossy",
        "evidence": {"n": 1},
    }
    written = report("ACCEPT_WARN", findings=[finding])
    assert repository.finish(SERIES, revision, written, [NIFTI], [TO_RESEARCH], after(9))
    row = series(repository)
    assert (row["state"], row["verdict"], row["processed_at"]) == ("PROCESSED", "ACCEPT_WARN", after(9))
    (volume,) = rows(repository.engine, "volume")
    assert (volume["columns"], volume["rows"], volume["slices"]) == (512, 512, 40)
    assert (volume["spacing_column_mm"], volume["spacing_slice_mm"]) == (0.7, 2.0)
    assert (volume["ConvolutionKernel"], volume["kernel_class"]) == ("B30f", "medium")
    assert (volume["contrast_phase"], volume["cardiac_phase_percent"]) == ("ARTERIAL", 75.0)
    assert (volume["lossy"], volume["n_missing"]) == (False, 0)
    assert volume["file"] == f"{STUDY}/{SERIES}/r1/v0.nii.gz"
    (output,) = rows(repository.engine, "output")
    assert (output["path"], output["is_superseded"]) == (f"{STUDY}/{SERIES}/r1/v0.nii.gz", False)
    (delivery,) = rows(repository.engine, "delivery")
    assert (delivery["state"], delivery["send"]) == ("PENDING", ["outputs", "report"])
    assert rows(repository.engine, "finding")[0]["evidence"] == {"n": 1}
    assert events(repository)[-1] == "series.processed"


def test_a_refused_volume_without_facts_can_be_written(repository):
    revision = begin(repository)
    bare = {"index": 0, "verdict": "REJECT"}
    assert repository.finish(SERIES, revision, report("REJECT", volumes=[bare]), [], [], after(9))
    (volume,) = rows(repository.engine, "volume")
    assert (volume["columns"], volume["file"], volume["lossy"]) == (None, None, None)


def test_quarantine_holds_the_series_for_a_person(repository):
    finished(repository, "QUARANTINE")
    assert series(repository)["state"] == SeriesState.HELD
    assert events(repository)[-1] == "series.held"


def test_a_revision_is_finished_once(repository):
    revision = finished(repository)
    assert not repository.finish(SERIES, revision, report("REJECT"), [NIFTI], [TO_RESEARCH], after(30))
    assert series(repository)["verdict"] == "ACCEPT"
    assert len(rows(repository.engine, "output")) == len(rows(repository.engine, "delivery")) == 1


def test_a_result_that_comes_too_late_is_noted_and_its_files_are_superseded(repository):
    revision = begin(repository)
    repository.register([arrival(2)], after(8))
    assert not repository.finish(SERIES, revision, report(), [NIFTI], [TO_RESEARCH], after(9))
    row = series(repository)
    assert (row["state"], row["revision"], row["verdict"]) == ("RECEIVING", 2, None)
    assert [each["is_superseded"] for each in rows(repository.engine, "output")] == [True]
    assert rows(repository.engine, "delivery") == rows(repository.engine, "volume") == []
    assert events(repository)[-1] == "series.stale"


def test_a_later_revision_supersedes_outputs_and_what_is_not_delivered_yet(repository):
    revision = begin(repository)
    destinations = ("delivered", "pending", "given-up")
    deliveries = [{"destination": name, "send": ["outputs"]} for name in destinations]
    repository.finish(SERIES, revision, report(), [NIFTI], deliveries, after(7))
    repository.delivery_done(1, delivered=["v0.nii.gz"], now=after(8))
    repository.delivery_failed(3, error="refused", now=after(8))
    repository.register([arrival(2)], after(60))
    finished(repository, at=70)
    states = {
        (row["revision"], row["destination"]): row["state"] for row in rows(repository.engine, "delivery")
    }
    assert states == {
        (1, "delivered"): "DELIVERED",
        (1, "pending"): "SUPERSEDED",
        (1, "given-up"): "SUPERSEDED",
        (2, "research"): "PENDING",
    }
    superseded = {row["revision"]: row["is_superseded"] for row in rows(repository.engine, "output")}
    assert superseded == {1: True, 2: False}


def test_a_series_that_cannot_be_processed_has_failed_and_says_why(repository):
    revision = begin(repository)
    assert repository.fail(SERIES, revision, "took too long", after(9))
    row = series(repository)
    assert (row["state"], row["error"]) == ("FAILED", "took too long")
    assert not repository.fail(SERIES, revision, "again", after(10))


def test_a_lost_job_puts_the_series_back(repository):
    revision = begin(repository)
    assert repository.requeue(SERIES, revision, after(9))
    row = series(repository)
    assert (row["state"], row["revision"], row["reason"]) == ("COMPLETE", 1, "released, contiguous")
    assert not repository.requeue(SERIES, revision, after(9))


def test_an_operators_word_completes_at_once(repository):
    assert repository.act(SERIES, "complete", who="eva", now=after(1)) == SeriesState.COMPLETE
    assert series(repository)["reason"] == "operator: eva"


def test_release_processes_a_held_series_again_as_released(repository):
    finished(repository, "QUARANTINE")
    assert repository.act(SERIES, "release", who="eva", now=after(20)) == SeriesState.COMPLETE
    row = series(repository)
    assert (row["revision"], row["released"], row["reason"]) == (2, True, "released, contiguous")
    assert repository.start(SERIES, 2, after(21))
    repository.finish(SERIES, 2, report("ACCEPT_WARN"), [NIFTI], [], after(22))
    assert series(repository)["state"] == SeriesState.PROCESSED


def test_reject_ends_a_held_series(repository):
    finished(repository, "QUARANTINE")
    assert repository.act(SERIES, "reject", who="eva", now=after(20)) == SeriesState.PROCESSED
    row = series(repository)
    assert (row["revision"], row["verdict"]) == (1, "REJECT")


@pytest.mark.parametrize("action", ["release", "reject"])
def test_only_what_is_held_can_be_released_or_rejected(repository, action):
    finished(repository)
    with pytest.raises(IllegalMoveError, match="HELD"):
        repository.act(SERIES, action, who="eva", now=after(20))


@pytest.mark.parametrize("verdict", ["ACCEPT", "QUARANTINE"])
def test_reprocess_opens_a_revision(repository, verdict):
    finished(repository, verdict)
    repository.act(SERIES, "reprocess", who="eva", now=after(20))
    row = series(repository)
    assert (row["state"], row["revision"], row["verdict"]) == ("COMPLETE", 2, None)


def test_what_was_not_processed_cannot_be_reprocessed(repository):
    with pytest.raises(IllegalMoveError, match="RECEIVING"):
        repository.act(SERIES, "reprocess", who="eva", now=after(1))


def test_an_unknown_series_is_told(repository):
    with pytest.raises(RegistryError, match=r"no series 1\.2\.3"):
        repository.complete("1.2.3", "because", {}, NOON)


def test_a_delivery_counts_its_attempts(repository):
    finished(repository)
    assert repository.delivery_attempt(1, error="refused", due_at=after(60), now=after(9))
    assert repository.delivery_attempt(1, error="refused", due_at=after(120), now=after(60))
    repository.delivery_progress(1, ["v0.nii.gz"])
    repository.delivery_done(1, delivered=["v0.nii.gz", "report.json"], now=after(121))
    repository.delivery_done(1, delivered=["v0.nii.gz", "report.json"], now=after(122))
    (row,) = rows(repository.engine, "delivery")
    assert (row["state"], row["attempts"], row["delivered_at"]) == ("DELIVERED", 3, after(121))
    assert (row["delivered"], row["error"]) == (["v0.nii.gz", "report.json"], None)


def findings_of(repository):
    return [(row["name"], row["details"].get("finding")) for row in rows(repository.engine, "event")]


def test_the_history_of_a_delivery_that_failed_bears_the_code_of_that(repository):
    finished(repository)
    repository.delivery_attempt(1, error="refused", due_at=after(60), now=after(9))
    assert findings_of(repository)[-1] == ("delivery.attempt", "OUT-003")
    repository.delivery_failed(1, error="too old", now=after(700_000))
    assert findings_of(repository)[-1] == ("delivery.failed", "OUT-003")


def test_the_history_of_a_delivery_that_went_well_does_not(repository):
    finished(repository)
    repository.delivery_done(1, delivered=["v0.nii.gz"], now=after(9))
    assert "OUT-003" not in [code for _, code in findings_of(repository)]


def test_a_delivery_that_was_given_up_can_be_retried_and_is_new_again(repository):
    finished(repository)
    repository.delivery_failed(1, error="too old", now=after(700_000))
    repository.retry_delivery(1, now=after(800_000))
    (row,) = rows(repository.engine, "delivery")
    assert (row["state"], row["due_at"], row["created_at"]) == ("PENDING", after(800_000), after(800_000))


def test_a_delivery_that_waits_can_be_brought_forward(repository):
    finished(repository)
    repository.delivery_attempt(1, error="refused", due_at=after(3600), now=after(9))
    repository.retry_delivery(1, now=after(10))
    assert rows(repository.engine, "delivery")[0]["due_at"] == after(10)


def test_a_dropped_delivery_is_not_attempted(repository):
    finished(repository)
    repository.drop_delivery(1, now=after(9))
    assert not repository.delivery_attempt(1, error="refused", due_at=after(60), now=after(10))
    assert rows(repository.engine, "delivery")[0]["state"] == "DROPPED"


def test_what_was_delivered_cannot_be_dropped_or_retried(repository):
    finished(repository)
    repository.delivery_done(1, now=after(9))
    with pytest.raises(IllegalMoveError, match="delivery 1"):
        repository.drop_delivery(1, now=after(10))
    with pytest.raises(IllegalMoveError, match="delivery 1"):
        repository.retry_delivery(1, now=after(10))


def test_an_unknown_delivery_is_told(repository):
    with pytest.raises(RegistryError, match="no delivery 99"):
        repository.retry_delivery(99, now=NOON)


@pytest.mark.parametrize("step", ["start", "finish", "fail"])
def test_what_does_not_arrive_cannot_become_complete(repository, step):
    revision = begin(repository)
    if step == "finish":
        repository.finish(SERIES, revision, report(), [], [], after(8))
    elif step == "fail":
        repository.fail(SERIES, revision, "crashed", after(8))
    with pytest.raises(IllegalMoveError, match="RECEIVING"):
        repository.act(SERIES, "complete", who="eva", now=after(9))
