"""Mutation testing: which small faults in a room no test notices (`make mutants ROOM=...`).

    python tests/mutants.py handlers/triage handlers/geometry.py [--jobs 2] [--every 1] [--tests FILE ...] [--page FILE]

The tests are collected once. They run once, to learn which of them pass through which line.
Then each fault is put in, and the tests of its line run, the nearest and fastest first, until
one fails. A fault inside a function is put in by exchanging the function's code in a fork of
the collected tests, which takes milliseconds; one in a line that runs at import takes a fork
that imports everything anew. Tests with more than `BUDGET` seconds before them in the queue
are not tried: such a fault counts as survived, though a late test might notice it.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib.abc
import importlib.machinery
import json
import os
import re
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest

from mutation import Mutant, mutants
from survivors import Result, Survivor, page

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("tests/unit", "tests/property")
CHOICE = ("-q", "-s", "-p", "no:cacheprovider", "-o", "timeout=0", "--tb=no", "--hypothesis-seed=0")
MARKS = ("-m", "not slow and not servers")
OURS = tuple(
    f"{ROOT}/{folder}/" for folder in ("handlers", "node", "tests")
)  # forgotten by a fork that imports anew
BUDGET = 8.0  # seconds of tests, as timed in the first run, which takes two to three times as long
PATIENCE = 10.0  # times the time of a test, before it counts as never ending
DONE, FAILED = 0, 1

Function = tuple[str, int]  # qualified name and first line


@dataclass
class Room:
    """One file under test: its functions as they are loaded, and which tests pass through its lines."""

    path: Path
    functions: dict[Function, list[FunctionType]] = field(default_factory=lambda: defaultdict(list))
    passed: dict[int, dict[str, float]] = field(
        default_factory=lambda: defaultdict(dict)
    )  # line, test, seconds

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def module(self) -> str:
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts)

    @functools.cached_property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @functools.cached_property
    def codes(self) -> dict[Function, CodeType]:
        return dict(codes_in(compile(self.source, str(self.path), "exec")))

    def exchanged(self, code: CodeType) -> list[tuple[FunctionType, CodeType]]:
        """Return the loaded functions whose code is another in `code`; none when the fault lies outside of all."""
        new = dict(codes_in(code))
        changed = [key for key, before in self.codes.items() if new.get(key) != before]
        return [(each, new[key]) for key in changed if key in new for each in self.functions.get(key, ())]

    def tests_at(self, line: int) -> list[str]:
        """Return the tests of a line: of the room's own name, then of its kind, each the fastest first; within the budget.

        A line that runs at import is seen by every test that comes to the room.
        """
        own = self.passed.get(line) or {
            test: seconds for tests in self.passed.values() for test, seconds in tests.items()
        }
        near = (self.path.stem, f"test_{self.path.parent.name}")
        queue = sorted(
            own, key=lambda test: (*(name not in test.split("::")[0] for name in near), own[test], test)
        )
        total, chosen = 0.0, []
        for test in queue:
            total += own[test]
            if chosen and total > BUDGET:
                break
            chosen.append(test)
        return chosen


def codes_in(code: CodeType) -> Iterator[tuple[Function, CodeType]]:
    """Yield every function's code of a compiled file with its key, those inside functions too."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield (each.co_qualname, each.co_firstlineno), each
            yield from codes_in(each)


class Session:
    """A pytest plugin that runs faults instead of tests, once the tests are collected."""

    def __init__(self, rooms: Sequence[Room], arguments: argparse.Namespace) -> None:
        self.rooms = {str(room.path): room for room in rooms}
        self.arguments = arguments
        self.failed: list[str] = []
        self.results: list[Result] = []
        self.caches: list[Any] = []

    @pytest.hookimpl
    def pytest_configure(self) -> None:
        """Ask Hypothesis for any counterexample, it need not be the smallest."""
        from hypothesis import Phase, settings

        settings.register_profile("hasty", phases=[Phase.explicit, Phase.generate], database=None)
        settings.load_profile("hasty")

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self._look_around()
        self._first_run(list(session.items))
        for room in self.rooms.values():
            self._try_all(room)
        return True

    def _look_around(self) -> None:
        """Find the loaded functions of the rooms, and the caches that tests would share."""
        for each in gc.get_objects():
            if isinstance(each, FunctionType):
                code = each.__code__
                if code.co_filename in self.rooms:
                    key = code.co_qualname, code.co_firstlineno
                    self.rooms[code.co_filename].functions[key].append(each)
            elif isinstance(each, functools._lru_cache_wrapper) and each.__module__.startswith("handlers"):
                self.caches.append(each)
        gc.freeze()

    def _first_run(self, items: list[pytest.Item]) -> None:
        """Run the tests on the rooms as they are, in a fork; they have to pass."""
        receive, send = os.pipe()

        def work() -> int:
            watch = Watch(self.rooms)
            for item, following in zip(items, [*items[1:], None], strict=True):
                for cache in self.caches:
                    cache.cache_clear()
                with watch.on(item.nodeid):
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            with os.fdopen(send, "w") as file:
                json.dump([watch.found, self.failed], file)
            return DONE

        child = forked(work, seconds=3600)
        os.close(send)
        with os.fdopen(receive) as file:
            found, failed = json.loads(file.read() or "[{}, ['the first run broke off']]")
        os.waitpid(child, 0)
        if failed:
            raise pytest.UsageError(f"the tests do not pass on the rooms as they are: {failed}")
        for path, line, test, seconds in found:
            self.rooms[path].passed[line][test] = seconds

    def _try_all(self, room: Room) -> None:
        chosen = list(mutants(room.source))[:: self.arguments.every]
        lines = room.source.splitlines()
        waiting, running = chosen[::-1], {}
        survived: list[Mutant] = []
        while waiting or running:
            while waiting and len(running) < self.arguments.jobs:
                mutant = waiting.pop()
                running[forked(functools.partial(self._try, room, mutant), seconds=600)] = mutant
            child, status = os.wait()
            mutant = running.pop(child)
            if os.waitstatus_to_exitcode(status) == DONE:
                survived.append(mutant)
        found = (
            Survivor(each.line, each.change, lines[each.line - 1].strip(), bool(room.passed.get(each.line)))
            for each in sorted(survived, key=lambda mutant: mutant.line)
        )
        result = Result(room.name, len(chosen), tuple(found))
        self.results.append(result)
        print(f"{room.name}: {result.share:.1f} % of {result.faults} faults killed", flush=True)
        for survivor in result.survivors:
            print(f"  {survivor}", flush=True)

    def _try(self, room: Room, mutant: Mutant) -> int:
        """Run the tests of one fault in this fork; DONE when all pass, so that it survives."""
        tests = room.tests_at(mutant.line)
        code = compile(mutant.program, str(room.path), "exec")
        exchanged = room.exchanged(code) if room.passed.get(mutant.line) else []
        if not tests:
            return DONE
        if not exchanged:
            return imported_anew(room, code, tests)
        for function, new in exchanged:
            function.__code__ = new
        items = [self.items[test] for test in tests]
        for item, following in zip(items, [*items[1:], None], strict=True):
            signal.alarm(int(5 + PATIENCE * room.passed[mutant.line][item.nodeid]))
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return FAILED
        return DONE


