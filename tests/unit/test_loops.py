"""Loops go on after a failure, and say what failed."""

import threading

from node.loops import Loop


def test_a_loop_calls_until_it_is_stopped() -> None:
    calls = threading.Semaphore(0)
    loop = Loop("count", 0.001, calls.release)
    loop.start()
    assert all(calls.acquire(timeout=5) for _ in range(3))
    loop.stop(5)
    assert loop.problem == ""


def test_a_failure_is_remembered_and_the_next_call_comes() -> None:
    outcomes = iter([RuntimeError("disk on fire")])
    failed, recovered = threading.Event(), threading.Event()

    def work() -> None:
        error = next(outcomes, None)
        if error is not None:
            failed.set()
            raise error
        recovered.set()

    loop = Loop("fragile", 0.001, work)
    loop.start()
    assert failed.wait(5)
    assert recovered.wait(5)
    loop.stop(5)
    assert loop.problem == ""


def test_a_loop_that_keeps_failing_names_its_problem() -> None:
    failed = threading.Semaphore(0)

    def work() -> None:
        failed.release()
        raise OSError("no space left")

    loop = Loop("fragile", 0.001, work)
    loop.start()
    assert all(failed.acquire(timeout=5) for _ in range(2))
    loop.stop(5)
    assert loop.problem == "fragile: OSError: no space left"
