"""The work of a series job: what the child is told, and what the registry holds afterwards."""

import pytest

from node.errors import ProcessingError, ProcessingStoppedError
from node.processing import SeriesWork
from registered import SERIES, START, STUDY, Node

PACS = {"name": "pacs", "kind": "dicom", "host": "h", "port": 104, "called_aet": "PACS"}


class Runner:
    """Takes orders, and answers with one verdict."""

    def __init__(self):
        self.orders, self.verdict, self.error = [], "ACCEPT", None

    def run(self, order):
        self.orders.append(order)
        if self.error is not None:
            raise self.error
        report = {"verdict": self.verdict, "volumes": [], "findings": []}
        product = {"kind": "nifti", "path": "v0.nii.gz", "volume": 0, "sha256": "a", "size_bytes": 1}
        return {"report": report, "products": [product]}


@pytest.fixture
def runner():
    return Runner()


@pytest.fixture
def make_node(tmp_path):
    nodes = []

    def make(**keys):
        node = Node(tmp_path / "data", keys)
        nodes.append(node)
        files = []
        for number in (1, 2):
            path = tmp_path / f"{number}.dcm"
            path.write_bytes(b"%d" % number)
            files.append(path)
        node.arrive(files, KVP=120)
        node.repository.complete(SERIES, "contiguous", {"quiet_s": 1.0}, node.clock())
        return node

    yield make
    for node in nodes:
        node.close()


def work(node, runner, revision=1):
    SeriesWork(node.config, node.repository, runner, now=node.clock)(SERIES, revision)


def test_the_child_is_told_all_that_the_registry_knows(make_node, runner, tmp_path):
    node = make_node()
    sibling = tmp_path / "sibling.dcm"
    sibling.write_bytes(b"s")
    node.arrive([sibling], series="1.2.3.4", ConvolutionKernel="B70f")
    work(node, runner)
    (order,) = runner.orders
    assert order.files == (tmp_path / "1.dcm", tmp_path / "2.dcm")
    assert (order.study_instance_uid, order.series_instance_uid, order.revision) == (STUDY, SERIES, 1)
    assert order.out == node.config.outputs_dir / STUDY / SERIES / "r1"
    assert (order.reason, order.evidence) == ("contiguous", {"quiet_s": 1.0})
    assert order.siblings["1.2.3.4"]["ConvolutionKernel"] == "B70f"
    assert order.siblings["1.2.3.4"]["Modality"] == "CT"
    assert (order.profile, order.writers, order.release, order.findings) == ("default", (), False, ())


def test_a_result_is_written_with_its_outputs(make_node, runner):
    node = make_node()
    work(node, runner)
    row = node.series()
    assert (row["state"], row["verdict"], row["processed_at"]) == ("PROCESSED", "ACCEPT", START)
    assert row["profile"] == "default"


def test_the_route_gives_profile_and_deliveries(make_node, runner):
    node = make_node(
        destination=[PACS],
        profile={"bone": {}},
        route=[
            {"name": "mr", "match": {"Modality": "MR"}, "destinations": ["pacs"]},
            {
                "name": "ct",
                "match": {"Modality": "CT", "KVP": 120, "CalledAET": "prepnode", "source": "10.*"},
                "profile": "bone",
                "destinations": ["pacs"],
                "send": ["report", "originals"],
            },
        ],
    )
    work(node, runner)
    assert runner.orders[0].profile == "bone"
    assert runner.orders[0].writers == ("structured-report",)
    assert node.series()["profile"] == "bone"
    delivery = node.delivery()
    assert (delivery["destination"], delivery["send"]) == ("pacs", ["report", "originals"])
    assert (delivery["state"], delivery["due_at"]) == ("PENDING", START)


def test_a_held_series_sends_its_report_only(make_node, runner):
    runner.verdict = "QUARANTINE"
    node = make_node(destination=[PACS], route=[{"name": "all", "destinations": ["pacs"]}])
    work(node, runner)
    assert node.series()["state"] == "HELD"
    assert node.delivery()["send"] == ["report"]


def test_a_released_series_is_processed_as_released(make_node, runner):
    runner.verdict = "QUARANTINE"
    node = make_node()
    work(node, runner)
    node.repository.release(SERIES, "a person", node.clock())
    runner.verdict = "ACCEPT_WARN"
    work(node, runner, revision=2)
    assert runner.orders[1].release is True
    assert node.series()["state"] == "PROCESSED"


