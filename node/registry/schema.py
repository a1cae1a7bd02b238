"""The tables of the registry.

A column that holds a DICOM attribute bears its keyword; the node's own are snake_case.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, MetaData, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

UID = String(64)
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Typed rows; times are UTC without zone."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy
        dict[str, Any]: JSON,
        list[Any]: JSON(none_as_null=True),
        datetime: DateTime,
    }


class Study(Base):
    """One study, as its first instance described it."""

    __tablename__ = "study"
    StudyInstanceUID: Mapped[str] = mapped_column(UID, primary_key=True)
    PatientID: Mapped[str | None] = mapped_column(default=None)
    AccessionNumber: Mapped[str | None] = mapped_column(default=None)
    StudyDate: Mapped[str | None] = mapped_column(default=None)
    StudyTime: Mapped[str | None] = mapped_column(default=None)
    StudyDescription: Mapped[str | None] = mapped_column(default=None)
    first_received_at: Mapped[datetime]


class Series(Base):
    """One series: where it is on its way, when it is due, and the header facts of its first instance."""

    __tablename__ = "series"
    SeriesInstanceUID: Mapped[str] = mapped_column(UID, primary_key=True)
    StudyInstanceUID: Mapped[str] = mapped_column(ForeignKey("study.StudyInstanceUID"), index=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    revision: Mapped[int] = mapped_column(default=1)
    due_at: Mapped[datetime | None] = mapped_column(default=None, index=True)
    reason: Mapped[str | None] = mapped_column(default=None)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    first_received_at: Mapped[datetime]
    last_received_at: Mapped[datetime] = mapped_column(index=True)
    completed_at: Mapped[datetime | None] = mapped_column(default=None)
    processed_at: Mapped[datetime | None] = mapped_column(default=None)
    n_instances: Mapped[int] = mapped_column(default=0)
    verdict: Mapped[str | None] = mapped_column(String(16), default=None)
    profile: Mapped[str | None] = mapped_column(default=None)
    released: Mapped[bool] = mapped_column(default=False)
    calling_ae_title: Mapped[str | None] = mapped_column(default=None)
    called_ae_title: Mapped[str | None] = mapped_column(default=None)
    source_address: Mapped[str | None] = mapped_column(default=None)
    Modality: Mapped[str | None] = mapped_column(String(16), default=None, index=True)
    SeriesNumber: Mapped[int | None] = mapped_column(default=None)
    SeriesDescription: Mapped[str | None] = mapped_column(default=None)
    ProtocolName: Mapped[str | None] = mapped_column(default=None)
    BodyPartExamined: Mapped[str | None] = mapped_column(default=None)
    Manufacturer: Mapped[str | None] = mapped_column(default=None)
    ManufacturerModelName: Mapped[str | None] = mapped_column(default=None)
    FrameOfReferenceUID: Mapped[str | None] = mapped_column(UID, default=None)
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None] = mapped_column(default=None)


class Instance(Base):
    """One received object: same SOPInstanceUID with other bytes is a further row with `is_conflict`.

    `removed_at`: since when retention has taken its file away; None while the file is kept.
    """

    __tablename__ = "instance"
    __table_args__ = (
        UniqueConstraint("SOPInstanceUID", "sha256"),
        Index("ix_instance_series", "SeriesInstanceUID"),
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    SOPInstanceUID: Mapped[str] = mapped_column(UID)
    SOPClassUID: Mapped[str] = mapped_column(UID)
    TransferSyntaxUID: Mapped[str] = mapped_column(UID)
    StudyInstanceUID: Mapped[str] = mapped_column(UID)
    SeriesInstanceUID: Mapped[str] = mapped_column(UID)
    InstanceNumber: Mapped[int | None] = mapped_column(default=None)
    NumberOfFrames: Mapped[int | None] = mapped_column(default=None)
    ImagePositionPatient: Mapped[list[Any] | None] = mapped_column(default=None)
    ImageOrientationPatient: Mapped[list[Any] | None] = mapped_column(default=None)
    path: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    is_conflict: Mapped[bool] = mapped_column(default=False)
    calling_ae_title: Mapped[str | None] = mapped_column(default=None)
    association: Mapped[str | None] = mapped_column(String(64), default=None, index=True)
    received_at: Mapped[datetime]
    removed_at: Mapped[datetime | None] = mapped_column(default=None)


class Volume(Base):
    """One volume of a revision, with the facts that a researcher selects by."""

    __tablename__ = "volume"
    __table_args__ = (UniqueConstraint("SeriesInstanceUID", "revision", "volume_index"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    SeriesInstanceUID: Mapped[str] = mapped_column(ForeignKey("series.SeriesInstanceUID"))
    revision: Mapped[int]
    volume_index: Mapped[int]
    verdict: Mapped[str] = mapped_column(String(16))
    Modality: Mapped[str | None] = mapped_column(String(16), default=None)
    columns: Mapped[int | None] = mapped_column(default=None)
    rows: Mapped[int | None] = mapped_column(default=None)
    slices: Mapped[int | None] = mapped_column(default=None)
    spacing_column_mm: Mapped[float | None] = mapped_column(default=None)
    spacing_row_mm: Mapped[float | None] = mapped_column(default=None)
    spacing_slice_mm: Mapped[float | None] = mapped_column(default=None)
    orientation: Mapped[str | None] = mapped_column(String(8), default=None)
    shear_deg: Mapped[float | None] = mapped_column(default=None)
    units: Mapped[str | None] = mapped_column(String(32), default=None)
    ConvolutionKernel: Mapped[str | None] = mapped_column(default=None)
    kernel_class: Mapped[str | None] = mapped_column(String(16), default=None)
    contrast_phase: Mapped[str | None] = mapped_column(String(32), default=None)
    contrast_confidence: Mapped[float | None] = mapped_column(default=None)
    cardiac_phase_percent: Mapped[float | None] = mapped_column(default=None)
    lossy: Mapped[bool | None] = mapped_column(default=None)
    n_missing: Mapped[int] = mapped_column(default=0)
    file: Mapped[str | None] = mapped_column(default=None)
    description: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Finding(Base):
    """One finding of a revision."""

    __tablename__ = "finding"
    __table_args__ = (Index("ix_finding_series", "SeriesInstanceUID", "revision"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    SeriesInstanceUID: Mapped[str] = mapped_column(ForeignKey("series.SeriesInstanceUID"))
    revision: Mapped[int]
    code: Mapped[str] = mapped_column(String(64), index=True)
    severity: Mapped[str] = mapped_column(String(8))
    scope: Mapped[str] = mapped_column(String(8))
    target: Mapped[str]
    message: Mapped[str]
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Output(Base):
    """One file of a revision, relative to the outputs folder; superseded when a later revision is written."""

    __tablename__ = "output"
    __table_args__ = (UniqueConstraint("SeriesInstanceUID", "revision", "path"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    SeriesInstanceUID: Mapped[str] = mapped_column(ForeignKey("series.SeriesInstanceUID"))
    revision: Mapped[int]
    volume_index: Mapped[int | None] = mapped_column(default=None)
    kind: Mapped[str] = mapped_column(String(64))
    path: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    is_superseded: Mapped[bool] = mapped_column(default=False)


class Delivery(Base):
    """One (series revision, destination): what was sent, how often it was tried, when it is due again."""

    __tablename__ = "delivery"
    __table_args__ = (UniqueConstraint("SeriesInstanceUID", "revision", "destination"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    SeriesInstanceUID: Mapped[str] = mapped_column(ForeignKey("series.SeriesInstanceUID"))
    revision: Mapped[int]
    destination: Mapped[str]
    send: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(String(16), index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime | None] = mapped_column(default=None)
    delivered_at: Mapped[datetime | None] = mapped_column(default=None)
    delivered: Mapped[list[Any]] = mapped_column(default=list)
    error: Mapped[str | None] = mapped_column(default=None)


class Event(Base):
    """The history of a series (or of the node, without one): append-only."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_series", "SeriesInstanceUID", "at"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    name: Mapped[str] = mapped_column(String(48), index=True)
    SeriesInstanceUID: Mapped[str | None] = mapped_column(UID, default=None)
    revision: Mapped[int | None] = mapped_column(default=None)
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Association(Base):
    """One association: who, what came of it, and how it ended; completion reads the end."""

    __tablename__ = "association"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    calling_ae_title: Mapped[str]
    called_ae_title: Mapped[str]
    source_address: Mapped[str]
    opened_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    end: Mapped[str | None] = mapped_column(String(16), default=None)
    n_received: Mapped[int] = mapped_column(default=0)
    n_bytes: Mapped[int] = mapped_column(BigInteger, default=0)


