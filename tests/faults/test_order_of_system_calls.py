"""The contract of 0x0000, seen from the kernel: written, flushed, renamed, its name flushed, and only then answered."""

import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from listeners import UID, RawPeer, dataset

pytestmark = pytest.mark.slow
OBJECTS = 20
CALLS = "write,writev,pwrite64,fdatasync,fsync,sync_file_range,rename,renameat,renameat2,link,linkat,sendto,sendmsg"
LISTENER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from listeners import Listening
    from node.spool import Spool

    folder = Path(sys.argv[1])
    node = Listening(folder, spool=Spool(folder / "spool", "test", sys.argv[2]))
    print(node.port, flush=True)
    sys.stdin.read()
    node.server.stop(5)
""")
# 1234 fdatasync(7</spool/tmp/test.x.dcm>) = 0   ·   1234 fdatasync(7<...> <unfinished ...>   ·   1234 <... fdatasync resumed>) = 0
LINE = re.compile(
    r"(?P<pid>\d+) +(?:(?P<call>\w+)\((?P<rest>.*)|<\.\.\. (?P<resumed>\w+) resumed>(?P<end>.*))"
)


@dataclass
class Call:
    """One system call: its name and arguments, and when it began and ended, as line numbers of the trace."""

    name: str
    arguments: str
    began: int
    ended: int = -1
    is_done: bool = False


def parse(trace: str) -> list[Call]:
    calls: list[Call] = []
    open_calls: dict[str, Call] = {}
    for number, line in enumerate(trace.splitlines()):
        match = LINE.match(line)
        if match is None:
            continue
        if match["resumed"]:
            call, end = open_calls.pop(match["pid"]), match["end"]
        else:
            call, end = Call(match["call"], match["rest"], number), match["rest"]
            calls.append(call)
        if end.endswith("<unfinished ...>"):
            open_calls[match["pid"]] = call
            continue
        call.ended, call.is_done = number, " = -1 " not in end
    return calls


@contextmanager
def traced_listener(folder: Path, durability: str) -> Iterator[tuple[int, Path]]:
    """Run a listener under strace; yield its port and, once it has stopped, have its trace in a file."""
    strace, trace = shutil.which("strace"), folder / "trace"
    if strace is None:
        pytest.skip("strace is not installed")
    command = [strace, "-f", "-y", "-s", "0", "-o", str(trace), "-e", f"trace={CALLS}"]
    process = subprocess.Popen(
        [*command, sys.executable, "-c", LISTENER, str(folder), durability],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": f"{Path(__file__).parent.parent}"},
    )
    port = process.stdout.readline()
    if not port:
        _, error = process.communicate(timeout=30)
        if "ptrace" in error:
            pytest.skip("strace may not trace here")
        raise AssertionError(error)
    try:
        yield int(port), trace
    finally:
        process.communicate(timeout=60)
        assert process.returncode == 0


def store_objects(port: int) -> None:
    with RawPeer(port) as peer:
        assert peer.associate() == "AC"
        for number in range(OBJECTS):
            uid = f"{UID}.{number}"
            assert peer.store(dataset(uid, pixels=100_000), uid=uid) == 0x0000
        peer.release()


def names(calls: list[Call]) -> list[str]:
    """Return the names of the files that were begun, in order."""
    found = (re.search(r"/spool/tmp/(test\.\w+\.dcm)>", call.arguments) for call in calls)
    return list(dict.fromkeys(match[1] for match in found if match))


def test_success_is_sent_only_after_bytes_and_name_are_on_stable_storage(tmp_path: Path) -> None:
    with traced_listener(tmp_path, "fsync") as (port, trace):
        store_objects(port)
    calls = parse(trace.read_text())
    files = names(calls)
    assert len(files) == OBJECTS
    for name in files:
        writes = [
            each for each in calls if each.name in ("write", "writev") and f"/tmp/{name}>" in each.arguments
        ]
        (flush,) = [each for each in calls if each.name == "fdatasync" and f"/tmp/{name}>" in each.arguments]
        (rename,) = [each for each in calls if each.name.startswith("rename") and name in each.arguments]
        assert writes
        folder_flush = next(
            each
            for each in calls
            if each.name == "fsync" and "/spool/new>" in each.arguments and each.began > rename.ended
        )
        answer = next(
            each for each in calls if each.name in ("sendto", "sendmsg") and each.began > writes[0].began
        )
        order = [*writes, flush, rename, folder_flush, answer]
        assert all(each.is_done for each in order)
        for before, after in pairwise(order):
            assert before.ended < after.began


def test_the_oracle_sees_when_nothing_is_flushed(tmp_path: Path) -> None:
    with traced_listener(tmp_path, "flush") as (port, trace):
        store_objects(port)
    calls = parse(trace.read_text())
    assert len(names(calls)) == OBJECTS
    assert not [each for each in calls if each.name in ("fdatasync", "fsync")]
