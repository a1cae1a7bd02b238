"""What real senders send is kept byte for byte: storescu, dcmsend, pynetdicom, and every transfer syntax."""

import os
import shutil
import subprocess
import threading
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES

import data
from listeners import CT, IMPLICIT, MR, UID, VERIFICATION, RawPeer, dataset, listening, p_data, pdv, store_rq
from node.part10 import read_file_meta
from nodes import await_that

PRIVATE = "1.3.12.2.1107.5.9.1"
FUTURE = "1.2.840.10008.5.1.4.1.1.9999"
DEFLATED = (DeflatedExplicitVRLittleEndian, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


def dcmtk(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    environment = os.environ | {"TCP_NODELAY": "1"}
    return subprocess.run(
        [tool, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def kept(node) -> dict[str, bytes]:
    """Return the encoded data set of every object that is durable, by SOP Instance UID."""
    found = {}
    for arrival in node.arrivals:
        content = arrival.path.read_bytes()
        found[arrival.sop_instance_uid] = content[read_file_meta(content).dataset_offset :]
    return found


def encoded(paths: list[Path]) -> dict[str, bytes]:
    found = {}
    for path in paths:
        content = path.read_bytes()
        meta = read_file_meta(content)
        found[meta.sop_instance_uid] = content[meta.dataset_offset :]
    return found


@pytest.mark.servers
@pytest.mark.parametrize("sender", ["storescu", "dcmsend"])
def test_dcmtk_senders_are_kept_byte_for_byte(sender: str, tmp_path: Path) -> None:
    paths = data.write(data.ct_series(slices=6), tmp_path / "ct")
    with listening(tmp_path / "node") as node:
        done = dcmtk(
            sender, "-aet", "SENDER", "-aec", "PREPNODE", "127.0.0.1", str(node.port), *map(str, paths)
        )
        assert done.returncode == 0, done.stderr
        assert kept(node) == encoded(paths)
        assert {each.calling_ae_title for each in node.arrivals} == {"SENDER"}
        assert node.server.counters()["by_status"] == {"0x0000": 6}
        await_that(lambda: node.registrar.ends() == ["released"], "the release to be noted", 10)
        assert node.registrar.closed[0][2:] == (6, sum(map(len, encoded(paths).values())))
        assert node.registrar.opened[0]["association"] == node.arrivals[0].association
        node.await_rest()


@pytest.mark.servers
def test_echoscu_is_answered(tmp_path: Path) -> None:
    with listening(tmp_path) as node:
        assert dcmtk("echoscu", "-aec", "PREPNODE", "127.0.0.1", str(node.port)).returncode == 0


def test_pynetdicom_as_sender_is_kept_byte_for_byte(tmp_path: Path) -> None:
    series = data.ct_series(slices=4)
    entity = AE("SENDER")
    entity.add_requested_context(CT, series[0].file_meta.TransferSyntaxUID)
    with listening(tmp_path) as node:
        association = entity.associate("127.0.0.1", node.port)
        assert [association.send_c_store(each).Status for each in series] == [0] * 4
        association.release()
        for each in series:
            assert (
                pydicom.dcmread(
                    next(a.path for a in node.arrivals if a.sop_instance_uid == each.SOPInstanceUID)
                )
                == each
            )
        await_that(lambda: node.registrar.ends() == ["released"], "the release to be noted", 10)


@pytest.mark.parametrize(
    "syntax", sorted([*ALL_TRANSFER_SYNTAXES, "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"])
)
def test_every_transfer_syntax_is_accepted_and_kept_as_it_is(listener, syntax: str) -> None:
    with RawPeer(listener.port) as peer:
        assert peer.associate(contexts=((1, CT, (syntax,)),)) == "AC"
        uid = f"{UID}.{len(listener.arrivals) + 1}"
        content = dataset(uid)
        if syntax in DEFLATED:
            packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            content = packer.compress(content) + packer.flush()
        status = peer.store(content, uid=uid)
        if syntax == ExplicitVRBigEndian:
            assert status == 0xC000  # the context is accepted, but the content is neither
        else:
            assert status == 0x0000
            assert listener.arrivals[-1].transfer_syntax_uid == syntax
            assert listener.arrivals[-1].path.read_bytes().endswith(content)
        peer.release()


@pytest.mark.parametrize("sop_class", [PRIVATE, FUTURE, MR])
def test_private_and_unknown_storage_classes_are_kept(listener, sop_class: str) -> None:
    uid = f"{UID}.7{len(listener.arrivals)}"
    with RawPeer(listener.port) as peer:
        assert peer.associate(contexts=((1, sop_class, (IMPLICIT,)),)) == "AC"
        assert peer.store(dataset(uid, sop_class=sop_class), uid=uid, sop_class=sop_class) == 0x0000
        peer.release()
    assert listener.arrivals[-1].sop_class_uid == sop_class


def test_other_services_are_not_accepted(listener) -> None:
    entity = AE()
    for abstract in (STUDY_ROOT_FIND, VERIFICATION, CT):
        entity.add_requested_context(abstract)
    association = entity.associate("127.0.0.1", listener.port)
    assert {str(cx.abstract_syntax) for cx in association.accepted_contexts} == {VERIFICATION, CT}
    assert {(str(cx.abstract_syntax), cx.result) for cx in association.rejected_contexts} == {
        (STUDY_ROOT_FIND, 3)
    }
    association.release()


def test_the_first_transfer_syntax_of_the_sender_is_chosen_in_each_context(listener) -> None:
    jpeg, explicit = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1"
    entity = AE()
    entity.add_requested_context(CT, [explicit, IMPLICIT])
    entity.add_requested_context(MR, ["1.2.3.4.5", jpeg])
    association = entity.associate("127.0.0.1", listener.port)
    chosen = {str(cx.abstract_syntax): str(cx.transfer_syntax[0]) for cx in association.accepted_contexts}
    assert chosen == {CT: explicit, MR: jpeg}
    association.release()


def test_one_class_in_several_contexts_keeps_each_transfer_syntax(listener) -> None:
    syntaxes = ("1.2.840.10008.1.2.1", IMPLICIT, "1.2.840.10008.1.2.4.70")
    with RawPeer(listener.port) as peer:
        assert (
            peer.associate(contexts=tuple((2 * n + 1, CT, (uid,)) for n, uid in enumerate(syntaxes))) == "AC"
        )
        for number, syntax in enumerate(syntaxes):
            uid = f"{UID}.8.{number}"
            assert peer.store(dataset(uid), uid=uid, context=2 * number + 1) == 0x0000
            assert listener.arrivals[-1].transfer_syntax_uid == syntax
        peer.release()


def test_several_associations_at_once_lose_nothing(tmp_path: Path) -> None:
    count, each = 8, 10
    statuses: list[int] = []

    def send(port: int, number: int) -> None:
        with RawPeer(port) as peer:
            assert peer.associate(calling=f"PEER{number}".encode()) == "AC"
            for index in range(each):
                uid = f"{UID}.{number}.{index}"
                statuses.append(peer.store(dataset(uid, pixels=50_000), uid=uid))
            peer.release()

    with listening(tmp_path) as node:
        threads = [threading.Thread(target=send, args=(node.port, number)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [0] * count * each
        assert len({arrival.sop_instance_uid for arrival in node.arrivals}) == count * each
        assert all(arrival.path.stat().st_size == arrival.size_bytes for arrival in node.arrivals)
        assert len({arrival.association for arrival in node.arrivals}) == count
        node.await_rest()


@pytest.mark.parametrize("fragment", [1, 2, 63, 16000])
def test_fragments_of_any_size_are_put_together(listener, fragment: int) -> None:
    uid = f"{UID}.9.{fragment}"
    content = dataset(uid, pixels=512)
    with RawPeer(listener.port) as peer:
        peer.associate()
        assert peer.store(content, uid=uid, fragment=fragment) == 0x0000
        peer.release()
    assert listener.arrivals[-1].path.read_bytes().endswith(content)


def test_command_and_data_set_in_one_pdu_are_taken(listener) -> None:
    uid = f"{UID}.10"
    with RawPeer(listener.port) as peer:
        peer.associate()
        peer.send(p_data(pdv(1, 3, store_rq(uid=uid)), pdv(1, 2, dataset(uid))))
        assert peer.status() == 0x0000
        peer.release()


def test_a_command_in_two_fragments_is_taken(listener) -> None:
    uid, whole = f"{UID}.11", store_rq(uid=f"{UID}.11")
    with RawPeer(listener.port) as peer:
        peer.associate()
        peer.send(p_data(pdv(1, 1, whole[:20])) + p_data(pdv(1, 3, whole[20:]), pdv(1, 2, dataset(uid))))
        assert peer.status() == 0x0000
        peer.release()


def test_a_peer_with_the_smallest_pdu_gets_its_answer_in_fragments(listener) -> None:
    with RawPeer(listener.port) as peer:
        assert peer.associate(max_pdu=128) == "AC"
        peer.send(p_data(pdv(1, 3, store_rq(uid="../x")), pdv(1, 2, dataset())))
        fragments = [peer.receive() for _ in range(2)]
    assert [name for name, _ in fragments] == ["DATA", "DATA"]
    assert all(len(body) <= 128 for _, body in fragments)
    assert [body[5] for _, body in fragments] == [1, 3]


@pytest.mark.parametrize(
    ("over", "content", "status"),
    [
        ({"uid": "../../../etc/passwd"}, dataset(), 0x0117),
        ({"uid": b"1." + b"2" * 78}, dataset(), 0x0117),
        ({"uid": b"1.2\n3"}, dataset(), 0x0117),
        ({"sop_class": MR}, dataset(), 0xA900),
        ({}, dataset("1.2.3"), 0xA900),
        ({}, dataset(study="../../x"), 0x0117),
        ({}, b"", 0xC000),
        ({}, b"\0" * 100, 0xC000),
    ],
)
def test_a_bad_object_is_refused_and_the_association_goes_on(
    listener, over, content: bytes, status: int
) -> None:
    uid = f"{UID}.12"
    with RawPeer(listener.port) as peer:
        peer.associate()
        before = len(listener.arrivals)
        assert peer.store(content, **over) == status
        assert len(listener.arrivals) == before
        assert peer.store(dataset(uid), uid=uid) == 0x0000
        peer.release()
    assert listener.temporary_files() == []


def test_a_store_without_data_set_is_answered_at_once(listener) -> None:
    with RawPeer(listener.port) as peer:
        peer.associate()
        peer.send(p_data(pdv(1, 3, store_rq(data_set=0x0101))))
        status, comment = peer.response()
        assert (status, comment) == (0xC000, "no data set")
        peer.release()


def test_real_files_of_every_group_are_kept_byte_for_byte(listener, shared_data: Path) -> None:
    from node.forwarding.association import Association, Target, batches
    from node.forwarding.sendable import sendable

    groups = (
        "ct_all_transfer_syntaxes",
        "mr_generic_j2k",
        "us_misc",
        "emr_philips_anat",
        "rt_objects",
        "deflated_nonimage",
    )
    items = [sendable(path) for group in groups for path in sorted((shared_data / group).iterdir())]
    items = [item for item in items if item is not None]
    assert len(items) > 20
    taken = 0
    for contexts in batches([item.context for item in items]):
        with Association(Target("127.0.0.1", listener.port, "PREPNODE"), contexts) as association:
            for item in items:
                before = len(listener.arrivals)
                if association.accepts(item.context) and association.store(item).status == 0:
                    taken += 1
                    expected = item.path.read_bytes()[item.offset :]
                    arrival = listener.arrivals[before]
                    assert arrival.path.read_bytes().endswith(expected)
                    assert arrival.path.stat().st_size - len(expected) < 700
                    assert (
                        pydicom.dcmread(arrival.path).file_meta.TransferSyntaxUID == item.transfer_syntax_uid
                    )
    assert taken == len(items)


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    with listening(tmp_path_factory.mktemp("node")) as node:
        yield node
