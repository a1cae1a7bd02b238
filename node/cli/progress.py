"""How long work shows that it goes on: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

LINE_EVERY_S = 5.0


class Progress(Protocol):
    """What the work tells."""

    def advance(self, count: int = 1) -> None:
        """Note that so many more are done."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """Show on standard error how many of `total` are done, as long as the context lasts."""
    if not sys.stderr.isatty():
        yield _Lines(what, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        yield _OnTerminal(bar, what, total)


class _OnTerminal:
    def __init__(self, bar: Bar, what: str, total: int) -> None:
        self._bar, self._task = bar, bar.add_task(what, total=total)

    def advance(self, count: int = 1) -> None:
        self._bar.advance(self._task, count)


class _Lines:
    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._told_at = time.monotonic()

    def advance(self, count: int = 1) -> None:
        self._done += count
        if time.monotonic() - self._told_at >= LINE_EVERY_S:
            self._told_at = time.monotonic()
            click.echo(f"{self._what}: {self._done} of {self._total}", err=True)
