"""The child processes of the runner: results, crash, hang, memory, warmth, and their end."""

import ctypes
import errno
import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from node.child import Order
from node.config import Config
from node.errors import ProcessingError, ProcessingStoppedError
from node.runner import SeriesRunner

MIB = 1024 * 1024
ERRORS = {
    "value": ValueError("no such kernel"),
    "timeout": TimeoutError("the handler's own"),
    "full": OSError(errno.ENOSPC, "No space left on device"),
    "denied": PermissionError(errno.EACCES, "Permission denied", "/some/file.dcm"),
}


def work(order, config):
    """Runs in the child: do what the order's evidence says."""
    told = dict(order.evidence or {})
    if "started" in told:
        Path(told["started"]).write_text(str(os.getpid()), encoding="ascii")
    if "leave" in told:
        (order.out.parent / f".{order.out.name}.tmp-1").mkdir(parents=True)
    match told.get("do"):
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "hang":
            time.sleep(600)
        case "hang in C":
            ctypes.PyDLL(None).pause()  # holds the interpreter lock, as a stuck decoder may
        case "allocate":
            return {"bytes": len(bytearray(told["bytes"]))}
        case "raise":
            raise ERRORS[told["error"]]
    return {"pid": os.getpid(), "revision": order.revision, "ae_title": config.node.ae_title}


def order(tmp_path, **told):
    return Order("1.2.3", "1.2", 4, (), tmp_path / "o" / "r4", evidence=told)


@pytest.fixture
def make_runner(tmp_path):
    runners = []

    def make(*, timeout_s=20.0, memory_mb=256, workers=1, **options):
        config = Config(
            node={"data_dir": tmp_path},
            jobs={"timeout_s": timeout_s, "memory_mb": memory_mb, "workers": workers},
        )
        runner = SeriesRunner(config, work=work, modules=(), **options)
        runners.append(runner)
        return runner

    yield make
    for runner in runners:
        runner.stop()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(condition, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_series_runs_in_another_process_and_its_result_comes_back(make_runner, tmp_path):
    result = make_runner().run(order(tmp_path))
    assert result["pid"] != os.getpid()
    assert result["revision"] == 4
    assert result["ae_title"] == "PREPNODE"


def test_a_child_stays_warm_for_the_next_series(make_runner, tmp_path):
    runner = make_runner()
    runner.warm()
    assert runner.run(order(tmp_path))["pid"] == runner.run(order(tmp_path))["pid"]


def test_an_idle_child_is_closed_and_a_new_one_starts_when_needed(make_runner, tmp_path):
    runner = make_runner(idle_s=0.0, workers=2)
    first = runner.run(order(tmp_path))["pid"]
    assert runner.close_idle() == 1
    assert not is_alive(first)
    assert runner.run(order(tmp_path))["pid"] != first


def test_a_child_that_was_used_just_now_is_not_closed(make_runner, tmp_path):
    runner = make_runner()
    runner.run(order(tmp_path))
    assert runner.close_idle() == 0


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"do": "crash"}, "SIGSEGV"),
        ({"do": "exit"}, "exit code 3"),
        ({"do": "raise", "error": "value"}, "ValueError: no such kernel"),
        ({"do": "raise", "error": "timeout"}, "the handler's own"),
        (
            {"do": "raise", "error": "full"},
            r"the results in .*/o/r4: No space left on device; mend that, then reprocess the series",
        ),
        (
            {"do": "raise", "error": "denied"},
            r"/some/file\.dcm: Permission denied; mend that, then reprocess the series",
        ),
        ({"do": "allocate", "bytes": 600 * MIB}, r"more than 256 MB; raise jobs\.memory_mb"),
    ],
)
def test_the_reason_of_a_failure_is_told_in_words_and_the_next_series_runs(
    make_runner, tmp_path, told, words
):
    runner = make_runner()
    with pytest.raises(ProcessingError, match=words):
        runner.run(order(tmp_path, **told))
    assert runner.run(order(tmp_path))["revision"] == 4


def test_a_series_within_the_memory_limit_is_not_disturbed(make_runner, tmp_path):
    assert make_runner().run(order(tmp_path, do="allocate", bytes=200 * MIB)) == {"bytes": 200 * MIB}


@pytest.mark.parametrize("do", ["hang", "hang in C"])
def test_a_series_that_hangs_is_killed_at_its_time_limit(make_runner, tmp_path, do):
    runner = make_runner(timeout_s=2.0)
    started = tmp_path / "pid"
    with pytest.raises(ProcessingError, match=r"longer than 2 s; raise jobs\.timeout_s"):
        runner.run(order(tmp_path, do=do, started=str(started)))
    assert not is_alive(int(started.read_text(encoding="ascii")))
    assert runner.run(order(tmp_path))["revision"] == 4


def test_a_crash_leaves_the_series_beside_it_alone(make_runner, tmp_path):
    runner = make_runner(workers=2)
    results = []
    gate = tmp_path / "pid"
    beside = threading.Thread(
        target=lambda: results.append(
            runner.run(order(tmp_path, do="allocate", bytes=MIB, started=str(gate)))
        )
    )
    with pytest.raises(ProcessingError):
        runner.run(order(tmp_path, do="crash"))
    beside.start()
    with pytest.raises(ProcessingError):
        runner.run(order(tmp_path, do="crash"))
    beside.join(20)
    assert results == [{"bytes": MIB}]


def test_an_idle_child_that_was_killed_costs_no_series(make_runner, tmp_path):
    runner = make_runner()
    pid = runner.run(order(tmp_path))["pid"]
    os.kill(pid, signal.SIGKILL)
    assert runner.run(order(tmp_path))["pid"] != pid


def test_a_child_that_cannot_start_is_told_in_words(tmp_path):
    runner = SeriesRunner(Config(node={"data_dir": tmp_path}), work=work, modules=("no_such_module",))
    try:
        with pytest.raises(ProcessingError, match="a child process cannot start"):
            runner.run(order(tmp_path))
    finally:
        runner.stop()


def test_what_a_crashed_child_left_half_written_is_removed(make_runner, tmp_path):
    with pytest.raises(ProcessingError):
        make_runner().run(order(tmp_path, do="crash", leave=True))
    assert list((tmp_path / "o").iterdir()) == []


def test_what_a_killed_node_left_of_an_earlier_revision_is_removed_unless_somebody_writes_it(
    make_runner, tmp_path
):
    left, written = tmp_path / "o" / ".r2.tmp-17", tmp_path / "o" / ".r3.tmp-18"
    for folder in (left, written):
        folder.mkdir(parents=True)
    handle = os.open(written, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        make_runner().run(order(tmp_path))
        assert list((tmp_path / "o").iterdir()) == [written]
    finally:
        os.close(handle)


def test_stopping_ends_a_running_series_without_calling_it_failed(make_runner, tmp_path):
    runner = make_runner()
    started, raised = tmp_path / "pid", []

    def run():
        try:
            runner.run(order(tmp_path, do="hang", started=str(started)))
        except ProcessingStoppedError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: started.exists() and started.read_text(encoding="ascii"))
    runner.stop()
    thread.join(20)
    assert len(raised) == 1
    assert not is_alive(int(started.read_text(encoding="ascii")))
    with pytest.raises(ProcessingStoppedError):
        runner.run(order(tmp_path))