class Ledger(Base):
    """What became of the objects of one peer and day (UTC, of their `received_at`).

    `adjustment`: registered without having been counted when acknowledged (before the ledger
    began, or by `registry rebuild`), less the losses that a person has settled.
    """

    __tablename__ = "ledger"
    day: Mapped[date] = mapped_column(primary_key=True)
    calling_ae_title: Mapped[str] = mapped_column(String(16), primary_key=True)
    n_new: Mapped[int] = mapped_column(default=0)
    n_conflicts: Mapped[int] = mapped_column(default=0)
    n_duplicates: Mapped[int] = mapped_column(default=0)
    n_set_aside: Mapped[int] = mapped_column(default=0)
    n_recovered: Mapped[int] = mapped_column(default=0)
    adjustment: Mapped[int] = mapped_column(default=0)
    is_rebuilt: Mapped[bool] = mapped_column(default=False)


class Intake(Base):
    """A name in new/ that is counted in the ledger and not known to be gone: it is not counted again."""

    __tablename__ = "intake"
    name: Mapped[str] = mapped_column(String(128), primary_key=True)


class Commitment(Base):
    """One storage commitment transaction: what is asked, what was found, and whether the requestor knows."""

    __tablename__ = "commitment"
    __table_args__ = (
        UniqueConstraint("token"),
        Index("ix_commitment_transaction", "TransactionUID", "calling_ae_title"),
        Index("ix_commitment_due", "state", "due_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    token: Mapped[str] = mapped_column(String(32))
    TransactionUID: Mapped[str] = mapped_column(UID)
    calling_ae_title: Mapped[str]
    called_ae_title: Mapped[str]
    source_address: Mapped[str]
    association: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    handover: Mapped[str] = mapped_column(String(8))
    references_sha256: Mapped[str] = mapped_column(String(64))
    references: Mapped[list[Any]]
    outcomes: Mapped[list[Any]] = mapped_column(default=list)
    n_references: Mapped[int]
    n_failed: Mapped[int] = mapped_column(default=0)
    received_at: Mapped[datetime]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime | None] = mapped_column(default=None)
    reported_at: Mapped[datetime | None] = mapped_column(default=None)
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(default=None)


class Landmarks(Base):
    """Intensity landmarks of one accepted volume, in its own units: all that is kept of it for a fit."""

    __tablename__ = "landmarks"
    __table_args__ = (
        Index("ix_landmarks_cohort", "kind", "cohort"),
        Index("ix_landmarks_series", "SeriesInstanceUID", "revision"),
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    SeriesInstanceUID: Mapped[str] = mapped_column(ForeignKey("series.SeriesInstanceUID"))
    revision: Mapped[int]
    volume_index: Mapped[int]
    volume_uid: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    cohort: Mapped[str] = mapped_column(String(128))
    manufacturer: Mapped[str] = mapped_column(String(64), default="")
    profile: Mapped[str | None] = mapped_column(default=None)
    positions: Mapped[list[Any]]
    values: Mapped[list[Any]]
    created_at: Mapped[datetime]


class IntensityModel(Base):
    """One fit to the landmarks of a cohort: immutable, but for its state.

    `content` holds positions, values, spread and the volumes of the fit with their digests; `sha256` is
    its digest. `drift` is the most that holding volumes out moves a landmark, in points of the scale.
    """

    __tablename__ = "intensity_model"
    __table_args__ = (UniqueConstraint("kind", "cohort", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(16))
    cohort: Mapped[str] = mapped_column(String(128))
    version: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    content: Mapped[dict[str, Any]]
    n: Mapped[int]
    drift: Mapped[float]
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    activated_at: Mapped[datetime | None] = mapped_column(default=None)
    retired_at: Mapped[datetime | None] = mapped_column(default=None)
