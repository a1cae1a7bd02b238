"""What is registered: an instance that arrived, and what it was to the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Arrival:
    """One durable instance that is to be registered.

    `path` is where it is kept, `sha256` the digest of its data set, `received_at` UTC
    without zone, `facts` what `node.header_facts` found: keyword -> JSON-able value.
    `received_as` is the name in new/ under which it was acknowledged and is counted once; ""
    when it does not come from there, None when that name was gone before it could be taken in.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    path: Path
    size_bytes: int
    sha256: str
    received_at: datetime
    calling_ae_title: str = ""
    called_ae_title: str = ""
    source_address: str = ""
    association: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    received_as: str | None = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes two arrivals the same."""
        return self.sop_instance_uid, self.sha256


class Outcome(StrEnum):
    """What an arrival was to the registry."""

    NEW = "NEW"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of one arrival; `revision` is that of its series afterwards.

    `is_late`: the series was complete before, and this batch opened the revision.
    """

    arrival: Arrival
    outcome: Outcome
    revision: int
    is_late: bool = False
