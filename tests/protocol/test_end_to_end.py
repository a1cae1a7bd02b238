"""The whole node, from real senders to delivered objects."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pydicom
import pytest

import data
from node.demo import TemporaryNode
from nodes import Orthanc, StoreSCP, await_end_states, free_port, run_cli

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(300)]
GROUPS = (
    "ct_philips_head_5mm",
    "ct_philips_tilt_-18.5",
    "mr_siemens_HFDR_sag",
    "emr_philips_anat",
    "mr_generic_j2k",
)
FAST = {"completion": {"quiet_s": 3, "settle_s": 0.5}}


def digest_of_outputs(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name.startswith("v")
    }


def outputs_of(node: TemporaryNode) -> dict[str, dict[str, str]]:
    reports = (node.data_dir / "outputs").rglob("report.json")
    return {path.parent.parent.name: digest_of_outputs(path.parent) for path in reports}


def outputs_of_run(study: Path, out: Path) -> dict[str, dict[str, str]]:
    run_cli("run", str(study), "--out", str(out))
    return {path.parent.name: digest_of_outputs(path.parent) for path in out.rglob("report.json")}


def write_study(folder: Path) -> Path:
    data.write(data.ct_series(slices=12, rows=32, columns=32), folder / "plain")
    data.write(
        data.ct_series(slices=12, rows=32, columns=32, tilt_deg=12, series_uid="2.25.4712"), folder / "tilted"
    )
    return folder


def send_with(sender: str, study: Path, port: int) -> None:
    environment = os.environ | {"TCP_NODELAY": "1"}
    if sender == "storescu":
        files = [str(path) for path in sorted(study.rglob("*")) if path.is_file()]
        command = ["storescu", "-R", "-aec", "PREPNODE", "127.0.0.1", str(port), *files]
    else:
        command = ["dcmsend", "-dn", "-aec", "PREPNODE", "127.0.0.1", str(port), "+sd", "+r", str(study)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("sender", ["storescu", "dcmsend", "orthanc"])
def test_outputs_of_the_wire_are_those_of_run(sender: str, tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    expected = outputs_of_run(study, tmp_path / "run")
    with TemporaryNode(FAST, folder=tmp_path / "node") as node:
        if sender == "orthanc":
            with Orthanc(tmp_path / "orthanc", peers={"prepnode": ("PREPNODE", node.port)}) as orthanc:
                orthanc.upload(study)
                orthanc.send_all("prepnode")
        else:
            send_with(sender, study, node.port)
        await_end_states(node, series=2)
        found = outputs_of(node)
    assert len(expected) == 2
    assert all(expected.values())
    assert found == expected


@pytest.mark.parametrize("group", GROUPS)
def test_real_groups_give_the_same_bytes_through_the_wire(
    group: str, shared_data: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    shutil.copytree(shared_data / group, study)
    expected = outputs_of_run(study, tmp_path / "run")
    with TemporaryNode(FAST, folder=tmp_path / "node") as node:
        send_with("storescu" if "j2k" not in group else "dcmsend", study, node.port)
        await_end_states(node, series=len(expected))
        assert outputs_of(node) == expected


def test_originals_arrive_at_storescp_and_orthanc_with_identical_data_sets(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    scp_port = free_port()
    with Orthanc(tmp_path / "orthanc") as orthanc, StoreSCP(tmp_path / "received", scp_port) as scp:
        tables = FAST | {
            "destination": [
                {
                    "name": "pacs",
                    "kind": "dicom",
                    "host": "127.0.0.1",
                    "port": scp_port,
                    "called_aet": "STORESCP",
                },
                {
                    "name": "orthanc",
                    "kind": "dicom",
                    "host": "127.0.0.1",
                    "port": orthanc.port,
                    "called_aet": "ORTHANC",
                },
            ],
            "route": [{"name": "all", "destinations": ["pacs", "orthanc"], "send": ["originals", "report"]}],
        }
        with TemporaryNode(tables, folder=tmp_path / "node") as node:
            send_with("storescu", study, node.port)
            await_end_states(node, series=2, deliveries=4)
        sent = {
            pydicom.dcmread(path).SOPInstanceUID: pydicom.dcmread(path)
            for path in study.rglob("*")
            if path.is_file()
        }
        for received in (scp.datasets(), orthanc.datasets()):
            reports = [ds for uid, ds in received.items() if uid not in sent]
            assert {uid for uid in received if uid in sent} == set(sent)
            assert all(received[uid] == sent[uid] for uid in sent)
            assert len(reports) == 2


def test_a_late_instance_makes_revision_two_with_all_slices(tmp_path: Path) -> None:
    datasets = data.ct_series(slices=12, rows=32, columns=32)
    data.write(datasets[:11], tmp_path / "first")
    data.write(datasets[11:], tmp_path / "late")
    with TemporaryNode(FAST, folder=tmp_path / "node") as node:
        send_with("storescu", tmp_path / "first", node.port)
        await_end_states(node, series=1)
        send_with("storescu", tmp_path / "late", node.port)
        rows = await_end_states(node, series=1, revision=2)
        folder = node.data_dir / "outputs" / rows[0]["StudyInstanceUID"] / rows[0]["SeriesInstanceUID"]
        report = json.loads((folder / "r2" / "report.json").read_text())
    assert report["volumes"][0]["n_instances"] == 12
    assert "ING-009" in {finding["code"] for finding in report["findings"]}


def test_the_node_stops_in_order_within_thirty_seconds(tmp_path: Path) -> None:
    with TemporaryNode(FAST, folder=tmp_path / "node") as node:
        started = time.monotonic()
        code = node.stop()
        assert code == 0
        assert time.monotonic() - started < 30
