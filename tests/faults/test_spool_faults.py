"""What the operating system refuses is told as the spool's own error, and leaves no trace."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from node.errors import DiskFullError, SpoolError
from node.spool import Spool
from phantoms import uid

STUDY, SERIES, SOP = uid("study"), uid("series"), uid("sop")
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "spool", "one")
    yield made
    made.close()


def traces(spool):
    return [path for name in ("tmp", "new", "store") for path in (spool.root / name).rglob("*.dcm")]


def failing(number, *, once=True):
    """Return a function that fails with an errno, and how often it was called."""
    calls = []

    def fail(*_args, **_kw):
        calls.append(1)
        raise OSError(number, os.strerror(number))

    return fail, calls


def write_and_commit(incoming):
    incoming.write(b"abc")
    incoming.commit()


def n_descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EIO, SpoolError),
        (errno.EROFS, SpoolError),
        (errno.EFBIG, SpoolError),
    ],
)
@pytest.mark.parametrize("step", ["writev", "fdatasync", "close", "rename", "fsync"])
def test_a_step_that_fails_leaves_no_trace_and_the_next_instance_is_taken(
    spool, monkeypatch, step, number, expected
):
    incoming = spool.open()
    with monkeypatch.context() as patched:
        real, (fail, calls) = getattr(os, step), failing(number)
        if step == "close":  # the descriptor is closed all the same, as by Linux

            def fail(fd):
                calls.append(1)
                real(fd)
                raise OSError(number, os.strerror(number))

        patched.setattr(os, step, fail)
        with pytest.raises(expected) as caught:
            write_and_commit(incoming)
    assert calls == [1], "a step that failed must not be tried again"
    assert type(caught.value) is expected
    assert traces(spool) == []
    following = spool.open()
    following.write(b"next")
    assert following.commit().read_bytes() == b"next"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EROFS, errno.ENOSPC])
def test_an_instance_that_cannot_be_begun_is_told(spool, monkeypatch, number):
    spool.open().discard()
    fail, _ = failing(number)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", fail)
        with pytest.raises(SpoolError, match=os.strerror(number)):
            spool.open()
    spool.open().discard()


def test_no_descriptor_leaks_when_instances_fail(spool, monkeypatch):
    spool.open().discard()
    before = n_descriptors()
    fail, _ = failing(errno.EIO)
    monkeypatch.setattr(os, "fdatasync", fail)
    for _ in range(20):
        incoming = spool.open()
        incoming.write(b"abc")
        with pytest.raises(SpoolError):
            incoming.commit()
    assert n_descriptors() == before


def test_a_full_store_leaves_the_instance_in_new(spool, monkeypatch):
    incoming = spool.open()
    incoming.write(b"abc")
    path = incoming.commit()
    fail, _ = failing(errno.ENOSPC)
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", fail)
        with pytest.raises(DiskFullError):
            spool.move_to_store(path, STUDY, SERIES, SOP, incoming.sha256)
    assert path.exists()
    assert spool.move_to_store(path, STUDY, SERIES, SOP, incoming.sha256).read_bytes() == b"abc"


def test_a_file_system_without_hard_links_is_refused_at_start(spool, monkeypatch):
    fail, _ = failing(errno.EPERM)
    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(SpoolError, match="cannot be recovered"):
        list(spool.recover())


def test_a_limit_on_file_size_is_told_and_leaves_nothing(tmp_path):
    program = """
        import resource, sys
        from pathlib import Path
        from node.errors import SpoolError
        from node.spool import Spool
        spool = Spool(Path(sys.argv[1]), "child")
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))
        incoming = spool.open()
        try:
            incoming.write(bytes(200000))
        except SpoolError as error:
            print(error)
        small = spool.open()
        small.write(b"small")
        small.commit()
    """
    done = run(program, tmp_path)
    assert "File too large" in done.stdout
    assert [path.stat().st_size for path in tmp_path.rglob("*.dcm")] == [5]


@pytest.mark.skipif(IS_ROOT, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SpoolError, match="Permission denied"):
        Spool(tmp_path / "spool")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "spool").write_text("a file is in the way")
    with pytest.raises(SpoolError, match="cannot be set up"):
        Spool(tmp_path / "spool")


def test_a_claim_ends_with_its_process_however_that_ends(tmp_path):
    program = """
        import os, signal, sys
        from pathlib import Path
        from node.spool import Spool
        spool = Spool(Path(sys.argv[1]), "child")
        spool.lock()
        whole = spool.open()
        whole.write(b"whole")
        whole.commit()
        spool.open().write(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run(program, tmp_path).returncode == -signal.SIGKILL
    spool = Spool(tmp_path, "one")
    spool.lock()
    assert [path.read_bytes() for path in spool.recover()] == [b"whole"]
    assert list((tmp_path / "tmp").iterdir()) == []
    spool.close()


def run(program, folder):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
