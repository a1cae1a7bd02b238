"""The whole node, from real senders to delivered objects."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest

import data
from listeners import RawPeer
from node.demo import TemporaryNode
from node.part10 import read_file_meta
from node.registry import queries
from node.registry.database import read_engine
from nodes import END_STATES, Orthanc, StoreSCP, await_end_states, await_that, free_port, run_cli

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(300)]
SENDERS = ("storescu", "dcmsend", "orthanc")
GROUPS = (
    "ct_philips_head_5mm",
    "ct_philips_tilt_-18.5",
    "mr_siemens_HFDR_sag",
    "emr_philips_anat",
    "mr_generic_j2k",
)
FAST = {"completion": {"quiet_s": 2, "settle_s": 0.5}}


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory) -> Iterator[TemporaryNode]:
    """Return a node for the tests that only send and look: each with series of its own."""
    with TemporaryNode(FAST, folder=tmp_path_factory.mktemp("node")) as node:
        yield node


def digest_of_outputs(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name.startswith("v")
    }


def outputs_of(node: TemporaryNode, series: Collection[str]) -> dict[str, dict[str, str]]:
    """Wait until these series have ended; return the digests of their outputs by SeriesInstanceUID."""
    engine = read_engine(f"sqlite:///{node.data_dir / 'registry.db'}")

    def ended() -> bool:
        states = {row["SeriesInstanceUID"]: row["state"] for row in queries.series_list(engine, limit=1000)}
        return all(states.get(uid) in END_STATES for uid in series)

    await_that(ended, f"{len(series)} series to end; log: {node.log_file}", 120)
    engine.dispose()
    reports = (node.data_dir / "outputs").rglob("report.json")
    folders = {path.parent.parent.name: path.parent for path in reports}
    return {uid: digest_of_outputs(folders[uid]) for uid in series}


def outputs_of_run(study: Path, out: Path) -> dict[str, dict[str, str]]:
    run_cli("run", str(study), "--out", str(out))
    return {path.parent.name: digest_of_outputs(path.parent) for path in out.rglob("report.json")}


def write_study(folder: Path, number: int = 0) -> Path:
    for name, tilt_deg in (("plain", 0), ("tilted", 12)):
        uid = f"2.25.47{number}{tilt_deg}"
        who = {"series_uid": uid, "study_uid": f"2.25.46{number}"}
        data.write(data.ct_series(slices=12, rows=32, columns=32, tilt_deg=tilt_deg, **who), folder / name)
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


@pytest.mark.parametrize("sender", SENDERS)
def test_outputs_of_the_wire_are_those_of_run(
    sender: str, shared_node: TemporaryNode, tmp_path: Path
) -> None:
    study = write_study(tmp_path / "study", number=1 + SENDERS.index(sender))
    expected = outputs_of_run(study, tmp_path / "run")
    assert len(expected) == 2
    assert all(expected.values())
    if sender == "orthanc":
        with Orthanc(tmp_path / "orthanc", peers={"prepnode": ("PREPNODE", shared_node.port)}) as orthanc:
            orthanc.upload(study)
            orthanc.send_all("prepnode")
    else:
        send_with(sender, study, shared_node.port)
    assert outputs_of(shared_node, expected) == expected


@pytest.mark.parametrize("associations", [1, 3, 24], ids=["one", "three at a time", "one for each instance"])
def test_any_split_over_associations_gives_the_same_bytes(
    associations: int, shared_node: TemporaryNode, tmp_path: Path
) -> None:
    """The instances of both series are shuffled and dealt out; the associations send at the same time."""
    study = write_study(tmp_path / "study", number=10 + associations)
    expected = outputs_of_run(study, tmp_path / "run")
    paths = [path for path in study.rglob("*") if path.is_file()]
    random.Random(associations).shuffle(paths)
    shares = [paths[first::associations] for first in range(associations)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda share: send_files(share, shared_node.port), shares))
    assert outputs_of(shared_node, expected) == expected


def send_files(paths: list[Path], port: int) -> None:
    """Send these files over one association, in this order."""
    with RawPeer(port, timeout_s=60) as peer:
        assert peer.associate() == "AC"
        for number, path in enumerate(paths, start=1):
            content = path.read_bytes()
            meta = read_file_meta(content)
            uid = str(meta.sop_instance_uid)
            assert peer.store(content[meta.dataset_offset :], uid=uid, message_id=number) == 0
        peer.release()


@pytest.mark.parametrize("group", GROUPS)
def test_real_groups_give_the_same_bytes_through_the_wire(
    group: str, shared_node: TemporaryNode, shared_data: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    shutil.copytree(shared_data / group, study)
    expected = outputs_of_run(study, tmp_path / "run")
    assert any(expected.values())
    send_with("storescu" if "j2k" not in group else "dcmsend", study, shared_node.port)
    assert outputs_of(shared_node, expected) == expected


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


@pytest.mark.parametrize("is_secret", [False, True])
def test_derived_images_arrive_at_storescp_and_deidentified_ones_alone(
    tmp_path: Path, is_secret: bool
) -> None:
    who = {"PatientName": "Ostertag^Wilhelmine", "PatientID": "4711-0815", "BurnedInAnnotation": "NO"}
    datasets = data.ct_series(slices=12, rows=32, columns=32, **who)
    data.write(datasets, tmp_path / "study")
    (tmp_path / "key").write_text("k" * 32)
    profile: dict[str, object] = {"derived_dicom": True}
    if is_secret:
        profile |= {"deidentify": True, "deidentify_key_file": str(tmp_path / "key")}
    scp_port = free_port()
    pacs = {"name": "pacs", "kind": "dicom", "host": "127.0.0.1", "port": scp_port, "called_aet": "STORESCP"}
    with StoreSCP(tmp_path / "received", scp_port) as scp:
        tables = FAST | {
            "destination": [pacs],
            "profile": {"out": profile},
            "route": [{"name": "all", "profile": "out", "destinations": ["pacs"], "send": ["outputs"]}],
        }
        with TemporaryNode(tables, folder=tmp_path / "node") as node:
            send_with("storescu", tmp_path / "study", node.port)
            await_end_states(node, series=1, deliveries=1)
        received = sorted(scp.datasets().values(), key=lambda image: image.InstanceNumber)
        contents = [path.read_bytes() for path in (scp.folder / "in").iterdir()]
    assert [image.ImagePositionPatient for image in received] == [
        each.ImagePositionPatient for each in datasets
    ]
    assert {image.ImageType[0] for image in received} == {"DERIVED"}
    told = [content for content in contents if b"Ostertag" in content]
    assert len(told) == (0 if is_secret else 12)
    study = {image.StudyInstanceUID for image in received}
    assert (study == {datasets[0].StudyInstanceUID}) is not is_secret


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
