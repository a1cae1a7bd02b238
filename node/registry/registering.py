"""Register received instances: what is new, what is the same again, what contradicts, what comes late.

An instance is known by (SOPInstanceUID, digest of its data set). The same again changes
nothing but the time at which its series was last heard of. Other bytes under a known UID
are a further row, a conflict. A new row in a series that was complete opens a revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from node.registry import ledger
from node.registry.arrivals import Arrival, Outcome, Registered
from node.registry.database import insert_ignoring
from node.registry.history import record
from node.registry.schema import Base, Instance, Series, Study
from node.registry.states import SeriesState, move

CHUNK = 500  # values in one IN (...); SQLite takes 32766, older ones 999
NOT_OF_A_SERIES = frozenset(  # of the patient, the visit or the single instance
    (
        "PatientID",
        "AccessionNumber",
        "StudyDescription",
        "StudyInstanceUID",
        "SOPInstanceUID",
        "InstanceNumber",
        "ImagePositionPatient",
    )
)
OF_AN_INSTANCE = ("InstanceNumber", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient")
UNJUDGED: dict[
    str, Any
] = {  # a new revision knows nothing of the judgement, or the release, of the one before
    "reason": None,
    "evidence": {},
    "completed_at": None,
    "processed_at": None,
    "verdict": None,
    "released": False,
    "error": None,
}


GROW = (
    update(Base.metadata.tables["series"])
    .where(Series.SeriesInstanceUID == bindparam("series"))
    .values(n_instances=Series.n_instances + bindparam("n"), last_received_at=bindparam("at"), due_at=None)
)


@dataclass(slots=True)
class _SeriesChange:
    """What one batch brings to one series."""

    state: SeriesState
    revision: int
    last_received_at: datetime | None = None  # by this batch alone: the clock may have been set back
    n_new: int = 0
    n_conflicts: int = 0
    n_duplicates: int = 0

    @property
    def is_late(self) -> bool:
        return self.state is not SeriesState.RECEIVING and self.n_new > 0


def register(connection: Connection, batch: Sequence[Arrival], now: datetime) -> list[Registered]:
    """Write a batch; return what became of each arrival, in their order."""
    _add_parents(connection, batch, now)
    changes = _lock_series(connection, sorted({arrival.series_instance_uid for arrival in batch}))
    known = _known(connection, sorted({arrival.sop_instance_uid for arrival in batch}))
    counted = ledger.counted(connection, [each.received_as for each in batch if each.received_as])
    outcomes: list[Outcome] = []
    new: list[tuple[Arrival, Outcome]] = []
    again: list[Arrival] = []
    taken: list[tuple[Arrival, Outcome]] = []
    for arrival in batch:
        paths = known.setdefault(arrival.sop_instance_uid, {})
        change = changes[arrival.series_instance_uid]
        change.last_received_at = max(change.last_received_at or arrival.received_at, arrival.received_at)
        if arrival.sha256 in paths:
            outcome = Outcome.DUPLICATE
            again.append(arrival)
            if arrival.received_as is not None and arrival.received_as not in counted:
                change.n_duplicates += 1
                if arrival.received_as:
                    taken.append((arrival, outcome))
        else:
            outcome = Outcome.CONFLICT if paths else Outcome.NEW
            change.n_new += 1
            change.n_conflicts += outcome is Outcome.CONFLICT
            new.append((arrival, outcome))
            taken.append((arrival, outcome))
        if arrival.received_as:
            counted.add(arrival.received_as)
        paths[arrival.sha256] = str(arrival.path)
        outcomes.append(outcome)
    _insert(connection, new)
    _repeat(connection, again)
    _apply(connection, changes, now)
    ledger.count(connection, taken)  # last: others who count the same peer wait no longer than needed
    return [
        Registered(arrival, outcome, changes[arrival.series_instance_uid].revision, is_late=late)
        for arrival, outcome in zip(batch, outcomes, strict=True)
        for late in (changes[arrival.series_instance_uid].is_late,)
    ]


def _add_parents(connection: Connection, batch: Sequence[Arrival], now: datetime) -> None:
    """Add the studies and series that are not known yet, as their first arrival describes them."""
    first: dict[str, Arrival] = {}
    for arrival in batch:
        first.setdefault(arrival.series_instance_uid, arrival)
    known = {
        uid
        for uids in _chunks(sorted(first))
        for uid in connection.scalars(
            select(Series.SeriesInstanceUID).where(Series.SeriesInstanceUID.in_(uids))
        )
    }
    opened = [arrival for uid, arrival in sorted(first.items()) if uid not in known]
    if not opened:
        return
    studies = {arrival.study_instance_uid: _study_row(arrival) for arrival in reversed(opened)}
    connection.execute(insert_ignoring(connection, Study), [studies[uid] for uid in sorted(studies)])
    connection.execute(insert_ignoring(connection, Series), [_series_row(arrival) for arrival in opened])
    for arrival in opened:
        record(
            connection,
            "series.opened",
            now,
            series_uid=arrival.series_instance_uid,
            revision=1,
            CallingAET=arrival.calling_ae_title,
        )


def _study_row(arrival: Arrival) -> dict[str, Any]:
    facts = arrival.facts
    return {
        "StudyInstanceUID": arrival.study_instance_uid,
        "first_received_at": arrival.received_at,
        **{
            keyword: facts.get(keyword)
            for keyword in ("PatientID", "AccessionNumber", "StudyDate", "StudyTime", "StudyDescription")
        },
    }


def _series_row(arrival: Arrival) -> dict[str, Any]:
    facts = arrival.facts
    texts = (
        "SeriesDescription",
        "ProtocolName",
        "BodyPartExamined",
        "Manufacturer",
        "ManufacturerModelName",
    )
    return {
        "SeriesInstanceUID": arrival.series_instance_uid,
        "StudyInstanceUID": arrival.study_instance_uid,
        "state": SeriesState.RECEIVING,
        "revision": 1,
        "evidence": {},
        "n_instances": 0,
        "released": False,
        "first_received_at": arrival.received_at,
        "last_received_at": arrival.received_at,
        "calling_ae_title": arrival.calling_ae_title,
        "called_ae_title": arrival.called_ae_title,
        "source_address": arrival.source_address,
        "Modality": _fitting(facts.get("Modality"), 16),
        "SeriesNumber": facts.get("SeriesNumber"),
        "FrameOfReferenceUID": _fitting(facts.get("FrameOfReferenceUID"), 64),
        **{keyword: facts.get(keyword) for keyword in texts},
        "facts": {key: value for key, value in facts.items() if key not in NOT_OF_A_SERIES},
    }


def _fitting(text: str | None, length: int) -> str | None:
    """Return a text that fits its column, or None: a longer one breaks PS3.5 6.2 and names nothing."""
    return text if text is None or len(text) <= length else None


def _lock_series(connection: Connection, uids: Sequence[str]) -> dict[str, _SeriesChange]:
    """Read the series of a batch and keep others from changing them until the transaction ends."""
    return {
        row.SeriesInstanceUID: _SeriesChange(SeriesState(row.state), row.revision)
        for chunk in _chunks(uids)
        for row in connection.execute(
            select(Series.SeriesInstanceUID, Series.state, Series.revision)
            .where(Series.SeriesInstanceUID.in_(chunk))
            .order_by(Series.SeriesInstanceUID)
            .with_for_update()
        )
    }


def _known(connection: Connection, sops: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return SOPInstanceUID -> digest -> path of what is registered already."""
    known: dict[str, dict[str, str]] = {}
    for chunk in _chunks(sops):
        rows = connection.execute(
            select(Instance.SOPInstanceUID, Instance.sha256, Instance.path).where(
                Instance.SOPInstanceUID.in_(chunk)
            )
        )
        for sop, sha256, path in rows:
            known.setdefault(sop, {})[sha256] = path
    return known


