"""From a listener to the registrar and back: nothing is told twice for good, and nothing is lost when either dies."""

import socket
from pathlib import Path

import pytest

import data
from node import handover as room
from node.digest import digest
from node.handover import Handover
from node.header_facts import identity
from node.part10 import read_file_meta
from node.receipts import HEAD_BYTES, Receipt, frame, read_frame, receipts, socket_path
from node.registrar import RegistrarServer
from node.registration import Registrar
from node.registry.repository import Repository
from node.spool import Spool
from nodes import await_that
from registries import NOON, registry, rows

WAIT_S = 30.0


class Process:
    """What the registrar process consists of; it may be started again on the same folder."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(registry(folder))
        self.spool = Spool(folder / "spool", "host-registrar")
        self.registrar = Registrar(self.repository, self.spool)
        self.server = RegistrarServer(socket_path(folder), self.repository, self.spool, self.registrar)
        self.registrar.recover()
        self.registrar.start()
        self.server.start()

    def stop(self) -> None:
        self.server.stop()
        self.registrar.stop(WAIT_S)
        self.spool.close()
        self.repository.engine.dispose()


class Listener:
    """A listener as the registrar knows it: a spool of its own, and a way to tell."""

    def __init__(self, folder: Path, run: str = "host-0:1-", owner: str = "host-0") -> None:
        self.folder = folder
        self.spool = Spool(folder / "spool", owner)
        self.handover = Handover(socket_path(folder), owner, run)

    def receive(self, content: bytes, *, association: str = "host-0:1-1") -> tuple[Receipt, bytes]:
        """Make an instance durable; return its receipt and its head."""
        meta = read_file_meta(content)
        data_set = content[meta.dataset_offset :]
        incoming = self.spool.open(content[: meta.dataset_offset])
        incoming.write(data_set)
        incoming.commit()
        found = identity(data_set, meta.transfer_syntax_uid)
        receipt = Receipt(
            incoming.name,
            found["SOPInstanceUID"],
            found["SOPClassUID"],
            meta.transfer_syntax_uid,
            found["StudyInstanceUID"],
            found["SeriesInstanceUID"],
            incoming.size,
            incoming.sha256,
            incoming.received_at,
            "PACS",
            "PREPNODE",
            "192.0.2.7",
            association,
        )
        return receipt, data_set[:HEAD_BYTES]

    def submit(self, content: bytes) -> None:
        self.handover.submit(*self.receive(content))

    def stop(self) -> None:
        self.handover.stop(WAIT_S)
        self.spool.close()


@pytest.fixture
def listener(tmp_path):
    made = Listener(tmp_path)
    made.handover.start()
    yield made
    made.stop()


@pytest.fixture
def process(tmp_path):
    made = Process(tmp_path)
    yield made
    made.stop()


def contents(slices=5, **overrides):
    return [data.file_bytes(each) for each in data.ct_series(slices=slices, rows=4, columns=4, **overrides)]


def assert_registered_once(process, count: int) -> None:
    found = rows(process.repository.engine, "instance")
    assert len(found) == len({row["SOPInstanceUID"] for row in found}) == count
    assert all(digest(Path(row["path"])) == row["sha256"] for row in found)
    assert list((process.spool.root / "new").iterdir()) == []
    assert [row["n_instances"] for row in rows(process.repository.engine, "series")] == [count]


def test_what_is_submitted_is_registered_with_its_header_facts(process, listener):
    for content in contents():
        listener.submit(content)
    assert listener.handover.flush(WAIT_S)
    assert listener.handover.pending == 0
    assert_registered_once(process, 5)
    (series,) = rows(process.repository.engine, "series")
    assert (series["Modality"], series["calling_ae_title"]) == ("CT", "PACS")
    assert {row["InstanceNumber"] for row in rows(process.repository.engine, "instance")} == {1, 2, 3, 4, 5}


def test_without_a_head_the_file_is_read(process, listener):
    for content in contents(2):
        listener.handover.submit(listener.receive(content)[0])
    assert listener.handover.flush(WAIT_S)
    found = rows(process.repository.engine, "instance")
    assert {row["InstanceNumber"] for row in found} == {1, 2}


def test_a_long_header_is_read_from_the_file(process, listener):
    dataset = data.ct_series(slices=1, rows=4, columns=4)[0]
    dataset.add_new(0x00091001, "OB", bytes(3 * HEAD_BYTES))
    listener.submit(data.file_bytes(dataset))
    assert listener.handover.flush(WAIT_S)
    (series,) = rows(process.repository.engine, "series")
    assert series["facts"]["Rows"] == 4


def test_what_was_submitted_before_the_registrar_came_is_told_then(tmp_path, listener):
    for content in contents():
        listener.submit(content)
    listener.handover.close_association("host-0:1-1", "released", n_received=5)
    assert not listener.handover.flush(0.3)
    assert listener.handover.pending == 5
    process = Process(tmp_path)
    assert listener.handover.flush(WAIT_S)
    assert_registered_once(process, 5)
    process.stop()


def test_a_registrar_that_dies_is_told_again_and_nothing_is_registered_twice(tmp_path, listener, monkeypatch):
    first = Process(tmp_path)
    monkeypatch.setattr(first.registrar, "told", lambda *_: None)  # it dies before it can say what it did
    batch = contents()
    for content in batch[:3]:
        listener.submit(content)
    await_that(lambda: len(rows(first.repository.engine, "instance")) == 3, "three to be registered")
    assert listener.handover.pending == 3
    first.stop()
    for content in batch[3:]:
        listener.submit(content)
    second = Process(tmp_path)
    assert listener.handover.flush(WAIT_S)
    assert_registered_once(second, 5)
    second.stop()


def test_a_new_listener_tells_what_its_predecessor_left(tmp_path, process):
    before = Listener(tmp_path)
    for content in contents():
        before.receive(content)
    before.spool.close()
    (tmp_path / "spool" / "tmp" / "host-0.cut.dcm").write_bytes(b"half")
    after = Listener(tmp_path, "host-0:2-")
    for path in after.spool.recover():
        after.handover.submit(Receipt(path.name, is_recovered=True))
    after.handover.start()
    assert after.handover.flush(WAIT_S)
    assert_registered_once(process, 5)
    assert list((tmp_path / "spool" / "tmp").iterdir()) == []
    after.stop()


def test_a_listener_hears_of_what_it_found_of_another_that_died(tmp_path, process):
    other = Listener(tmp_path, owner="host-1")
    for content in contents():
        other.receive(content)
    other.spool.close()
    listener = Listener(tmp_path)
    for path in listener.spool.recover():
        assert path.name.startswith("host-1.")
        listener.handover.submit(Receipt(path.name, is_recovered=True))
    listener.handover.start()
    assert listener.handover.flush(WAIT_S)
    assert_registered_once(process, 5)
    listener.stop()


def test_associations_are_noted_in_order_and_those_of_an_earlier_run_are_lost(tmp_path, process, listener):
    who = {"calling_ae_title": "PACS", "called_ae_title": "PREPNODE", "source_address": "192.0.2.7"}
    for name in ("host-0:1-1", "host-0:1-2"):
        listener.handover.open_association(name, **who)
    listener.submit(contents(1)[0])
    listener.handover.close_association("host-0:1-1", "released", n_received=1, n_bytes=9)
    assert listener.handover.flush(WAIT_S)
    listener.handover.stop(WAIT_S)
    again = Handover(socket_path(tmp_path), "host-0", "host-0:2-")
    again.start()
    again.open_association("host-0:2-1", **who)
    assert again.flush(WAIT_S)
    ends = {row["id"]: row["end"] for row in rows(process.repository.engine, "association")}
    assert ends == {"host-0:1-1": "released", "host-0:1-2": "lost", "host-0:2-1": None}
    assert again.stop(WAIT_S)


def test_a_registry_that_refuses_is_told_to_the_listener(process, listener, monkeypatch):
    def refuse(*_):
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(process.spool, "place", refuse)
        listener.submit(contents(1)[0])
        await_that(lambda: listener.handover.problem, "the problem to be told")
        assert listener.handover.pending == 1
    assert listener.handover.flush(WAIT_S)
    await_that(lambda: listener.handover.problem is None, "the problem to be gone")


def test_no_registrar_for_long_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "SILENCE_S", 0.05)
    alone = Handover(socket_path(tmp_path), "host-0", "host-0:1-")
    await_that(lambda: alone.problem == "the registrar process does not answer", "the silence to be noticed")


def test_too_many_that_wait_are_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "MAX_WAITING", 3)
    monkeypatch.setattr(room, "MAX_HEADS", 2)
    alone = Handover(socket_path(tmp_path), "host-0", "host-0:1-")
    for number in range(4):
        alone.submit(Receipt(f"host-0.{number}.dcm"), b"head")
    assert alone.problem == "4 instances wait to be registered"
    assert [len(head) for _, head in alone._fresh] == [4, 4, 0, 0]


def test_a_frame_is_read_as_it_was_written():
    sent = [
        (
            Receipt("a.1.dcm", "1.2", "1.3", "1.4", "1.5", "1.6", 10, "ab" * 32, NOON, "P", "N", "h", "x"),
            b"one",
        ),
        (Receipt("a.2.dcm", is_recovered=True), b""),
        (Receipt("a.3.dcm", received_at=NOON), b"three"),
    ]
    described = [[*receipt.described(), len(head)] for receipt, head in sent]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(frame({"receipts": described}, b"".join(head for _, head in sent)))
        message, blob = read_frame(theirs)
        assert list(receipts(message["receipts"], blob)) == sent
        ours.shutdown(socket.SHUT_WR)
        assert read_frame(theirs) is None


@pytest.mark.parametrize(
    "bad", [b"\xff" * 8, b"\0\0\0\4\0\0\0\0null", b"\0\0\0\5\0\0\0\0{'a'}"], ids=["long", "null", "not JSON"]
)
def test_what_is_no_frame_is_refused(bad):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(bad)
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(ValueError, match=r"frame|Expecting"):
            read_frame(theirs)


def test_a_stranger_on_the_socket_disturbs_nobody(tmp_path, process, listener):
    stranger = socket.socket(socket.AF_UNIX)
    stranger.connect(str(socket_path(tmp_path)))
    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    listener.submit(contents(1)[0])
    assert listener.handover.flush(WAIT_S)
    stranger.close()
