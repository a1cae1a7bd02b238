"""From a command and bytes to a status: every row of the status map, and what is left on the disk."""

import io
import struct
import zlib
from pathlib import Path

import pydicom
import pytest

import data
from listeners import CT, DEFLATED, EXPLICIT, IMPLICIT, MR, UID, Registrar, dataset, element
from node.errors import DiskFullError, SpoolError
from node.header_facts import HEAD_BYTES
from node.incoming import Incoming
from node.listener.c_store import FIRST_LOOK_BYTES, Command, StoreService
from node.listener.file_meta import Sender
from node.part10 import read_file_meta
from node.recovery import arrival_from_file
from node.spool import Spool

SENDER = Sender("PACS1", "PREPNODE", "192.0.2.7", "test:1")
SEQUENCE = struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF)
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


class FailingSpool:
    """A spool that fails at opening, at the n-th write, or at the end."""

    owner = "test"

    def __init__(self, spool: Spool, error: SpoolError, *, at: str, write: int = 1) -> None:
        self._spool, self._error, self._at, self._write = spool, error, at, write

    def open(self, file_meta=b""):
        if self._at == "open":
            raise self._error
        incoming = self._spool.open(file_meta)
        if self._at == "write":
            incoming.append = self._failing(incoming, incoming.append)
        else:
            incoming.commit = self._raise
        return incoming

    def _failing(self, incoming, append):
        calls = iter(range(1, 1000))

        def fail(buffers):
            if next(calls) == self._write:
                incoming.discard()
                raise self._error
            append(buffers)

        return fail

    def _raise(self):
        raise self._error


@pytest.fixture
def spool(tmp_path: Path):
    made = Spool(tmp_path / "spool", "test", durability="flush")
    yield made
    made.close()


@pytest.fixture
def service(spool: Spool) -> StoreService:
    return StoreService(spool, Registrar(spool.root / "new"))


def command(**over) -> Command:
    plain = {
        "sop_class_uid": CT,
        "sop_instance_uid": UID,
        "abstract_syntax": CT,
        "transfer_syntax_uid": IMPLICIT,
    }
    return Command(**(plain | over))


def store(service: StoreService, content: bytes, *, fragment: int = 16384, **over):
    reception = service.begin(command(**over), SENDER)
    for at in range(0, len(content), fragment):
        reception.write(memoryview(content)[at : at + fragment])
    answer = reception.finish()
    reception.settle()
    return answer


def files(spool: Spool, folder: str) -> list[Path]:
    return list((spool.root / folder).iterdir())


def nested(depth: int) -> bytes:
    return (SEQUENCE + ITEM) * depth + (ITEM_END + SEQUENCE_END) * depth


def refused(service: StoreService, content: bytes, **over):
    """Store what must be refused; nothing of it may remain."""
    answer = store(service, content, **over)
    assert answer.status != 0
    assert 0 < len(answer.comment) <= 64
    assert service.registrar.arrivals == []
    assert service.wait_idle(0)
    root = service.spool.root if isinstance(service.spool, Spool) else service.spool._spool.root
    assert list((root / "tmp").iterdir()) == []
    assert list((root / "new").iterdir()) == []
    return answer


def test_success_means_durable_and_submitted(service: StoreService, spool: Spool) -> None:
    content = dataset(pixels=100_000)
    assert store(service, content).status == 0x0000
    (arrival,) = service.registrar.arrivals
    (path,) = files(spool, "new")
    assert arrival.path == path
    assert path.read_bytes().endswith(b"DICM" + path.read_bytes()[132 : -len(content)] + content)
    assert arrival.size_bytes == path.stat().st_size
    assert (arrival.sop_instance_uid, arrival.sop_class_uid) == (UID, CT)
    assert (arrival.study_instance_uid, arrival.series_instance_uid) == ("1.2.3.1", "1.2.3.2")
    assert (arrival.calling_ae_title, arrival.called_ae_title) == ("PACS1", "PREPNODE")
    assert (arrival.source_address, arrival.association) == ("192.0.2.7", "test:1")
    assert arrival.transfer_syntax_uid == IMPLICIT
    assert files(spool, "tmp") == []
    assert service.wait_idle(0)


def test_the_file_is_a_part_10_file_for_pydicom_and_for_recovery(service: StoreService, spool: Spool) -> None:
    original = data.ct_series(slices=1, rows=32, columns=32)[0]
    written = data.file_bytes(original)
    content = written[read_file_meta(written).dataset_offset :]
    uid = str(original.SOPInstanceUID)
    assert store(service, content, sop_instance_uid=uid, transfer_syntax_uid=EXPLICIT).status == 0
    (path,) = files(spool, "new")
    assert pydicom.dcmread(path) == original
    meta = read_file_meta(path.read_bytes()[:1000])
    assert path.read_bytes()[meta.dataset_offset :] == content
    assert (meta.calling_ae_title, meta.called_ae_title) == ("PACS1", "PREPNODE")
    assert (meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid) == (CT, uid, EXPLICIT)
    assert service.registrar.arrivals[0].facts["Modality"] == "CT"


