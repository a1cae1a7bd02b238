"""The first tables, and the view for research."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The names after AS are not quoted: PostgreSQL folds them, and the condition of a query, to lower case.
# No PatientID, AccessionNumber, date or time of the patient's visit.
RESEARCH_VIEW = """
CREATE VIEW research_series AS
SELECT
    s."SeriesInstanceUID" AS SeriesInstanceUID,
    s."StudyInstanceUID" AS StudyInstanceUID,
    s.state AS state,
    s.revision AS revision,
    s.verdict AS verdict,
    s."Modality" AS Modality,
    s."BodyPartExamined" AS BodyPartExamined,
    s."Manufacturer" AS Manufacturer,
    s."ManufacturerModelName" AS ManufacturerModelName,
    s."ProtocolName" AS ProtocolName,
    s."SeriesDescription" AS SeriesDescription,
    s."SeriesNumber" AS SeriesNumber,
    s.n_instances AS n_instances,
    (SELECT count(*) FROM volume w
        WHERE w."SeriesInstanceUID" = s."SeriesInstanceUID" AND w.revision = s.revision) AS n_volumes,
    (SELECT count(*) FROM finding f
        WHERE f."SeriesInstanceUID" = s."SeriesInstanceUID" AND f.revision = s.revision) AS n_findings,
    v.volume_index AS volume_index,
    v.columns AS columns,
    v.rows AS rows,
    v.slices AS slices,
    v.spacing_column_mm AS spacing_column_mm,
    v.spacing_row_mm AS spacing_row_mm,
    v.spacing_slice_mm AS spacing_slice_mm,
    v.orientation AS orientation,
    v.shear_deg AS shear_deg,
    v.units AS units,
    v."ConvolutionKernel" AS ConvolutionKernel,
    v.kernel_class AS kernel_class,
    v.contrast_phase AS contrast_phase,
    v.contrast_confidence AS contrast_confidence,
    v.cardiac_phase_percent AS cardiac_phase_percent,
    v.lossy AS lossy,
    v.n_missing AS n_missing,
    v.file AS file,
    s.first_received_at AS first_received_at,
    s.processed_at AS processed_at
FROM series s LEFT JOIN volume v
    ON v."SeriesInstanceUID" = s."SeriesInstanceUID" AND v.revision = s.revision AND v.volume_index = (
        SELECT min(a.volume_index) FROM volume a
        WHERE a."SeriesInstanceUID" = s."SeriesInstanceUID" AND a.revision = s.revision
            AND a.verdict IN ('ACCEPT', 'ACCEPT_WARN'))
