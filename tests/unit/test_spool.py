import hashlib
import os
import stat

import pytest

import data
from node.digest import digest
from node.errors import InvalidUIDError, SpoolError
from node.part10 import dataset_offset, read_file_meta
from node.spool import Spool
from phantoms import uid

STUDY, SERIES, SOP = uid("study"), uid("series"), uid("sop")


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "spool", "one")
    yield made
    made.close()


def received(spool, content=b"content"):
    incoming = spool.open()
    incoming.write(content)
    return incoming.commit(), incoming


def ct_file(**overrides):
    return data.file_bytes(data.ct_series(slices=1, rows=8, columns=8, **overrides)[0])


def test_a_committed_instance_is_in_new_and_nowhere_else(spool):
    path, incoming = received(spool, b"abc")
    assert path.parent == spool.root / "new"
    assert path.read_bytes() == b"abc"
    assert incoming.size == 3
    assert list((spool.root / "tmp").iterdir()) == []


def test_a_file_in_the_spool_is_for_the_node_alone(spool):
    path, _ = received(spool)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_name_tells_nothing_of_its_content(spool):
    first, _ = received(spool, ct_file())
    second, _ = received(spool, ct_file())
    assert first.name != second.name
    assert first.name.split(".")[0] == "one"


def test_many_buffers_are_written_in_their_order(spool):
    buffers = [bytes([index % 251]) * index for index in range(2000)]
    incoming = spool.open()
    incoming.writev([memoryview(each) for each in buffers])
    assert incoming.commit().read_bytes() == b"".join(buffers)


def test_a_short_write_is_continued(spool, monkeypatch):
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, buffers: real(fd, [buffers[0][:3]]))
    path, _ = received(spool, b"0123456789")
    assert path.read_bytes() == b"0123456789"


def test_a_discarded_instance_leaves_nothing(spool):
    incoming = spool.open()
    incoming.write(b"abc")
    incoming.discard()
    incoming.discard()
    assert [*(spool.root / "tmp").iterdir(), *(spool.root / "new").iterdir()] == []
    with pytest.raises(SpoolError, match="discarded"):
        incoming.write(b"d")


def test_leaving_the_block_discards_what_was_not_committed(spool):
    with spool.open() as dropped, spool.open() as kept:
        dropped.write(b"dropped")
        kept.write(b"kept")
        path = kept.commit()
    assert path.read_bytes() == b"kept"
    assert list((spool.root / "tmp").iterdir()) == []


def test_the_file_is_flushed_before_it_is_renamed_and_its_name_before_it_is_acknowledged(spool, monkeypatch):
    calls = []
    for name in ("fdatasync", "rename", "fsync"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, name=name, real=real, **kw: (calls.append(name), real(*args, **kw))[1]
        )
    received(spool)
    assert calls == ["fdatasync", "rename", "fsync"]


def test_flush_durability_leaves_the_flushing_to_the_kernel(tmp_path, monkeypatch):
    spool = Spool(tmp_path, durability="flush")
    monkeypatch.setattr(os, "fdatasync", lambda fd: pytest.fail("flushed"))
    monkeypatch.setattr(os, "fsync", lambda fd: pytest.fail("flushed"))
    path, _ = received(spool)
    spool.move_to_store(path, STUDY, SERIES, SOP, digest(path))
    assert spool.store_path(STUDY, SERIES, SOP).read_bytes() == b"content"


def test_the_digest_is_that_of_the_data_set_alone(spool):
    content = ct_file()
    offset = dataset_offset(content)
    path, _ = received(spool, content)
    assert read_file_meta(content).dataset_offset == offset > 132
    assert digest(path) == hashlib.sha256(content[offset:]).hexdigest()


@pytest.mark.parametrize("size", [1, 7, 143, 144, 145, 4096])
def test_the_digest_is_that_of_the_data_set_however_its_bytes_come(spool, size):
    content = ct_file()
    offset = dataset_offset(content)
    incoming = spool.open(content[:offset])
    for start in range(offset, len(content), size):
        incoming.write(content[start : start + size])
    path = incoming.commit()
    assert path.read_bytes() == content
    assert incoming.size == len(content)
    assert incoming.sha256 == digest(path) == hashlib.sha256(content[offset:]).hexdigest()


def test_bytes_without_file_meta_are_digested_as_a_whole(spool):
    _, incoming = received(spool, b"x" * 500)
    assert incoming.sha256 == hashlib.sha256(b"x" * 500).hexdigest()


def test_two_files_whose_meta_claims_to_be_longer_than_the_file_are_told_apart(spool):
    head = bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00" + (9000).to_bytes(4, "little")
    first, _ = received(spool, head + b"a" * 20)
    second, _ = received(spool, head + b"b" * 20)
    assert digest(first) != digest(second)


