"""What is due: the reads of the loops that process, deliver, repair and clean up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Select, exists, func, or_, select

from node.registry.database import reading
from node.registry.schema import (
    Association,
    Commitment,
    Delivery,
    Event,
    Instance,
    Output,
    Series,
    Study,
    Volume,
)
from node.registry.states import CommitmentState, Handover, SeriesState

STUDY_KEYWORDS = ("PatientID", "AccessionNumber", "StudyDate", "StudyTime", "StudyDescription")
COMMITMENTS_AT_ONCE = 20  # with up to 10 000 references each
END_STATES = (SeriesState.PROCESSED, SeriesState.FAILED)


@dataclass(frozen=True, slots=True)
class SeriesToProcess:
    """A series as its job needs it: its row, its files, and its sibling series (UID -> header facts).

    `n_late` counts the instances that opened its revision, after the one before was complete.
    """

    row: Mapping[str, Any]
    instances: tuple[Mapping[str, Any], ...]
    siblings: Mapping[str, Mapping[str, Any]]
    n_late: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        """What routes match against: DICOM keywords, CalledAET, CallingAET, source."""
        columns = {key: value for key, value in self.row.items() if key[:1].isupper() and value is not None}
        return {
            **self.row["facts"],
            **columns,
            "CalledAET": self.row["called_ae_title"],
            "CallingAET": self.row["calling_ae_title"],
            "source": self.row["source_address"],
        }


@dataclass(frozen=True, slots=True)
class DeliveryToMake:
    """A delivery as its job needs it: its row, the row of its series, and the files it may send."""

    row: Mapping[str, Any]
    series: Mapping[str, Any]
    outputs: tuple[Mapping[str, Any], ...]
    instances: tuple[Mapping[str, Any], ...]


def in_state(engine: Engine, state: SeriesState) -> list[tuple[str, int]]:
    """Return (SeriesInstanceUID, revision) of every series in a state, the longest waiting first."""
    with reading(engine) as connection:
        found = connection.execute(
            select(Series.SeriesInstanceUID, Series.revision)
            .where(Series.state == state)
            .order_by(Series.completed_at, Series.SeriesInstanceUID)
        )
        return [(uid, revision) for uid, revision in found]


def is_receiving(engine: Engine) -> bool:
    """Say whether some series is arriving now."""
    with reading(engine) as connection:
        query = select(exists().where(Series.state == SeriesState.RECEIVING))
        return bool(connection.execute(query).scalar_one())


def series_to_process(engine: Engine, series_uid: str) -> SeriesToProcess | None:
    """Return a series with its files and siblings, or None when it is not there."""
    with reading(engine) as connection:
        row = (
            connection.execute(
                select(Series.__table__, *(getattr(Study, keyword) for keyword in STUDY_KEYWORDS))
                .join(Study, Study.StudyInstanceUID == Series.StudyInstanceUID)
                .where(Series.SeriesInstanceUID == series_uid)
            )
            .mappings()
            .one_or_none()
        )
        if row is None:
            return None
        instances = connection.execute(_instances(series_uid)).mappings().all()
        siblings = connection.execute(
            select(Series.SeriesInstanceUID, Series.Modality, Series.facts)
            .where(Series.StudyInstanceUID == row["StudyInstanceUID"])
            .where(Series.SeriesInstanceUID != series_uid)
            .order_by(Series.SeriesInstanceUID)
        ).all()
        views = _breast_views(connection, row["StudyInstanceUID"]) if row["Modality"] == "MG" else {}
        reopened = connection.execute(
            select(Event.details).where(
                Event.SeriesInstanceUID == series_uid,
                Event.revision == row["revision"],
                Event.name == "series.reopened",
            )
        ).scalars()
        n_late = sum(details.get("n", 0) for details in reopened)
    return SeriesToProcess(
        row=dict(row),
        instances=tuple(dict(each) for each in instances),
        siblings={
            uid: {"Modality": modality, **facts, **views.get(uid, {})} for uid, modality, facts in siblings
        },
        n_late=n_late,
    )


def _breast_views(connection: Connection, study_uid: str) -> dict[str, dict[str, Any]]:
    """Return what the images of each mammography series of a study show, as far as they were processed."""
    rows = connection.execute(
        select(Volume.SeriesInstanceUID, Volume.description)
        .join(Series, Series.SeriesInstanceUID == Volume.SeriesInstanceUID)
        .where(
            Series.StudyInstanceUID == study_uid, Volume.revision == Series.revision, Volume.Modality == "MG"
        )
        .order_by(Volume.SeriesInstanceUID, Volume.volume_index)
    )
    found: dict[str, dict[str, Any]] = {}
    for uid, description in rows:
        if view := description.get("view"):
            found.setdefault(uid, {"breast_views": []})["breast_views"].append(view)
    return found


def files_of_modality(engine: Engine, study_uid: str, modalities: Sequence[str]) -> tuple[Path, ...]:
    """Return the files of a study whose series have one of these Modalities and are not removed."""
    with reading(engine) as connection:
        found = connection.scalars(
            select(Instance.path)
            .join(Series, Series.SeriesInstanceUID == Instance.SeriesInstanceUID)
            .where(Series.StudyInstanceUID == study_uid, Series.Modality.in_(modalities))
            .where(Instance.removed_at.is_(None))
            .order_by(Instance.SOPInstanceUID, Instance.id)
        )
        return tuple(Path(path) for path in found)


def outputs_of(engine: Engine, series_uid: str, revision: int) -> list[Mapping[str, Any]]:
    """Return the registered outputs of one revision of a series, in the order of their paths."""
    query = select(Output.__table__).where(
        Output.SeriesInstanceUID == series_uid, Output.revision == revision
    )
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query.order_by(Output.path)).mappings()]


def deliveries_due(engine: Engine, now: datetime) -> list[tuple[int, str, datetime | None]]:
    """Return (id, destination, due_at) of every pending delivery whose time has come."""
    with reading(engine) as connection:
        found = connection.execute(
            select(Delivery.id, Delivery.destination, Delivery.due_at)
            .where(Delivery.state == "PENDING")
            .where(or_(Delivery.due_at.is_(None), Delivery.due_at <= now))
            .order_by(Delivery.id)
        )
        return [(delivery_id, destination, due_at) for delivery_id, destination, due_at in found]


def delivery_to_make(engine: Engine, delivery_id: int) -> DeliveryToMake | None:
    """Return a delivery with its series and what it may send, or None when it is not there."""
    with reading(engine) as connection:
        row = (
            connection.execute(select(Delivery.__table__).where(Delivery.id == delivery_id))
            .mappings()
            .one_or_none()
        )
        if row is None:
            return None
        uid = row["SeriesInstanceUID"]
        series = connection.execute(
            select(Series.SeriesInstanceUID, Series.StudyInstanceUID, Series.revision, Series.state).where(
                Series.SeriesInstanceUID == uid
            )
        )
        outputs = connection.execute(
            select(Output.__table__)
            .where(Output.SeriesInstanceUID == uid, Output.revision == row["revision"])
            .order_by(Output.path)
        )
        return DeliveryToMake(
            row=dict(row),
            series=dict(series.mappings().one()),
            outputs=tuple(dict(each) for each in outputs.mappings()),
            instances=tuple(dict(each) for each in connection.execute(_instances(uid)).mappings()),
        )


def removable(engine: Engine, series_uids: Sequence[str], moment: datetime) -> list[str]:
    """Return those of the series that are over and done with since before `moment`.

    That is: PROCESSED or FAILED, last heard of and processed before then, and no delivery of any
    revision pending. RECEIVING, COMPLETE, PROCESSING and HELD series are never among them.
    """
    pending = exists().where(
        Delivery.SeriesInstanceUID == Series.SeriesInstanceUID, Delivery.state == "PENDING"
    )
    with reading(engine) as connection:
        found = connection.execute(
            select(Series.SeriesInstanceUID)
            .where(Series.SeriesInstanceUID.in_(series_uids))
            .where(Series.state.in_(END_STATES))
            .where(Series.last_received_at < moment)
            .where(func.coalesce(Series.processed_at, Series.last_received_at) < moment)
            .where(~pending)
            .order_by(Series.SeriesInstanceUID)
        )
        return [uid for (uid,) in found]


def _instances(series_uid: str) -> Any:
    return (
        select(Instance.__table__)
        .where(Instance.SeriesInstanceUID == series_uid)
        .order_by(Instance.SOPInstanceUID, Instance.id)
    )


def commitments_to_judge(engine: Engine, now: datetime) -> list[Mapping[str, Any]]:
    """Return the storage commitments whose objects are to be looked at, those that waited longest first."""
    query = select(Commitment.__table__).where(Commitment.state == CommitmentState.JUDGING)
    return _commitments(engine, query.where(Commitment.due_at <= now))


def commitments_to_hand_over(engine: Engine, now: datetime) -> list[Mapping[str, Any]]:
    """Return the results that the association which asked may still be told, did not take in time, or cannot.

    `has_ended` says that it is over, also when its process died and could not tell.
    """
    ended = select(Association.id).where(Association.ended_at.is_not(None))
    has_ended = Commitment.association.in_(ended)
    query = (
        select(Commitment.__table__, has_ended.label("has_ended"))
        .where(Commitment.state == CommitmentState.PENDING, Commitment.handover != Handover.CLOSED)
        .where(or_(Commitment.due_at <= now, has_ended))
    )
    return _commitments(engine, query)


def commitments_to_report(engine: Engine, now: datetime) -> list[Mapping[str, Any]]:
    """Return the results that are due to be reported on a new association."""
    pending = select(Commitment.__table__).where(Commitment.state == CommitmentState.PENDING)
    return _commitments(
        engine, pending.where(Commitment.handover == Handover.CLOSED, Commitment.due_at <= now)
    )


def stored_as(engine: Engine, sop_instance_uids: Sequence[str]) -> dict[str, list[tuple[str, str, str]]]:
    """Return (SOPClassUID, path, sha256) of everything that is registered under these SOP Instance UIDs."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    columns = (Instance.SOPInstanceUID, Instance.SOPClassUID, Instance.path, Instance.sha256)
    with reading(engine) as connection:
        query = select(*columns).where(Instance.SOPInstanceUID.in_(sop_instance_uids)).order_by(Instance.id)
        for uid, sop_class, path, sha256 in connection.execute(query):
            found.setdefault(uid, []).append((sop_class, path, sha256))
    return found


def _commitments(engine: Engine, query: Select[Any]) -> list[Mapping[str, Any]]:
    some = query.order_by(Commitment.due_at, Commitment.id).limit(COMMITMENTS_AT_ONCE)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(some).mappings()]
