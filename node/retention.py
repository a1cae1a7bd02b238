"""What may be deleted, and when."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from node import logs
from node.config import Config
from node.registry import due

BATCH = 500

log = logs.get("node.retention")


class Retention:
    """Deletes the received files and the results of series that have been over and done with for long enough.

    A period of 0 days keeps for ever. What is held, waits, or has a delivery pending is
    never deleted, however old. The rows in the registry stay.
    """

    def __init__(
        self,
        config: Config,
        engine: Engine,
        *,
        record: Callable[[str, str, datetime, int], None],
        mark_removed: Callable[[str, datetime, datetime], list[str]],
        now: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._engine = engine
        self._record = record
        self._mark_removed = mark_removed
        self._now = now

    def run_once(self) -> int:
        """Delete what is due; return how many series lost files."""
        keys = self._config.retention
        return self._sweep(
            self._config.spool_dir / "store", keys.spool_days, "originals.deleted", self._delete_originals
        ) + self._sweep(self._config.outputs_dir, keys.outputs_days, "outputs.deleted", self._delete_outputs)

    def _sweep(self, top: Path, days: int, event: str, delete: Callable[[Path, str, datetime], int]) -> int:
        """Walk the series folders `<top>/<Study>/<Series>`: what is on the disk, not all that ever was."""
        if days == 0:
            return 0
        now = self._now()
        moment = now - timedelta(days=days)
        count = 0
        for folders in _batches(_series_folders(top)):
            by_uid = {folder.name: folder for folder in folders}
            for uid in due.removable(self._engine, sorted(by_uid), moment):
                if not due.removable(self._engine, [uid], moment):
                    continue  # a late instance came since
                deleted = delete(by_uid[uid], uid, moment)
                if deleted:
                    count += 1
                    self._record(event, uid, now, deleted)
                    log.info(event, SeriesInstanceUID=uid, files=deleted, days=days)
        return count

    def _delete_originals(self, folder: Path, uid: str, moment: datetime) -> int:
        """Delete the registered files, one by one: what arrives meanwhile is not among them."""
        deleted = 0
        for path in self._mark_removed(uid, moment, self._now()):
            with suppress(FileNotFoundError):
                Path(path).unlink()
                deleted += 1
        _remove_empty(folder)
        return deleted

    @staticmethod
    def _delete_outputs(folder: Path, uid: str, moment: datetime) -> int:
        del uid, moment
        deleted = sum(1 for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder, ignore_errors=True)
        _remove_empty(folder)
        return deleted


def _series_folders(top: Path) -> Iterator[Path]:
    if not top.is_dir():
        return
    for study in sorted(top.iterdir()):
        if study.is_dir():
            yield from sorted(folder for folder in study.iterdir() if folder.is_dir())


def _batches(folders: Iterator[Path]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    for folder in folders:
        batch.append(folder)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _remove_empty(folder: Path) -> None:
    """Remove a folder and then its parent, each if nothing is left in it."""
    for each in (folder, folder.parent):
        with suppress(OSError):
            each.rmdir()