def _insert(connection: Connection, new: Sequence[tuple[Arrival, Outcome]]) -> None:
    if not new:
        return
    rows = [
        {
            "SOPInstanceUID": arrival.sop_instance_uid,
            "SOPClassUID": arrival.sop_class_uid,
            "TransferSyntaxUID": arrival.transfer_syntax_uid,
            "StudyInstanceUID": arrival.study_instance_uid,
            "SeriesInstanceUID": arrival.series_instance_uid,
            "path": str(arrival.path),
            "size_bytes": arrival.size_bytes,
            "sha256": arrival.sha256,
            "is_conflict": outcome is Outcome.CONFLICT,
            "calling_ae_title": arrival.calling_ae_title,
            "association": arrival.association,
            "received_at": arrival.received_at,
            **{keyword: arrival.facts.get(keyword) for keyword in OF_AN_INSTANCE},
        }
        for arrival, outcome in new
    ]
    connection.execute(insert_ignoring(connection, Instance), rows)


def _repeat(connection: Connection, again: Sequence[Arrival]) -> None:
    """Note the association that brought an instance last (completion asks how it ended), and its path.

    The path differs when the first file was removed by retention and this one took its place.
    """
    if not again:
        return
    connection.execute(
        update(Base.metadata.tables["instance"])
        .where(
            Instance.SOPInstanceUID == bindparam("sop"),
            Instance.sha256 == bindparam("digest"),
        )
        .values(association=bindparam("by"), path=bindparam("kept"), removed_at=None),
        [
            {
                "sop": each.sop_instance_uid,
                "digest": each.sha256,
                "by": each.association,
                "kept": str(each.path),
            }
            for each in again
        ],
    )


def _apply(connection: Connection, changes: Mapping[str, _SeriesChange], now: datetime) -> None:
    """Bring the series up to date with what the batch brought, and say so in their history."""
    grown: list[dict[str, Any]] = []
    for uid, change in changes.items():
        if change.is_late:
            _reopen(connection, uid, change, now)
        if change.n_new or change.state is SeriesState.RECEIVING:
            n = change.n_new - change.n_conflicts
            grown.append({"series": uid, "n": n, "at": change.last_received_at})
        for name, n in (
            ("instance.conflict", change.n_conflicts),
            ("instance.duplicate", change.n_duplicates),
        ):
            if n:
                record(connection, name, now, series_uid=uid, revision=change.revision, n=n)
    if grown:
        connection.execute(GROW, grown)


def _reopen(connection: Connection, uid: str, change: _SeriesChange, now: datetime) -> None:
    change.revision += 1
    state = move(change.state, SeriesState.RECEIVING)
    connection.execute(
        update(Series)
        .where(Series.SeriesInstanceUID == uid)
        .values(state=state, revision=change.revision, **UNJUDGED)
    )
    record(connection, "series.reopened", now, series_uid=uid, revision=change.revision, n=change.n_new)


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))
