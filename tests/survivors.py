"""What became of small faults that were put into rooms: those that no test noticed, as lines and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_LINE = 150  # of the page


@dataclass(frozen=True)
class Survivor:
    """A fault that no test noticed; `is_reached` says whether any test passes through its line."""

    line: int
    change: str
    source: str
    is_reached: bool

    def __str__(self) -> str:
        """Say where it is and what it was, with the line of the room."""
        note = "" if self.is_reached else " [at import, or no test comes here]"
        return f"line {self.line}: {self.change}{note}: {self.source}"


@dataclass(frozen=True)
class Result:
    """What became of the faults of one room."""

    room: str
    faults: int
    survivors: tuple[Survivor, ...]

    @property
    def killed(self) -> int:
        return self.faults - len(self.survivors)

    @property
    def share(self) -> float:
        """Percent of the faults that were noticed."""
        return 100 * self.killed / max(self.faults, 1)


def page(results: Sequence[Result]) -> str:
    """Return the results as a page: a table of the rooms, then the faults that no test noticed."""
    faults, killed = (sum(getattr(each, name) for each in results) for name in ("faults", "killed"))
    head = [
        "# Faults that no test notices",
        "",
        "Made by `make mutants`: each line is a small fault that was put into a room of the science, and that its tests let pass.",
        "Most change nothing that can be seen (a limit that no measured number meets exactly, a guard that is never reached).",
        "",
        f"{killed} of {faults} faults are noticed, {100 * killed / max(faults, 1):.1f} %.",
        "",
        "| room | faults | noticed |",
        "|---|---|---|",
        *(f"| `{each.room}` | {each.faults} | {each.share:.0f} % |" for each in results if each.faults),
    ]
    for each in results:
        if each.survivors:
            head += ["", f"## {each.room}", "", "```"]
            head += [f"{survivor}"[:LONGEST_LINE] for survivor in each.survivors]
            head += ["```"]
    return "\n".join(head) + "\n"
