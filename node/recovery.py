"""Register from the files alone: what a dead process left in new/, or all of store/."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from node import logs
from node.acks import Peer, title
from node.digest import digest
from node.errors import SpoolError
from node.header_facts import facts
from node.incoming import written_at
from node.intake import series_of, set_aside, take_in
from node.ledger import balance
from node.part10 import META_LIMIT_BYTES, read_file_meta
from node.registry import ledger
from node.registry.arrivals import Arrival, Outcome
from node.registry.repository import Repository
from node.spool import Spool, valid_uid

BATCH = 500

log = logs.get("node.recovery")


def arrival_from_file(path: Path) -> Arrival | None:
    """Describe a stored instance by what is in its file; None when not even its SOP Instance UID is.

    It counts as received when the file was last written. Who called whom comes from the
    File Meta Information; the association is over and unknown.

    Raises:
        OSError: the file cannot be read.
    """
    found = facts(path)
    with path.open("rb") as file:
        meta = read_file_meta(file.read(META_LIMIT_BYTES))
    sop = str(found.get("SOPInstanceUID", ""))
    if not valid_uid(sop):
        sop = meta.sop_instance_uid
    if not valid_uid(sop):
        return None
    study, series = series_of(found, sop)
    status = path.stat()
    return Arrival(
        sop_instance_uid=sop,
        sop_class_uid=str(found.get("SOPClassUID", meta.sop_class_uid))[:64],
        transfer_syntax_uid=meta.transfer_syntax_uid[:64],
        study_instance_uid=study,
        series_instance_uid=series,
        path=path,
        size_bytes=status.st_size,
        sha256=digest(path),
        received_at=written_at(status),
        calling_ae_title=meta.calling_ae_title,
        called_ae_title=meta.called_ae_title,
        facts=found,
    )


def recover(repository: Repository, spool: Spool, now: datetime) -> int:
    """Take in what is in new/ though its process is gone; return how many instances that were.

    What cannot be registered at all (no SOP Instance UID) is set aside in unreadable/.

    Raises:
        RegistryError, SpoolError: not everything could be taken in; the node must not start.
    """
    n = 0
    for paths in _batches(spool.recover()):
        batch = [
            arrival
            for path in paths
            if (arrival := read_left_behind(path, repository, spool, now)) is not None
        ]
        taken = take_in(repository, spool, batch, now)
        if taken.stuck:
            raise SpoolError(f"{len(taken.stuck)} instances stay in new/: {taken.problem}")
        n += len(taken.registered)
    gone = [name for name in ledger.remembered(repository.engine) if not spool.is_waiting(name)]
    spool.settle([spool.root / "new"])  # gone for good, power loss or not
    repository.forget(gone)
    if n:
        log.info("spool.recovered", instances=n)
    return n


def rebuild(
    repository: Repository, spool: Spool, now: datetime, progress: Callable[[int], None] | None = None
) -> int:
    """Register every file of store/ where it is; return how many there are.

    Idempotent. Series begin anew: they become complete, and are processed, once more. Days of
    which the registry knew nothing, or not all, open in the ledger anew, and are marked there.
    `progress` is told how many files each step took.

    Raises:
        RegistryError: a batch could not be committed; the ones before it were.
    """
    n = 0
    added: set[Peer] = set()
    for paths in _batches(spool.stored()):
        batch = [arrival for path in paths if (arrival := arrival_from_file(path)) is not None]
        for each in repository.register(batch, now):
            if each.outcome is not Outcome.DUPLICATE:
                added.add((each.arrival.received_at.date(), title(each.arrival.calling_ae_title)))
        n += len(batch)
        if progress is not None:
            progress(len(paths))
    _open_anew(repository, spool, added, now)
    return n


def _open_anew(repository: Repository, spool: Spool, added: Collection[Peer], now: datetime) -> None:
    """Let those days balance that a rebuild has changed, or of which only acknowledgements are known."""
    corrections = {}
    for line in balance(repository.engine, spool.root):
        peer = (line.day, line.calling_ae_title)
        if peer in added or line.rows_missing or not line.registered:
            missing = line.rows_missing
            corrections[peer] = {"n_new": -missing, "adjustment": line.difference - missing}
    repository.rebase(corrections, now)


def read_left_behind(path: Path, repository: Repository, spool: Spool, now: datetime) -> Arrival | None:
    """Describe a file of new/; None when there is nothing to register: it is gone, or was set aside.

    Raises:
        SpoolError: the file cannot be read.
        RegistryError: it was set aside, and that cannot be noted.
    """
    try:
        arrival = arrival_from_file(path)
    except FileNotFoundError:  # another process took it in meanwhile
        return None
    except OSError as error:
        raise SpoolError(f"{path}: cannot be read: {error.strerror}; check the disk") from error
    if arrival is None:
        log.error("instance.unreadable", file=path.name)
        with path.open("rb") as file:
            sender = read_file_meta(file.read(META_LIMIT_BYTES)).calling_ae_title
            received_at = written_at(os.fstat(file.fileno()))
        set_aside(repository, spool, path, calling_ae_title=sender, received_at=received_at, now=now)
    return arrival


def _batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    waiting = iter(paths)
    while batch := list(islice(waiting, BATCH)):
        yield batch
