"""kill -9 at each step between the first byte and the place in the store: what was acknowledged is registered once."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import data
from node.digest import digest
from node.recovery import recover
from node.registry.repository import Repository
from node.spool import Spool
from registries import NOON, registry, rows

SLICES = 6
# A receiving process: every instance is written, committed, acknowledged on standard output and
# registered in batches of two. It kills itself before or after the n-th call of one function.
RECEIVER = textwrap.dedent("""
    import itertools, os, signal, sys
    from pathlib import Path
    from node.intake import take_in
    from node.recovery import arrival_from_file
    from node.registry.database import engine, migrate
    from node.clock import utc_now
    from node.registry.repository import Repository
    from node.spool import Spool

    folder, step, when, n = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    made = engine(f"sqlite:///{folder / 'registry.db'}")
    migrate(made)
    spool, repository = Spool(folder / "spool", "one"), Repository(made)
    spool.open().discard()

    def deadly(owner, name):
        real, calls = getattr(owner, name), itertools.count(1)
        def call(*args, **options):
            count = next(calls)
            if when == "before" and count == n:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **options)
            if when == "after" and count == n:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        setattr(owner, name, call)

    if step != "never":
        deadly(repository if step == "register" else spool if step == "release" else os, step)
    print("ready", flush=True)
    batch = []
    for source in sorted((folder / "source").iterdir()):
        incoming = spool.open()
        content = source.read_bytes()
        incoming.writev([content[:1000], content[1000:]])
        path = incoming.commit()
        print("acknowledged", source.name, flush=True)
        batch.append(arrival_from_file(path))
        if len(batch) == 2:
            take_in(repository, spool, batch, utc_now())
            batch.clear()
    take_in(repository, spool, batch, utc_now())
    print("done", flush=True)
""")
STEPS = ["writev", "fdatasync", "rename", "fsync", "link", "register", "release"]


@pytest.fixture
def folder(tmp_path):
    data.write(data.ct_series(slices=SLICES, rows=16, columns=16), tmp_path / "source")
    return tmp_path


def receiver(folder, step="never", when="before", n=1):
    return subprocess.Popen(
        [sys.executable, "-c", RECEIVER, str(folder), step, when, str(n)], stdout=subprocess.PIPE, text=True
    )


def recovered(folder):
    """Recover as the node does at start; return the rows of the instances."""
    spool, repository = Spool(folder / "spool", "one"), Repository(registry(folder))
    recover(repository, spool, NOON)
    found = rows(repository.engine, "instance")
    (series,) = rows(repository.engine, "series") or [{"n_instances": 0}]
    assert series["n_instances"] == len(found)
    assert [path for name in ("tmp", "new") for path in (folder / "spool" / name).iterdir()] == []
    assert len(list(spool.stored())) == len(found)
    spool.close()
    repository.engine.dispose()
    return found


def acknowledged(output, folder):
    names = [line.split()[1] for line in output.splitlines() if line.startswith("acknowledged")]
    return {digest(folder / "source" / name) for name in names}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_loses_nothing_that_was_acknowledged(folder, step, when):
    process = receiver(folder, step, when, n=3)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, "the fault did not fire"
    expected = acknowledged(output, folder)
    found = [row["sha256"] for row in recovered(folder)]
    assert len(found) == len(set(found))
    assert expected <= set(found)
    assert len(found) - len(expected) <= 1  # durable, but its acknowledgement was not sent any more
    for row in recovered(folder):
        assert digest(Path(row["path"])) == row["sha256"]


def test_a_sender_that_sends_again_after_a_kill_is_registered_once(folder):
    process = receiver(folder, "register", "after", n=2)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    recovered(folder)
    again = receiver(folder)
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert len(recovered(folder)) == SLICES
