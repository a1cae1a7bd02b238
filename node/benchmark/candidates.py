"""Which receivers take part: chosen by name, left out with a word when not installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from node.benchmark.measure import Candidate
from node.benchmark.own_node import OwnNode
from node.benchmark.receivers import (
    Orthanc,
    OrthancNoDelay,
    Peer,
    PynetdicomStoreSCP,
    StoreSCP,
    orthanc_binary,
)

NODE = "node"
PEERS: dict[str, type[Peer]] = {
    "storescp": StoreSCP,
    "orthanc": Orthanc,
    "orthanc-nodelay": OrthancNoDelay,
    "pynetdicom": PynetdicomStoreSCP,
}
NAMES = (NODE, *PEERS)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is the same for all receivers, and how many listeners this node has."""

    associations: int = 1
    listeners: int = 1
    max_pdu: int | None = None  # None: each as it is shipped


def choose(names: Iterable[str], durabilities: Sequence[str], conditions: Conditions) -> list[Candidate]:
    """Return the receivers of these names, this node once for each durability."""
    found: list[Candidate] = []
    for name in names:
        if name == NODE:
            found += [_own(f"node-{mode}", mode, conditions) for mode in durabilities]
        else:
            make = partial(PEERS[name], associations=conditions.associations, max_pdu=conditions.max_pdu)
            found.append(Candidate(name, make))
    return found


def grown(durabilities: Sequence[str], conditions: Conditions, registry: Path) -> list[Candidate]:
    """Return this node twice for each durability: with an empty registry, and with a copy of this one."""
    return [
        candidate
        for mode in durabilities
        for candidate in (
            _own(f"node-{mode}", mode, conditions),
            _own(f"node-{mode}-grown", mode, conditions, registry),
        )
    ]


def missing(name: str) -> str:
    """Say why a receiver cannot take part, or nothing."""
    if name == "storescp" and not shutil.which("storescp"):
        return "storescp is not installed (Debian: dcmtk)"
    if name in ("orthanc", "orthanc-nodelay") and not orthanc_binary():
        return f"{name}: Orthanc is not installed (Debian: orthanc)"
    return ""


def _own(name: str, durability: str, conditions: Conditions, registry: Path | None = None) -> Candidate:
    make = partial(
        OwnNode,
        durability=durability,
        listeners=conditions.listeners,
        max_pdu=conditions.max_pdu,
        registry=registry,
    )
    return Candidate(name, make)
