"""The whole node commits: to Orthanc, to a requestor that waits, and after its processes were killed."""

import json

import pytest

import data
from commitments import CT, Requestor, ask, committed, failed, store
from node.demo import TemporaryNode
from nodes import Orthanc, await_that, free_port, run_cli

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
TRANSACTION = "1.2.826.0.1.3680043.8.498.78"
UNKNOWN = "1.2.826.0.1.3680043.8.498.405"


def tables(*peers: tuple[str, int], port: int = 0) -> dict:
    node = {"port": port} if port else {}
    return {
        "node": node,
        "listener": {"peer": [{"calling_aet": aet, "report_port": at} for aet, at in peers]},
    }


def listed(node: TemporaryNode) -> list[dict]:
    return json.loads(run_cli("commitments", "list", "--json", "-c", str(node.config_file)).stdout)


def send(association, slices: int) -> list[tuple[str, str]]:
    return store(association, data.ct_series(slices=slices, rows=64, columns=64))


@pytest.mark.servers
def test_orthanc_hears_what_was_committed_and_what_was_not(tmp_path):
    port = free_port()
    with (
        Orthanc(tmp_path / "orthanc", peers={"node": ("PREPNODE", port)}) as orthanc,
        TemporaryNode(tables(("ORTHANC", orthanc.port), port=port), folder=tmp_path / "node"),
    ):
        orthanc.upload(data.write(data.ct_series(slices=5, rows=32, columns=32), tmp_path / "in")[0].parent)
        instances = orthanc.call("/instances")
        orthanc.send_all("node")
        whole = asked(orthanc, {"Resources": instances})
        part = asked(orthanc, {"DicomInstances": [{"SOPClassUID": CT, "SOPInstanceUID": UNKNOWN}]})
    assert whole["Status"] == "Success"
    assert len(whole["Success"]) == 5
    assert whole["RemoteAET"] == "PREPNODE"
    assert part["Status"] == "Failure"
    assert [(each["SOPInstanceUID"], each["FailureReason"]) for each in part["Failures"]] == [
        (UNKNOWN, 0x0112)
    ]


def asked(orthanc: Orthanc, objects: dict) -> dict:
    """Have Orthanc ask the node; return what it heard in the end."""
    begun = orthanc.call("/modalities/node/storage-commitment", json.dumps(objects).encode())

    def ended() -> dict | None:
        report = orthanc.call(begun["Path"])
        return report if report["Status"] != "Pending" else None

    return await_that(ended, "Orthanc to hear")


def test_a_requestor_that_waits_hears_on_its_association(tmp_path):
    scanner = Requestor()
    with TemporaryNode(folder=tmp_path) as node:
        association = scanner.associate(node.port)
        references = send(association, 50)
        assert ask(association, TRANSACTION, references) == 0x0000
        kind, report = scanner.report(10)
        await_that(lambda: listed(node)[0]["state"] == "REPORTED", "the answer to be noted")
        association.release()
    assert (kind, committed(report), failed(report)) == (1, references, {})


def test_a_node_that_is_killed_after_the_request_reports_when_it_is_back(tmp_path):
    scanner = Requestor()
    with scanner.listening() as port, TemporaryNode(tables(("SCANNER", port)), folder=tmp_path) as node:
        association = scanner.associate(node.port)
        references = send(association, 20)
        assert ask(association, TRANSACTION, references) == 0x0000
        node.kill()
        association.abort()
        scanner.reports.clear()
        scanner.heard.clear()
        node.start()
        kind, report = scanner.report(100)
        await_that(lambda: listed(node)[0]["state"] == "REPORTED", "the answer to be noted")
    assert (kind, committed(report)) == (1, references)