class Watch:
    """Notes which test passes through which line of the rooms, and how long it takes."""

    def __init__(self, rooms: dict[str, Room]) -> None:
        self.rooms = rooms
        self.lines: set[tuple[str, int]] = set()
        self.found: list[tuple[str, int, str, float]] = []
        self.test, self.started = "", 0.0

    def on(self, test: str) -> Watch:
        self.test = test
        return self

    def __enter__(self) -> None:
        self.lines, self.started = set(), time.monotonic()
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        seconds = round(time.monotonic() - self.started, 4)
        self.found += [(path, line, self.test, seconds) for path, line in self.lines]

    def _call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._line if frame.f_code.co_filename in self.rooms else None

    def _line(self, frame: FrameType, _event: str, _argument: object) -> Any:
        self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


class Faulty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a program that is handed in, instead of from its file."""

    def __init__(self, room: Room, code: CodeType) -> None:
        self.room, self.code = room, code

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if name != self.room.module:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.room.path))

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self.room.path)
        exec(self.code, module.__dict__)


class Hasty:
    """The same haste for the tests of a fork that imports anew, and a bound on their time."""

    pytest_configure = Session.pytest_configure


def imported_anew(room: Room, code: CodeType, tests: list[str]) -> int:
    """Forget what is loaded of ours, and run the tests on a room imported with its fault."""
    for name, module in list(sys.modules.items()):
        if name != "__main__" and (getattr(module, "__file__", None) or "").startswith(OURS):
            del sys.modules[name]
    sys.meta_path.insert(0, Faulty(room, code))
    signal.alarm(120)
    return int(pytest.main(["-x", *CHOICE, *MARKS, *tests], plugins=[Hasty()]))


def forked(work: Callable[[], int], seconds: int) -> int:
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


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rooms", type=Path, nargs="+", metavar="ROOM", help="file, or folder of files")
    parser.add_argument("--tests", nargs="*", help="test files; else all that name a room or run the handler")
    parser.add_argument("--jobs", type=int, default=2, help="forks at a time")
    parser.add_argument("--every", type=int, default=1, help="only every n-th fault: a sample")
    parser.add_argument("--page", type=Path, help="also write the results as a page of documentation")
    parser.add_argument("--at-least", type=float, default=0, help="exit 1 when fewer percent are killed")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    rooms = [Room(file) for room in arguments.rooms for file in files_of((ROOT / room).resolve())]
    session = Session(rooms, arguments)
    tests = arguments.tests or tests_of(rooms)
    result = pytest.main([*CHOICE, *MARKS, *tests], plugins=[session])
    if result != DONE:
        return int(result)
    faults, killed = (sum(getattr(each, name) for each in session.results) for name in ("faults", "killed"))
    share = 100 * killed / max(faults, 1)
    print(f"in all: {share:.1f} % of {faults} faults killed")
    if arguments.page:
        arguments.page.write_text(page(session.results), encoding="utf-8")
    return DONE if share >= arguments.at_least else FAILED


def files_of(room: Path) -> list[Path]:
    return sorted(room.rglob("*.py")) if room.is_dir() else [room]


def tests_of(rooms: Sequence[Room]) -> list[str]:
    """Return the test files of the folders that name a room or one of ours that may be built on it."""
    word = re.compile(r"\bhandlers\b|from runs import|import (?:data|datasets|phantoms)\b")
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).glob("test_*.py"))]
    return [str(file.relative_to(ROOT)) for file in files if word.search(file.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    sys.exit(main())
