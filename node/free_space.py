"""When the disk is too full to accept more."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from node import logs
from node.config import Config

GB = 1_000_000_000
LOOK_S = (
    1.0  # how long one look at the free space is believed; a link of 10 Gbit/s brings 1.2 GB in that time
)
RESUME = 1.02  # accept again when 2 % more than the reserve is free, so that the answer does not flicker

log = logs.get("node.free_space")


class FreeSpace:
    """Whether there is room for more: asked for every instance, looked up once a second."""

    def __init__(
        self,
        config: Config,
        *,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = (config.node.data_dir, config.spool_dir)  # the spool may be a disk of its own
        self._reserve = config.retention.min_free_gb * GB
        self._free_bytes = free_bytes
        self._clock = clock
        self._looked_at = float("-inf")
        self._accepting = True

    def accepting(self) -> bool:
        """Say whether an instance may be accepted; when not, C-STORE answers 0xA700."""
        now = self._clock()
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            needed = self._reserve if self._accepting else self._reserve * RESUME
            accepting = min(map(self._free_bytes, self._folders)) >= needed
            if accepting != self._accepting:
                log.warning("disk.accepting" if accepting else "disk.full", min_free_gb=self._reserve / GB)
            self._accepting = accepting
        return self._accepting