"""


def upgrade() -> None:
    """Make the tables and the view."""
    _study()
    _series()
    _instance()
    _volume()
    _finding()
    _output()
    _delivery()
    _event()
    _association()
    op.execute(RESEARCH_VIEW)


def downgrade() -> None:
    """Drop the view and the tables."""
    op.execute("DROP VIEW research_series")
    for table in (
        "association",
        "event",
        "delivery",
        "output",
        "finding",
        "volume",
        "instance",
        "series",
        "study",
    ):
        op.drop_table(table)


def _study() -> None:
    op.create_table(
        "study",
        sa.Column("StudyInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("PatientID", sa.String(), nullable=True),
        sa.Column("AccessionNumber", sa.String(), nullable=True),
        sa.Column("StudyDate", sa.String(), nullable=True),
        sa.Column("StudyTime", sa.String(), nullable=True),
        sa.Column("StudyDescription", sa.String(), nullable=True),
        sa.Column("first_received_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("StudyInstanceUID", name=op.f("pk_study")),
    )


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("StudyInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("first_received_at", sa.DateTime(), nullable=False),
        sa.Column("last_received_at", sa.DateTime(), nullable=False),
        sa.Column("completed_at", sa.DateTime(), nullable=True),
        sa.Column("processed_at", sa.DateTime(), nullable=True),
        sa.Column("n_instances", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=True),
        sa.Column("profile", sa.String(), nullable=True),
        sa.Column("released", sa.Boolean(), nullable=False),
        sa.Column("calling_ae_title", sa.String(), nullable=True),
        sa.Column("called_ae_title", sa.String(), nullable=True),
        sa.Column("source_address", sa.String(), nullable=True),
        sa.Column("Modality", sa.String(length=16), nullable=True),
        sa.Column("SeriesNumber", sa.Integer(), nullable=True),
        sa.Column("SeriesDescription", sa.String(), nullable=True),
        sa.Column("ProtocolName", sa.String(), nullable=True),
        sa.Column("BodyPartExamined", sa.String(), nullable=True),
        sa.Column("Manufacturer", sa.String(), nullable=True),
        sa.Column("ManufacturerModelName", sa.String(), nullable=True),
        sa.Column("FrameOfReferenceUID", sa.String(length=64), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["StudyInstanceUID"], ["study.StudyInstanceUID"], name=op.f("fk_series_StudyInstanceUID_study")
        ),
        sa.PrimaryKeyConstraint("SeriesInstanceUID", name=op.f("pk_series")),
    )
    op.create_index(op.f("ix_series_Modality"), "series", ["Modality"], unique=False)
    op.create_index(op.f("ix_series_StudyInstanceUID"), "series", ["StudyInstanceUID"], unique=False)
    op.create_index(op.f("ix_series_due_at"), "series", ["due_at"], unique=False)
    op.create_index(op.f("ix_series_last_received_at"), "series", ["last_received_at"], unique=False)
    op.create_index(op.f("ix_series_state"), "series", ["state"], unique=False)


def _instance() -> None:
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("SOPInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("SOPClassUID", sa.String(length=64), nullable=False),
        sa.Column("TransferSyntaxUID", sa.String(length=64), nullable=False),
        sa.Column("StudyInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("InstanceNumber", sa.Integer(), nullable=True),
        sa.Column("NumberOfFrames", sa.Integer(), nullable=True),
        sa.Column("ImagePositionPatient", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("ImageOrientationPatient", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("is_conflict", sa.Boolean(), nullable=False),
        sa.Column("calling_ae_title", sa.String(), nullable=True),
        sa.Column("association", sa.String(length=64), nullable=True),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
        sa.UniqueConstraint("SOPInstanceUID", "sha256", name=op.f("uq_instance_SOPInstanceUID_sha256")),
    )
    op.create_index(op.f("ix_instance_association"), "instance", ["association"], unique=False)
    op.create_index("ix_instance_series", "instance", ["SeriesInstanceUID"], unique=False)


def _volume() -> None:
    op.create_table(
        "volume",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("volume_index", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("Modality", sa.String(length=16), nullable=True),
        sa.Column("columns", sa.Integer(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("slices", sa.Integer(), nullable=True),
        sa.Column("spacing_column_mm", sa.Double(), nullable=True),
        sa.Column("spacing_row_mm", sa.Double(), nullable=True),
        sa.Column("spacing_slice_mm", sa.Double(), nullable=True),
        sa.Column("orientation", sa.String(length=8), nullable=True),
        sa.Column("shear_deg", sa.Double(), nullable=True),
        sa.Column("units", sa.String(length=32), nullable=True),
        sa.Column("ConvolutionKernel", sa.String(), nullable=True),
        sa.Column("kernel_class", sa.String(length=16), nullable=True),
        sa.Column("contrast_phase", sa.String(length=32), nullable=True),
        sa.Column("contrast_confidence", sa.Double(), nullable=True),
        sa.Column("cardiac_phase_percent", sa.Double(), nullable=True),
        sa.Column("lossy", sa.Boolean(), nullable=True),
        sa.Column("n_missing", sa.Integer(), nullable=False),
        sa.Column("file", sa.String(), nullable=True),
        sa.Column("description", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["SeriesInstanceUID"],
            ["series.SeriesInstanceUID"],
            name=op.f("fk_volume_SeriesInstanceUID_series"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volume")),
        sa.UniqueConstraint(
            "SeriesInstanceUID",
            "revision",
            "volume_index",
            name=op.f("uq_volume_SeriesInstanceUID_revision_volume_index"),
        ),
    )


def _finding() -> None:
    op.create_table(
        "finding",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["SeriesInstanceUID"],
            ["series.SeriesInstanceUID"],
            name=op.f("fk_finding_SeriesInstanceUID_series"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
    )
    op.create_index(op.f("ix_finding_code"), "finding", ["code"], unique=False)
    op.create_index("ix_finding_series", "finding", ["SeriesInstanceUID", "revision"], unique=False)


def _output() -> None:
    op.create_table(
        "output",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("volume_index", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("is_superseded", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["SeriesInstanceUID"],
            ["series.SeriesInstanceUID"],
            name=op.f("fk_output_SeriesInstanceUID_series"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_output")),
        sa.UniqueConstraint(
            "SeriesInstanceUID", "revision", "path", name=op.f("uq_output_SeriesInstanceUID_revision_path")
        ),
    )


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("send", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=True),
        sa.Column("delivered_at", sa.DateTime(), nullable=True),
        sa.Column("delivered", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["SeriesInstanceUID"],
            ["series.SeriesInstanceUID"],
            name=op.f("fk_delivery_SeriesInstanceUID_series"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint(
            "SeriesInstanceUID",
            "revision",
            "destination",
            name=op.f("uq_delivery_SeriesInstanceUID_revision_destination"),
        ),
    )
    op.create_index(op.f("ix_delivery_state"), "delivery", ["state"], unique=False)


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("name", sa.String(length=48), nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_name"), "event", ["name"], unique=False)
    op.create_index("ix_event_series", "event", ["SeriesInstanceUID", "at"], unique=False)


def _association() -> None:
    op.create_table(
        "association",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("calling_ae_title", sa.String(), nullable=False),
        sa.Column("called_ae_title", sa.String(), nullable=False),
        sa.Column("source_address", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("end", sa.String(length=16), nullable=True),
        sa.Column("n_received", sa.Integer(), nullable=False),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_association")),
    )
