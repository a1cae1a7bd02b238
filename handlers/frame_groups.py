"""Frames that may share an array, while a series is being split."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from handlers.model import Frame, Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Frames that may share an array, the keys that they have in common, and how they were found.

    `soft_key` names the soft key that was needed, `tiled` the finding code of a sheet of tiled slices;
    `kept_whole` says why a sheet was not taken apart.
    `is_exempt` marks images that are never left over: localizers, secondary captures, projections.
    """

    frames: tuple[Frame, ...]
    keys: Mapping[str, Hashable] = field(default_factory=dict)
    geometry: Geometry | None = None
    soft_key: str = ""
    tiled: str = ""
    kept_whole: str = ""
    is_exempt: bool = False
