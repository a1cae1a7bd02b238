"""Take a batch of durable instances in: into the store, into the registry, out of new/, in this order.

    1. link each file into store/ and flush those folders    (the name in new/ stays)
    2. flush what the listeners have counted as acknowledged
    3. commit the rows, which name the place in store/        (one transaction, with the ledger)
    4. remove the names in new/, flush that, and let the registry forget them

Killed before 3: the file is in new/, is taken in at the next start, and finds its link
made. Killed before 4: it is found in new/ again, its name is known, nothing is counted
twice, and the name is removed. So a row never names a file that is not there, and what was
acknowledged is registered exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from node import acks, logs
from node.errors import InvalidUIDError, SpoolError
from node.registry.arrivals import Arrival, Registered
from node.registry.repository import Repository
from node.spool import Spool, valid_uid

log = logs.get("node.intake")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch: what is registered, and what is to be tried again because of a `problem`."""

    registered: tuple[Registered, ...] = ()
    stuck: tuple[Arrival, ...] = ()
    problem: str | None = None


def take_in(repository: Repository, spool: Spool, batch: Sequence[Arrival], now: datetime) -> Taken:
    """Store and register a batch; safe to be repeated after any failure.

    Raises:
        RegistryError: the rows cannot be committed; all of the batch is to be tried again.
        SpoolError: a folder cannot be flushed; all of the batch is to be tried again.
    """
    placed: list[tuple[Arrival, Arrival]] = []
    stuck: list[Arrival] = []
    problem: str | None = None
    for arrival in batch:
        try:
            placed.append((arrival, _place(spool, arrival)))
        except InvalidUIDError:  # senders of such are refused; this is the last line of defence
            log.exception("instance.set_aside", file=arrival.path.name)
            set_aside(
                repository,
                spool,
                arrival.path,
                calling_ae_title=arrival.calling_ae_title,
                received_at=arrival.received_at,
                now=now,
            )
        except SpoolError as error:
            if arrival.path.exists():
                stuck.append(arrival)
                problem = str(error)
            else:  # whatever removed it, waiting does not bring it back
                log.exception("instance.vanished", SOPInstanceUID=arrival.sop_instance_uid)
    spool.settle({stored.path.parent for _, stored in placed})
    if spool.is_durable:
        acks.flush(spool.root, {arrival.received_at.date() for arrival in batch})
    registered = repository.register([stored for _, stored in placed], now)
    released = [arrival.path for arrival, stored in placed if arrival.path != stored.path]
    for path in released:
        spool.release(path)
    spool.settle({path.parent for path in released})
    repository.forget([path.name for path in released])
    return Taken(tuple(registered), tuple(stuck), problem)


def series_of(facts: Mapping[str, Any], sop_instance_uid: str) -> tuple[str, str]:
    """Return (StudyInstanceUID, SeriesInstanceUID) to register an instance under.

    An object whose header does not say them, or says what is no UID, was received all the
    same: it becomes a series of its own under its SOPInstanceUID, so that it is judged and
    reported like any other.
    """
    study, series = str(facts.get("StudyInstanceUID", "")), str(facts.get("SeriesInstanceUID", ""))
    if valid_uid(study) and valid_uid(series):
        return study, series
    return sop_instance_uid, sop_instance_uid


def set_aside(  # noqa: PLR0913 - whose object, which file
    repository: Repository,
    spool: Spool,
    path: Path,
    *,
    calling_ae_title: str,
    received_at: datetime,
    now: datetime,
) -> None:
    """Move a file of new/ that cannot be registered out of the way, and count it: it was acknowledged.

    Raises:
        RegistryError: it cannot be counted, and stays where it is.
    """
    if not path.exists():
        return  # a batch that is tried again
    repository.set_aside((received_at.date(), acks.title(calling_ae_title)), path.name, now)
    spool.set_aside(path)
    repository.forget([path.name])


def _place(spool: Spool, arrival: Arrival) -> Arrival:
    name = arrival.path.name if arrival.path.exists() else None
    target = spool.store_path(
        arrival.study_instance_uid, arrival.series_instance_uid, arrival.sop_instance_uid
    )
    return replace(arrival, path=spool.place(arrival.path, target, sha256=arrival.sha256), received_as=name)
