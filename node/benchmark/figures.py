"""What a run gave, and what several runs give together: medians with their range, and ratios."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

MB = 1e6  # of what is sent; memory is in units of 2^20 bytes, as everywhere
REFERENCES = ("storescp", "orthanc", "orthanc-nodelay")  # what the others are held against


@dataclass(frozen=True, slots=True)
class Run:
    """One receiver, once. With `error` the other figures mean nothing.

    `seconds`: from the first sender's start to the last sender's end. `cpu_s`: of the
    processes that receive, until everything was registered; `other_cpu_s`: of the rest of
    this node. `peak_mb`: of the largest process that receives; `growth_mb`: by how much the
    run raised it. `pss_mb`: the whole tree at the end. `registered`: objects in the registry
    (or the folder) when the last sender ended. `elsewhere`: cores that were busy meanwhile with
    other things than receiver, senders and this command.
    """

    receiver: str
    nagle: bool
    objects: int
    size_bytes: int
    seconds: float = 0.0
    cpu_s: float = 0.0
    other_cpu_s: float = 0.0
    peak_mb: float = 0.0
    growth_mb: float = 0.0
    pss_mb: float = 0.0
    registered: int = 0
    elsewhere: float = 0.0
    error: str = ""

    @property
    def objects_per_s(self) -> float:
        """Objects acknowledged in a second."""
        return self.objects / self.seconds

    @property
    def mb_per_s(self) -> float:
        """Files sent in a second, in 10^6 bytes."""
        return self.size_bytes / MB / self.seconds

    @property
    def cpu_s_per_1000(self) -> float:
        """CPU seconds of those that receive, for 1000 objects."""
        return 1000 * self.cpu_s / self.objects

    @property
    def other_cpu_s_per_1000(self) -> float:
        """CPU seconds of the rest of the node, for 1000 objects."""
        return 1000 * self.other_cpu_s / self.objects

    @property
    def registered_share(self) -> float:
        """How much of it was registered when the last sender ended."""
        return self.registered / self.objects


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several runs, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of one or more values."""
        return cls(statistics.median(values), min(values), max(values))


FIGURES: dict[str, Callable[[Run], float]] = {
    "objects_per_s": lambda run: run.objects_per_s,
    "mb_per_s": lambda run: run.mb_per_s,
    "cpu_s": lambda run: run.cpu_s,
    "cpu_s_per_1000": lambda run: run.cpu_s_per_1000,
    "other_cpu_s_per_1000": lambda run: run.other_cpu_s_per_1000,
    "peak_mb": lambda run: run.peak_mb,
    "growth_mb": lambda run: run.growth_mb,
    "pss_mb": lambda run: run.pss_mb,
    "registered_share": lambda run: run.registered_share,
    "elsewhere": lambda run: run.elsewhere,
}


@dataclass(frozen=True, slots=True)
class Summary:
    """All runs of one receiver with one kind of sender; `spreads` is empty when every run failed."""

    receiver: str
    nagle: bool
    runs: int
    failed: int
    spreads: dict[str, Spread]

    def median(self, figure: str) -> float | None:
        """Return the median of a figure, None without a run that succeeded."""
        return self.spreads[figure].median if figure in self.spreads else None

    def as_row(self) -> dict[str, Any]:
        """Return it flat, for JSON and CSV."""
        row: dict[str, Any] = {
            "receiver": self.receiver,
            "nagle": self.nagle,
            "runs": self.runs,
            "failed": self.failed,
        }
        for figure in FIGURES:
            spread = self.spreads.get(figure)
            row[figure] = spread.median if spread else None
            row[f"{figure}_min"] = spread.low if spread else None
            row[f"{figure}_max"] = spread.high if spread else None
        return row


def summaries(runs: Iterable[Run]) -> list[Summary]:
    """Bring the runs of each receiver and each kind of sender together, in the order of their first run."""
    groups: dict[tuple[str, bool], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.receiver, run.nagle), []).append(run)
    return [_summary(receiver, of_one, nagle=nagle) for (receiver, nagle), of_one in groups.items()]


def _summary(receiver: str, runs: Sequence[Run], *, nagle: bool) -> Summary:
    good = [run for run in runs if not run.error]
    spreads = (
        {name: Spread.of([figure(run) for run in good]) for name, figure in FIGURES.items()} if good else {}
    )
    return Summary(receiver, nagle, len(runs), len(runs) - len(good), spreads)


def ratio(summary: Summary, others: Iterable[Summary], *, to: str, figure: str) -> float | None:
    """Return the median of a figure over that of the receiver `to` with the same kind of sender.

    None when one of them has no figure, or the other's is too small to be measured.
    """
    reference = next((each for each in others if (each.receiver, each.nagle) == (to, summary.nagle)), None)
    above, below = summary.median(figure), reference.median(figure) if reference else None
    return above / below if above is not None and below else None