def test_a_failure_is_told_and_leaves_no_deliveries(make_node, runner):
    runner.error = ProcessingError("the child process crashed (SIGSEGV)")
    node = make_node(destination=[PACS], route=[{"name": "all", "destinations": ["pacs"]}])
    work(node, runner)
    row = node.series()
    assert (row["state"], row["error"]) == ("FAILED", "the child process crashed (SIGSEGV)")
    assert node.events("delivery.failed") == []


def test_a_stopping_node_leaves_the_series_to_the_next_start(make_node, runner):
    runner.error = ProcessingStoppedError("the node is stopping")
    node = make_node()
    with pytest.raises(ProcessingStoppedError):
        work(node, runner)
    assert node.series()["state"] == "PROCESSING"
    runner.error = None
    work(node, runner)
    assert node.series()["state"] == "PROCESSED"


def test_a_job_that_runs_twice_does_its_work_once(make_node, runner):
    node = make_node(destination=[PACS], route=[{"name": "all", "destinations": ["pacs"]}])
    work(node, runner)
    work(node, runner)
    assert len(runner.orders) == 1
    assert len(node.events("series.processed")) == 1


def test_a_job_for_a_revision_that_was_overtaken_does_nothing(make_node, runner, tmp_path):
    node = make_node()
    late = tmp_path / "late.dcm"
    late.write_bytes(b"late")
    node.arrive([late], sops=["1.2.3.99"])
    work(node, runner, revision=1)
    assert runner.orders == []
    assert (node.series()["state"], node.series()["revision"]) == ("RECEIVING", 2)


def test_a_result_that_was_overtaken_while_it_was_made_changes_nothing(make_node, runner, tmp_path):
    node = make_node()
    late = tmp_path / "late.dcm"
    late.write_bytes(b"late")
    run = runner.run

    def run_while_a_late_instance_comes(order):
        node.arrive([late], sops=["1.2.3.99"])
        return run(order)

    runner.run = run_while_a_late_instance_comes
    work(node, runner)
    assert (node.series()["state"], node.series()["verdict"]) == ("RECEIVING", None)
    assert len(node.events("series.stale")) == 1


def test_late_instances_are_told_as_a_finding(make_node, runner, tmp_path):
    node = make_node()
    work(node, runner)
    late = tmp_path / "late.dcm"
    late.write_bytes(b"late")
    node.arrive([late], sops=["1.2.3.99"])
    node.complete()
    work(node, runner, revision=2)
    (finding,) = runner.orders[1].findings
    assert (finding["code"], finding["severity"]) == ("ING-009", "WARN")
    assert finding["evidence"] == {"n": 1, "revision": 2}


def test_an_instance_with_the_uid_of_one_in_another_series_is_told_as_a_finding(make_node, runner, tmp_path):
    node = make_node()
    other = tmp_path / "other.dcm"
    other.write_bytes(b"other")
    node.arrive([other], series="1.2.3.5", sops=[f"{SERIES}.1"])
    node.complete("1.2.3.5")
    SeriesWork(node.config, node.repository, runner, now=node.clock)("1.2.3.5", 1)
    (finding,) = runner.orders[0].findings
    assert (finding["code"], finding["evidence"]["SOPInstanceUID"]) == ("ING-002", [f"{SERIES}.1"])


def test_of_two_objects_with_one_uid_both_go_to_the_child_which_sees_the_conflict(
    make_node, runner, tmp_path
):
    node = make_node()
    again = tmp_path / "again.dcm"
    again.write_bytes(b"other bytes")
    node.arrive([again], sops=[f"{SERIES}.1"])
    node.complete()
    work(node, runner, revision=2)
    (order,) = runner.orders
    assert again in order.files
    assert [finding["code"] for finding in order.findings] == ["ING-009"]


def test_doubts_at_completion_are_handed_on(make_node, runner):
    node = make_node()
    doubt = {"code": "CMP-001", "severity": "WARN", "message": "a hole", "evidence": {}}
    node.repository.requeue(SERIES, 1, node.clock())
    node.arrive([node.folder / "registry.db"], series="1.2.3.6")
    node.repository.complete("1.2.3.6", "cap", {"findings": [doubt]}, node.clock())
    SeriesWork(node.config, node.repository, runner, now=node.clock)("1.2.3.6", 1)
    assert runner.orders[0].findings == (doubt,)
