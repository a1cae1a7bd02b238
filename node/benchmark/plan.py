"""What is to be measured, as a person asked for it, and the objects and receivers that follow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from node.benchmark import candidates, grown, objects, senders
from node.benchmark.candidates import NODE, Conditions
from node.benchmark.measure import Candidate, Load
from node.errors import NodeError

WARM_UP_OBJECTS = 10  # for each association
NAGLE = {"on": (True,), "off": (False,), "both": (False, True)}
DURABILITIES = {"fsync": ("fsync",), "flush": ("flush",), "both": ("fsync", "flush")}

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of `prepnode bench receive`; with `large_mb` or `registered` another question is asked."""

    objects: int = 300
    size: int = 512
    associations: int = 1
    listeners: int = 1
    runs: int = 3
    receivers: tuple[str, ...] = candidates.NAMES
    nagle: Literal["on", "off", "both"] = "off"
    sender: senders.Kind = "storescu"
    durability: Literal["fsync", "flush", "both"] = "both"
    max_pdu: int | None = None
    large_mb: int | None = None
    registered: int | None = None
    timeout_s: float = 300.0

    @property
    def n_objects(self) -> int:
        """Objects of one run: a sender without any would be none."""
        return 1 if self.large_mb else max(self.objects, self.associations)

    @property
    def kinds(self) -> tuple[bool, ...]:
        """Whether Nagle's algorithm is on, for each kind of sender."""
        return NAGLE[self.nagle]

    def missing(self) -> list[str]:
        """Say which receivers are left out, and why."""
        return (
            [] if self.registered else [why for name in self.receivers if (why := candidates.missing(name))]
        )

    def candidates(self, folder: Path, advance: Advance = lambda _: None) -> list[Candidate]:
        """Return who receives; a grown registry is filled in `folder`, which `advance` hears of.

        Raises:
            NodeError: nobody does.
        """
        conditions = Conditions(self.associations, self.listeners, self.max_pdu)
        durabilities = DURABILITIES[self.durability]
        if self.registered:
            registry = folder / "grown.db"
            grown.fill(registry, self.registered, written=advance)
            return candidates.grown(durabilities, conditions, registry)
        names = [name for name in self.receivers if not candidates.missing(name)]
        if not names:
            raise NodeError(f"none of the receivers is installed; `{NODE}` always is")
        return candidates.choose(names, durabilities, conditions)

    def load(self, folder: Path, advance: Advance = lambda _: None) -> Load:
        """Write what is sent into `folder`, which `advance` hears of."""
        warm_up = objects.write_shares(
            folder / "warm-up",
            "warm-up",
            objects=self.associations * WARM_UP_OBJECTS,
            size=self.size,
            associations=self.associations,
        )
        if self.large_mb:
            return Load(
                warm_up,
                (objects.write_large(folder / "large", size_mb=self.large_mb),),
                self.sender,
                self.timeout_s,
            )
        shares = objects.write_shares(
            folder / "objects",
            "counted",
            objects=self.n_objects,
            size=self.size,
            associations=self.associations,
            written=lambda: advance(1),
        )
        return Load(warm_up, shares, self.sender, self.timeout_s)

    def __str__(self) -> str:
        """Tell it in one line."""
        what = (
            f"one object of {self.large_mb} MB"
            if self.large_mb
            else f"{self.n_objects} objects of {self.size} x {self.size}, {self.associations} association(s)"
        )
        pdu = f"PDU {self.max_pdu}" if self.max_pdu else "PDU as shipped"
        told = [
            what,
            self.sender,
            pdu,
            f"{self.listeners} listener(s) of this node",
            f"{self.runs} runs each",
        ]
        if self.registered:
            told.append(f"an empty registry against one of {self.registered} instances")
        return ", ".join(told)
