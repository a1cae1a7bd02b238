"""Mutation testing of one room: which of its small faults no test notices (`make mutants ROOM=...`).

    python tests/mutants.py handlers/geometry.py [--tests FILE ...] [--jobs 2] [--every 1]

First the tests run once, to learn which of them pass through which line of the room. Then
each fault is put in and the tests of its line run, the fastest first, until one fails. Each
run is a fork of a process that has loaded the libraries, so a fault takes about a second.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import os
import re
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import pytest

from mutation import Mutant, mutants

ROOT = Path(__file__).resolve().parent.parent
PRELOADED = ("numpy", "SimpleITK", "pydicom", "nibabel", "highdicom", "pydicom.pixels.decoders")
OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "--tb=no", "--hypothesis-seed=0")
DONE, FAILED = 0, 1
IMPORTS = re.compile(r"^(?:from|import) .*(?:\n    .*)*", re.MULTILINE)
LISTING = {"rules", "pipeline", "__init__"}
Passed = dict[int, dict[str, float]]  # line -> test -> seconds


class Room(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a program that is handed in, instead of from its file."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        return (
            importlib.machinery.ModuleSpec(name, self, origin=str(self.path)) if name == self.name else None
        )

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self.path)
        exec(self.code, module.__dict__)


class Watch:
    """A pytest plugin that notes which test passes through which line of the room, and how long it takes."""

    def __init__(self, path: Path) -> None:
        self.file, self.found = str(path), defaultdict(dict)
        self.lines: set[int] = set()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.lines, started = set(), time.monotonic()
        sys.settrace(self._call)
        yield
        sys.settrace(None)
        for line in self.lines:
            self.found[line][item.nodeid] = time.monotonic() - started

    def _call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._line if frame.f_code.co_filename == self.file else None

    def _line(self, frame: FrameType, _event: str, _argument: object) -> Any:
        self.lines.add(frame.f_lineno)
        return self._line


class Hasty:
    """A pytest plugin: a counterexample of Hypothesis is enough, it need not be the smallest."""

    @pytest.hookimpl
    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        settings.register_profile("hasty", phases=[Phase.explicit, Phase.generate], database=None)
        settings.load_profile("hasty")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("room", type=Path)
    parser.add_argument("--tests", nargs="*", default=[], help="test files; else those that name the room")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="only every n-th fault: a sample")
    parser.add_argument("--at-least", type=float, default=0, help="exit 1 when fewer percent are killed")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    for name in PRELOADED:
        __import__(name)
    path = (ROOT / arguments.room).resolve()
    tests = arguments.tests or tests_of(path)
    passed = baseline(path, tests)
    chosen = list(mutants(path.read_text(encoding="utf-8")))[:: arguments.every]
    print(f"{arguments.room}: {len(chosen)} faults, {len({t for own in passed.values() for t in own})} tests")
    lines = path.read_text(encoding="utf-8").splitlines()
    survivors = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = pool.map(lambda each: killed(each, path, passed), chosen)
        for mutant, is_killed in zip(chosen, outcomes, strict=True):
            if is_killed:
                continue
            survivors += 1
            note = "" if tests_at(mutant, passed) else " [no test comes here]"
            where = f"line {mutant.line}: {mutant.change}{note}"
            print(f"  survived: {where}: {lines[mutant.line - 1].strip()}", flush=True)
    share = 100 * (1 - survivors / max(len(chosen), 1))
    print(f"{arguments.room}: {share:.1f} % of {len(chosen)} faults killed, {survivors} survived")
    return 0 if share >= arguments.at_least else 1


def tests_of(path: Path) -> list[str]:
    """Return the test files that name the room or one that is built on it, and those that run the handler."""
    names = "|".join(sorted({path.stem, *built_on(path)}))
    word = re.compile(rf"\b(?:{names})\b|from runs import|handlers\.preprocess import")
    files = [*(ROOT / "tests" / "unit").glob("test_*.py"), *(ROOT / "tests" / "property").glob("test_*.py")]
    return sorted(
        str(file.relative_to(ROOT)) for file in files if word.search(file.read_text(encoding="utf-8"))
    )


def built_on(path: Path) -> set[str]:
    """Return the names of the rooms of the same folder that import the room, or import one that does.

    A room that lists many others (rules) is built on all, and no test of it says more of one.
    """
    imports = {
        room.stem: set(re.findall(r"\w+", " ".join(IMPORTS.findall(room.read_text(encoding="utf-8")))))
        for room in path.parent.glob("*.py")
        if room.stem not in LISTING
    }
    found, waiting = set(), {path.stem}
    while waiting:
        name = waiting.pop()
        users = {room for room, names in imports.items() if name in names} - found - {path.stem}
        found |= users
        waiting |= users
    return found


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def baseline(path: Path, tests: list[str]) -> Passed:
    """Run the tests on the room as it is; they have to pass."""
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    receive, send = os.pipe()

    def work() -> int:
        watch = Watch(path)
        sys.meta_path.insert(0, Room(module_of(path), path, code))
        result = int(
            pytest.main([*OPTIONS, "-m", "not slow and not servers", *tests], plugins=[watch, Hasty()])
        )
        with os.fdopen(send, "w") as file:
            file.write(repr(dict(watch.found)))
        return result

    child = forked(work)
    os.close(send)
    with os.fdopen(receive) as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != DONE:
        raise SystemExit("the tests do not pass on the room as it is")
    found: Passed = eval(text, {})  # written a moment ago by ourselves
    return found


def tests_at(mutant: Mutant, passed: Passed) -> list[str]:
    """Return the tests that pass through the line of a fault, the fastest first.

    A fault in a line that runs at import is seen by all tests that come to the room.
    """
    own = passed.get(mutant.line)
    if own is None:
        own = {test: seconds for tests in passed.values() for test, seconds in tests.items()}
    return sorted(own, key=lambda test: (own[test], test))


def killed(mutant: Mutant, path: Path, passed: Passed) -> bool:
    """Say whether a test fails with this fault in; one that never ends counts as failing."""
    tests = tests_at(mutant, passed)
    if not tests:
        return False
    code = compile(mutant.program, str(path), "exec")

    def work() -> int:
        sys.meta_path.insert(0, Room(module_of(path), path, code))
        return int(pytest.main([*OPTIONS, *tests], plugins=[Hasty()]))

    longest = 20 + 10 * sum(seconds for own in passed.values() for seconds in [max(own.values())])
    child = forked(work, seconds=min(120, int(longest)))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) != DONE


def forked(work: Callable[[], int], seconds: int = 600) -> int:
    """Run `work` in a fork of this process, silent, and killed after so many seconds; return its process id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = FAILED
    try:
        loud, silent = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        code = work()
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        os.dup2(loud, 2)
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
