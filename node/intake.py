"""Take a batch of durable instances in: into the store, into the registry, out of new/, in this order.

    1. link each file into store/ and flush those folders    (the name in new/ stays)
    2. commit the rows, which name the place in store/        (one transaction)
    3. remove the names in new/

Killed before 2: the file is in new/, is taken in at the next start, and finds its link
made. Killed before 3: it is found in new/ again, is a duplicate, and its name is removed.
So a row never names a file that is not there, and what was acknowledged is registered
exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from node import logs
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
            log.exception("instance.set_aside", file=spool.set_aside(arrival.path).name)
        except SpoolError as error:
            if arrival.path.exists():
                stuck.append(arrival)
                problem = str(error)
            else:  # whatever removed it, waiting does not bring it back
                log.exception("instance.vanished", SOPInstanceUID=arrival.sop_instance_uid)
    spool.settle({stored.path.parent for _, stored in placed})
    registered = repository.register([stored for _, stored in placed], now)
    for arrival, stored in placed:
        if arrival.path != stored.path:
            spool.release(arrival.path)
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


def _place(spool: Spool, arrival: Arrival) -> Arrival:
    target = spool.store_path(
        arrival.study_instance_uid, arrival.series_instance_uid, arrival.sop_instance_uid
    )
    return replace(arrival, path=spool.place(arrival.path, target, sha256=arrival.sha256))
