"""Delivery by C-STORE: to dcmtk and Orthanc byte for byte, and to peers that refuse, warn or break off."""

from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

import data
from faulty_peers import RawPeer, ScriptedPeer
from node.forwarding.attempt import DeliveryWork
from node.part10 import read_file_meta
from nodes import Orthanc, StoreSCP, free_port
from registered import SERIES, Node


@pytest.fixture
def make_node(tmp_path):
    nodes = []

    def make(port, *, send=("originals",), slices=5, change=lambda dataset, index: None, **keys):
        """A node with one processed CT series, and a delivery of it to a DICOM peer on this port."""
        pacs = {"name": "pacs", "kind": "dicom", "host": "127.0.0.1", "port": port, "called_aet": "PACS"}
        node = Node(tmp_path / "data", {"destination": [{**pacs, **keys}]})
        nodes.append(node)
        datasets = data.ct_series(slices=slices, rows=32, columns=32)
        for index, dataset in enumerate(datasets):
            change(dataset, index)
        files = data.write(datasets, tmp_path / "originals")
        node.files = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: path for path in files}
        node.arrive(list(node.files.values()), sops=list(node.files))
        node.complete()
        node.finish([node.product("v0.nii.gz")], [{"destination": "pacs", "send": list(send)}])
        return node

    yield make
    for node in nodes:
        node.close()


def attempt(node):
    return DeliveryWork(node.config, node.repository, now=node.clock, random=lambda: 0.0)(1)


def encoded_dataset(path: Path) -> bytes:
    content = path.read_bytes()
    return content[read_file_meta(content).dataset_offset :]


def mixed_syntaxes(dataset, index):
    """Encode a slice by its index: as built, Implicit VR, RLE, deflated."""
    if index == 1:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    elif index == 2:
        dataset.compress(RLELossless, encoding_plugin="pydicom")
    elif index == 3:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


@pytest.mark.servers
def test_storescp_gets_every_data_set_byte_for_byte_in_its_own_transfer_syntax(make_node, tmp_path):
    with StoreSCP(tmp_path / "scp", free_port()) as scp:
        node = make_node(scp.port, change=mixed_syntaxes)
        assert attempt(node) is None
        assert node.delivery()["state"] == "DELIVERED"
        received = {}
        for path in (scp.folder / "in").iterdir():
            received[pydicom.dcmread(path).SOPInstanceUID] = path
    assert received.keys() == node.files.keys()
    syntaxes = set()
    for uid, path in node.files.items():
        assert encoded_dataset(received[uid]) == encoded_dataset(path)
        syntaxes.add(pydicom.dcmread(received[uid]).file_meta.TransferSyntaxUID)
    assert len(syntaxes) == 4


@pytest.mark.servers
@pytest.mark.slow
def test_orthanc_gets_the_same_data_sets(make_node, tmp_path):
    with Orthanc(tmp_path / "orthanc") as orthanc:
        node = make_node(orthanc.port, called_aet="ORTHANC")
        assert attempt(node) is None
        received = orthanc.datasets()
    assert node.delivery()["state"] == "DELIVERED"
    assert received == {uid: pydicom.dcmread(path) for uid, path in node.files.items()}


def test_out_of_resources_ends_the_attempt_and_the_next_sends_only_the_rest(make_node):
    with ScriptedPeer(0, 0, 0xA700) as peer:
        node = make_node(peer.port)
        assert attempt(node) == 30
        assert "out of resources: 0xA700" in node.delivery()["error"]
        assert len(node.delivery()["delivered"]) == 2
        node.clock.advance(seconds=30)
        assert attempt(node) is None
        assert sorted(peer.received) == sorted(node.files)  # each once
    assert node.delivery()["state"] == "DELIVERED"
    assert len(node.delivery()["delivered"]) == 5


def test_an_association_that_is_aborted_is_resumed_where_it_was(make_node):
    with ScriptedPeer(0, 0, 0, None) as peer:
        node = make_node(peer.port)
        assert attempt(node) == 30
        assert len(node.delivery()["delivered"]) == 3
        node.clock.advance(seconds=30)
        assert attempt(node) is None
        assert sorted(peer.received) == sorted(node.files)


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122])
def test_an_object_that_is_refused_for_good_does_not_keep_the_others_back(make_node, status):
    with ScriptedPeer(0, status) as peer:
        node = make_node(peer.port)
        assert attempt(node) is None
        assert len(peer.received) == 4
    row = node.delivery()
    assert row["state"] == "FAILED"
    assert "did not take 1 of 5 objects" in row["error"]
    assert f"answered 0x{status:04X}" in row["error"]
    assert len(row["delivered"]) == 4