@pytest.mark.parametrize("fragment", [1, 7, 4096, 1 << 20])
def test_fragments_of_any_size_give_the_same_file(service: StoreService, spool: Spool, fragment: int) -> None:
    content = dataset(pixels=1024)
    assert store(service, content, fragment=fragment).status == 0
    assert files(spool, "new")[0].read_bytes().endswith(content)


def test_no_space_is_a700(spool: Spool) -> None:
    for at in ("open", "write", "commit"):
        service = StoreService(FailingSpool(spool, DiskFullError("full"), at=at), Registrar())
        assert refused(service, dataset(pixels=100_000)).status == 0xA700


def test_a_disk_that_fails_is_a700(spool: Spool) -> None:
    for at in ("open", "write", "commit"):
        service = StoreService(FailingSpool(spool, SpoolError("input/output error"), at=at), Registrar())
        assert refused(service, dataset(pixels=100_000)).status == 0xA700


def test_a_write_that_fails_late_drops_what_was_written(spool: Spool) -> None:
    service = StoreService(FailingSpool(spool, DiskFullError("full"), at="write", write=4), Registrar())
    assert refused(service, dataset(pixels=500_000)).status == 0xA700


def test_less_than_the_reserve_is_a700(spool: Spool) -> None:
    room = [False, True]
    service = StoreService(spool, Registrar(), accepting=lambda: room.pop(0))
    assert refused(service, dataset()).status == 0xA700
    assert store(service, dataset()).status == 0x0000


def test_a_disk_that_does_not_say_how_full_it_is_is_a700(spool: Spool) -> None:
    def unknown() -> bool:
        raise OSError("gone")

    assert refused(StoreService(spool, Registrar(), accepting=unknown), dataset()).status == 0xA700


def test_longer_than_the_limit_is_a700_and_not_kept(spool: Spool) -> None:
    service = StoreService(spool, Registrar(), max_bytes=50_000)
    assert refused(service, dataset(pixels=100_000)).status == 0xA700


def test_while_draining_what_has_begun_may_end_and_the_next_is_a700(service: StoreService) -> None:
    begun = service.begin(command(), SENDER)
    begun.write(dataset())
    service.drain()
    assert not service.wait_idle(0)
    assert begun.finish().status == 0x0000
    begun.settle()
    assert service.wait_idle(0)
    assert store(service, dataset()).status == 0xA700


def test_a_registry_that_fails_is_a701(service: StoreService) -> None:
    service.registrar.problem = "locked"
    assert refused(service, dataset()).status == 0xA701


def test_a_registry_that_fails_while_the_object_comes_is_a701_and_not_kept(service: StoreService) -> None:
    reception = service.begin(command(), SENDER)
    reception.write(dataset())
    service.registrar.problem = "locked"
    assert reception.finish().status == 0xA701
    assert files(service.spool, "new") == []


def explode(*_: object) -> None:
    raise ZeroDivisionError


def test_an_error_nobody_thought_of_is_a700(service: StoreService, monkeypatch) -> None:
    monkeypatch.setattr(Incoming, "commit", explode)
    assert store(service, dataset()).status == 0xA700
    assert service.wait_idle(0)


def test_an_object_that_cannot_be_handed_over_stays_for_the_next_start(
    service: StoreService, spool: Spool, caplog
) -> None:
    service.registrar.submit = explode
    assert store(service, dataset()).status == 0x0000
    assert len(files(spool, "new")) == 1
    assert "instance.not_handed_over" in caplog.text
    assert service.wait_idle(0)


def test_another_class_than_the_context_is_a900(service: StoreService) -> None:
    assert refused(service, dataset(), abstract_syntax=MR).status == 0xA900


def test_another_class_in_the_data_set_is_a900(service: StoreService) -> None:
    assert refused(service, dataset(sop_class=MR)).status == 0xA900


def test_another_instance_uid_in_the_data_set_is_a900(service: StoreService) -> None:
    assert refused(service, dataset("1.2.3")).status == 0xA900


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 500, b"<html>" * 100, bytes(range(256)) * 10, dataset()[:60]]
)
def test_no_data_set_or_one_without_its_uids_is_c000(service: StoreService, content: bytes) -> None:
    assert refused(service, content).status == 0xC000


def test_a_command_that_announces_no_data_set_is_c000(service: StoreService) -> None:
    assert refused(service, b"", has_data_set=False).status == 0xC000


def test_an_object_cut_short_after_its_uids_is_kept(service: StoreService, spool: Spool) -> None:
    cut = dataset() + struct.pack("<HHI", 0x7FE0, 0x0010, 4_000_000_000) + b"\1\2"
    assert store(service, cut).status == 0x0000
    assert files(spool, "new")[0].read_bytes().endswith(cut)


