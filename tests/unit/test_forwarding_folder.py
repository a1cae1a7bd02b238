"""Delivery into a folder: whole or not at all, and what is said when it cannot be written."""

import os

import pytest

from node.config import Destination
from node.errors import DeliveryError
from node.forwarding import folder
from node.forwarding.package import Deadline, Item, Package


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.mkdir()
    return path


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "research"
    path.mkdir()
    return path


def package(source, **files):
    items = []
    for name, content in files.items():
        path = source / name.replace("/", "_")
        path.write_bytes(content)
        items.append(Item(name, path, "outputs", "nifti", len(content)))
    return Package("1.2", "1.2.3", 1, tuple(items))


def deliver(root, pack, *, deadline=None):
    destination = Destination(name="research", kind="folder", path=root)
    return [sent.name for sent in folder.send(destination, pack, frozenset(), deadline or Deadline(60, 0))]


def tree(root):
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def test_files_land_under_study_series_and_revision(root, source):
    pack = package(source, **{"v0.nii.gz": b"volume", "originals/1.2.3.4.dcm": b"slice"})
    assert deliver(root, pack) == ["v0.nii.gz", "originals/1.2.3.4.dcm"]
    assert tree(root) == {"1.2/1.2.3/r1/v0.nii.gz": b"volume", "1.2/1.2.3/r1/originals/1.2.3.4.dcm": b"slice"}


def test_a_repeated_delivery_replaces_what_is_there(root, source):
    deliver(root, package(source, a=b"old", b=b"old"))
    deliver(root, package(source, a=b"new"))
    assert tree(root) == {"1.2/1.2.3/r1/a": b"new"}


def test_an_attempt_that_fails_leaves_the_earlier_delivery_as_it_was_and_nothing_else(root, source):
    deliver(root, package(source, a=b"old"))
    pack = package(source, a=b"new", b=b"new")
    (source / "b").unlink()
    with pytest.raises(DeliveryError, match="b is no longer on this node") as raised:
        deliver(root, pack)
    assert not raised.value.retryable
    assert tree(root) == {"1.2/1.2.3/r1/a": b"old"}


def test_leftovers_of_a_killed_attempt_are_removed_when_they_are_old(root, source):
    for name, age_s in ((".r1.tmp-0dead", 10_000), (".r1.tmp-alive", 1)):
        leftover = root / "1.2" / "1.2.3" / name
        leftover.mkdir(parents=True)
        os.utime(leftover, (leftover.stat().st_mtime - age_s,) * 2)
    deliver(root, package(source, a=b"x"))
    assert sorted(path.name for path in (root / "1.2" / "1.2.3").iterdir()) == [".r1.tmp-alive", "r1"]


def test_a_missing_folder_is_made(tmp_path, source):
    deliver(tmp_path / "new", package(source, a=b"x"))
    assert [path.read_bytes() for path in (tmp_path / "new").rglob("a")] == [b"x"]


def test_a_folder_whose_parent_is_missing_is_not_made_because_it_may_be_an_unmounted_disk(tmp_path, source):
    with pytest.raises(DeliveryError, match="mount the file system") as raised:
        deliver(tmp_path / "nothing" / "below", package(source, a=b"x"))
    assert raised.value.retryable
    assert not (tmp_path / "nothing").exists()


def test_a_folder_that_is_a_file_is_told_in_words(tmp_path, source):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeliveryError, match="not a folder") as raised:
        deliver(tmp_path / "file", package(source, a=b"x"))
    assert raised.value.retryable


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_told_in_words(root, source):
    root.chmod(0o500)
    with pytest.raises(DeliveryError, match="grant its user write permission"):
        deliver(root, package(source, a=b"x"))


@pytest.mark.parametrize(
    ("number", "words"),
    [(28, "no space is left"), (30, "read-only"), (116, "mount it again"), (13, "permission")],
)
def test_what_the_system_says_is_told_in_words_and_tried_again(root, source, monkeypatch, number, words):
    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DeliveryError, match=words) as raised:
        deliver(root, package(source, a=b"x"))
    assert raised.value.retryable
    assert tree(root) == {}


def test_a_symbolic_link_does_not_lead_out_of_the_folder(root, source, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (root / "1.2").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DeliveryError, match="symbolic link") as raised:
        deliver(root, package(source, a=b"x"))
    assert not raised.value.retryable
    assert list((tmp_path / "elsewhere").rglob("*")) in ([], [tmp_path / "elsewhere" / "1.2.3"])


def test_the_copy_stops_at_the_deadline(root, source):
    now = [0.0]
    deadline = Deadline(1, 0, clock=lambda: now[0])
    now[0] = 2.0
    with pytest.raises(DeliveryError, match="given up after 1 s"):
        deliver(root, package(source, a=b"x"), deadline=deadline)
    assert tree(root) == {}


def test_nothing_is_visible_before_everything_is_flushed(root, source, monkeypatch):
    flush, seen = os.fsync, []

    def watch(descriptor):
        seen.append((root / "1.2/1.2.3/r1").exists())
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    deliver(root, package(source, a=b"x", b=b"y"))
    assert seen == [False] * 3 + [True]  # two files and their folder, then the rename is made to last