def test_a_warning_counts_as_delivered_and_is_kept_in_the_history(make_node):
    with ScriptedPeer(0xB007, 0xB000) as peer:
        node = make_node(peer.port)
        assert attempt(node) is None
    assert node.delivery()["state"] == "DELIVERED"
    (event,) = node.events("delivery.remark")
    assert event["files"] == 2
    assert sorted(event["remarks"].values()) == ["answered 0xB000", "answered 0xB007"]


def test_a_transfer_syntax_that_the_peer_does_not_take_is_told_with_advice_and_never_converted(make_node):
    with ScriptedPeer() as peer:
        node = make_node(peer.port, change=mixed_syntaxes)
        assert attempt(node) is None
        assert len(peer.received) == 2  # the two in Explicit VR Little Endian
    row = node.delivery()
    assert row["state"] == "FAILED"
    assert "did not take 3 of 5 objects" in row["error"]
    assert "objects are sent as they are, never converted" in row["error"]


def test_a_file_that_is_gone_is_named_and_the_others_are_sent(make_node):
    with ScriptedPeer() as peer:
        node = make_node(peer.port)
        next(iter(node.files.values())).unlink()
        assert attempt(node) is None
        assert len(peer.received) == 4
    assert "is no longer on this node" in node.delivery()["error"]


def test_a_report_as_a_dicom_object_goes_to_the_peer_and_the_volume_does_not(make_node, tmp_path):
    with ScriptedPeer() as peer:
        node = make_node(peer.port, send=["outputs", "report"])
        original = next(iter(node.files.values()))
        node.repository.reprocess(SERIES, "a person", node.clock())
        products = [
            node.product("v0.nii.gz", revision=2),
            node.product("report.json", kind="report", revision=2),
            node.product("dicom/report.dcm", original.read_bytes(), kind="structured-report", revision=2),
        ]
        deliveries = [{"destination": "pacs", "send": ["outputs", "report"]}]
        node.finish(products, deliveries, revision=2)
        assert DeliveryWork(node.config, node.repository, now=node.clock)(2) is None
        assert peer.received == [next(iter(node.files))]
    assert node.delivery(1)["state"] == "SUPERSEDED"
    assert node.delivery(2)["delivered"] == ["dicom/report.dcm"]


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("silent", "did not answer for 1 s"),
        ("refuses", "the called AE title is not its own"),
        ("never reads", "takes no data for 1 s"),
        ("never answers", "did not answer for 1 s"),
        ("half reply", "did not answer for 1 s"),
        ("drips", "announces a PDU of|did not answer for 1 s"),
        ("resets", "closed the connection"),
    ],
)
def test_a_peer_that_hangs_or_breaks_costs_one_bounded_attempt(make_node, mode, words):
    """`timeout_s` bounds every answer: were one waited for without end, the test's own time limit would end it."""
    with RawPeer(mode) as peer:
        node = make_node(peer.port, timeout_s=1, change=large if mode == "never reads" else lambda *_: None)
        assert attempt(node) == 30
        assert peer.connections == 1
    row = node.delivery()
    assert row["state"] == "PENDING"
    assert any(each in row["error"] for each in words.split("|")), row["error"]


def large(dataset, index):
    """Make a slice too large for the buffers of a connection, so that a peer that never reads is felt."""
    dataset.Rows, dataset.Columns = 2048, 2048
    dataset.PixelData = bytes(2048 * 2048 * 2)


def test_no_listener_at_all_is_told_and_tried_again(make_node):
    node = make_node(free_port())
    assert attempt(node) == 30
    assert "no connection to 127.0.0.1:" in node.delivery()["error"]


def test_a_slow_peer_is_given_up_at_the_deadline_and_what_it_took_is_kept(make_node):
    with ScriptedPeer(delay_s=0.4) as peer:
        node = make_node(peer.port, timeout_s=1)
        assert attempt(node) == 30
        taken = node.delivery()["delivered"]
        assert 1 <= len(taken) < 5
        assert "given up after 1 s; what was sent is kept" in node.delivery()["error"]
        peer.delay_s = 0.0
        node.clock.advance(seconds=30)
        assert attempt(node) is None
    assert len(peer.received) == 5