def test_sequences_nested_too_deeply_before_the_uids_are_c001(service: StoreService) -> None:
    assert refused(service, dataset(extra=nested(65))).status == 0xC001
    assert store(service, dataset(extra=nested(20))).status == 0x0000


@pytest.mark.parametrize(
    "uid",
    [
        "",
        "../../../etc/passwd",
        "1.2.3/4",
        "1." + "2" * 78,
        "1.2\n3",
        "1.2\x003",
        "1..2",
        "1.2.",
        "CON",
        "-1.2",
    ],
)
def test_an_instance_uid_that_is_none_is_0117(service: StoreService, uid: str) -> None:
    assert refused(service, dataset(uid), sop_instance_uid=uid).status == 0x0117


def test_a_study_or_series_uid_that_is_none_is_0117(service: StoreService) -> None:
    assert refused(service, dataset(study="../../etc")).status == 0x0117
    assert refused(service, dataset(series="1.2/3")).status == 0x0117


def test_uids_behind_a_long_private_element_are_found(service: StoreService) -> None:
    long = element(0x0009, 0x1001, b"\1" * (FIRST_LOOK_BYTES + 1000))
    assert store(service, dataset(extra=long)).status == 0x0000
    assert service.registrar.arrivals[0].series_instance_uid == "1.2.3.2"


def test_uids_behind_a_megabyte_are_not_looked_for(service: StoreService) -> None:
    long = element(0x0009, 0x1001, b"\1" * HEAD_BYTES)
    assert refused(service, dataset(extra=long)).status == 0xC000


def test_a_length_that_is_a_lie_allocates_nothing(service: StoreService) -> None:
    lie = struct.pack("<HHI", 0x0009, 0x1001, 0xFFFFFFF0)
    assert refused(service, dataset(extra=lie)).status == 0xC000


def test_a_deflated_object_is_kept_as_it_is(service: StoreService, spool: Spool) -> None:
    plain = io.BytesIO()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    original = data.ct_series(slices=1, rows=32, columns=32)[0]
    pydicom.dcmwrite(plain, original, implicit_vr=False, little_endian=True)
    content = deflate.compress(
        data.file_bytes(original)[read_file_meta(data.file_bytes(original)).dataset_offset :]
    )
    content += deflate.flush()
    uid = str(original.SOPInstanceUID)
    assert store(service, content, sop_instance_uid=uid, transfer_syntax_uid=DEFLATED).status == 0
    assert files(spool, "new")[0].read_bytes().endswith(content)
    assert service.registrar.arrivals[0].study_instance_uid == original.StudyInstanceUID


def test_a_deflate_bomb_is_looked_at_for_a_megabyte_only(service: StoreService) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = deflate.compress(dataset()) + deflate.compress(bytes(200_000_000)) + deflate.flush()
    assert len(bomb) < 300_000
    assert store(service, bomb, transfer_syntax_uid=DEFLATED).status == 0x0000


def test_discard_leaves_nothing_and_may_be_repeated(service: StoreService, spool: Spool) -> None:
    reception = service.begin(command(), SENDER)
    reception.write(dataset(pixels=100_000))
    assert len(files(spool, "tmp")) == 1
    reception.discard()
    reception.discard()
    assert files(spool, "tmp") == []
    assert service.wait_idle(0)


def test_answers_are_counted_by_status(service: StoreService) -> None:
    store(service, dataset())
    store(service, b"")
    store(service, dataset("1.2.3"))
    figures = service.tally.figures()
    assert figures["by_status"] == {"0x0000": 1, "0xC000": 1, "0xA900": 1}
    assert (figures["received"], figures["refused"], figures["bytes"]) == (1, 2, len(dataset()))


class Counting:
    """Counts acknowledgements, and remembers what was submitted and durable by then."""

    def __init__(self, spool: Spool, registrar: Registrar) -> None:
        self._spool, self._registrar = spool, registrar
        self.counted = []

    def acknowledge(self, calling_ae_title, n_bytes, received_at):
        self.counted.append((calling_ae_title, n_bytes, received_at))
        self.before = (len(files(self._spool, "new")), len(self._registrar.arrivals))


def test_success_is_counted_once_durable_and_before_the_registrar_hears_of_it(spool: Spool) -> None:
    registrar = Registrar(spool.root / "new")
    acks = Counting(spool, registrar)
    service = StoreService(spool, registrar, acks=acks)
    assert store(service, dataset()).status == 0
    assert acks.before == (1, 0)
    (arrival,) = registrar.arrivals
    assert acks.counted == [("PACS1", arrival.size_bytes, arrival.received_at)]
    assert arrival_from_file(arrival.path).received_at == arrival.received_at  # after a crash the same day


def test_what_is_refused_is_not_counted(spool: Spool) -> None:
    registrar = Registrar()
    acks = Counting(spool, registrar)
    refused(StoreService(spool, registrar, acks=acks), dataset("1.2.3"))
    failing = FailingSpool(spool, DiskFullError("full"), at="commit")
    refused(StoreService(failing, registrar, acks=acks), dataset())
    assert acks.counted == []