def test_the_store_is_laid_out_by_study_series_and_instance(spool):
    path, incoming = received(spool)
    moved = spool.move_to_store(path, STUDY, SERIES, SOP, incoming.sha256)
    assert moved == spool.root / "store" / STUDY / SERIES / f"{SOP}.dcm"
    assert moved.read_bytes() == b"content"
    assert not path.exists()
    assert list(spool.stored()) == [moved]


def test_moving_twice_is_moving_once(spool):
    path, incoming = received(spool)
    first = spool.move_to_store(path, STUDY, SERIES, SOP, incoming.sha256)
    assert spool.move_to_store(path, STUDY, SERIES, SOP, incoming.sha256) == first


def test_the_same_bytes_again_take_no_second_place(spool):
    for _ in range(3):
        path, incoming = received(spool)
        spool.move_to_store(path, STUDY, SERIES, SOP, incoming.sha256)
    assert len(list(spool.stored())) == 1
    assert list((spool.root / "new").iterdir()) == []


def test_other_bytes_under_the_same_uid_are_kept_beside_the_first(spool):
    for content in (b"first", b"second", b"third", b"second"):
        path, incoming = received(spool, content)
        spool.move_to_store(path, STUDY, SERIES, SOP, incoming.sha256)
    assert sorted(path.read_bytes() for path in spool.stored()) == [b"first", b"second", b"third"]
    assert spool.store_path(STUDY, SERIES, SOP).read_bytes() == b"first"


def test_a_file_that_is_nowhere_cannot_be_moved(spool):
    with pytest.raises(SpoolError, match="cannot be linked"):
        spool.move_to_store(spool.root / "new" / "gone.dcm", STUDY, SERIES, SOP, "0" * 64)


def test_a_uid_that_is_none_is_refused(spool):
    with pytest.raises(InvalidUIDError, match="SeriesInstanceUID"):
        spool.store_path(STUDY, "../../etc", SOP)


def test_recovery_drops_what_was_being_written_and_finds_what_was_durable(tmp_path):
    dead = Spool(tmp_path, "one")
    dead.open().write(b"half")
    path, _ = received(dead, b"whole")
    dead.close()
    spool = Spool(tmp_path, "one")
    assert list(spool.recover()) == [path]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_recovery_leaves_alone_what_a_living_process_writes(tmp_path):
    living, spool = Spool(tmp_path, "living"), Spool(tmp_path, "one")
    path, _ = received(living)
    writing = living.open()
    assert list(spool.recover()) == []
    writing.write(b"goes on")
    assert writing.commit().read_bytes() == b"goes on"
    living.close()
    assert path in list(spool.recover())


def test_recovery_takes_over_from_an_owner_that_does_not_come_back(tmp_path):
    gone = Spool(tmp_path, "import-4711")
    path, _ = received(gone)
    gone.open()
    gone.close()
    assert list(Spool(tmp_path, "one").recover()) == [path]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_two_processes_may_recover_at_the_same_time(tmp_path, monkeypatch):
    dead = Spool(tmp_path, "import-4711")
    path, _ = received(dead)
    for _ in range(3):
        dead.open().write(b"half")
    dead.close()
    first, second = Spool(tmp_path, "one"), Spool(tmp_path, "two")
    found = []
    real = os.unlink

    def unlink(name, **where) -> None:
        if where and not found:  # the other one is faster, in the middle of this one's recovery
            found.append([])
            found[0] = list(second.recover())
        real(name, **where)

    monkeypatch.setattr(os, "unlink", unlink)
    assert list(first.recover()) == [path]
    assert found == [[path]]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_only_one_node_can_lock_a_spool(tmp_path):
    first, second = Spool(tmp_path, "one"), Spool(tmp_path, "two")
    first.lock()
    with pytest.raises(SpoolError, match="another node"):
        second.lock()
    first.close()
    second.lock()


def test_free_space_is_that_of_the_file_system(spool):
    found = os.statvfs(spool.root)
    assert abs(spool.free_bytes() - found.f_bavail * found.f_frsize) < 1e9


def test_what_cannot_be_registered_is_set_aside_and_kept(spool):
    path, _ = received(spool, b"???")
    assert spool.set_aside(path).read_bytes() == b"???"
    assert list(spool.recover()) == []


@pytest.mark.parametrize("owner", ["", "a.b", "../x", "a/b", "x" * 65])
def test_an_owner_is_a_plain_word(tmp_path, owner):
    with pytest.raises(ValueError, match="owner"):
        Spool(tmp_path, owner)
