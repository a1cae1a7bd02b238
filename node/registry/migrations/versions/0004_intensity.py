"""Intensity landmarks of accepted volumes, and the models that are fitted to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "landmarks",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("SeriesInstanceUID", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("volume_index", sa.Integer(), nullable=False),
        sa.Column("volume_uid", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("cohort", sa.String(length=128), nullable=False),
        sa.Column("manufacturer", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.String(), nullable=True),
        sa.Column("positions", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("values", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["SeriesInstanceUID"],
            ["series.SeriesInstanceUID"],
            name=op.f("fk_landmarks_SeriesInstanceUID_series"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_landmarks")),
    )
    op.create_index("ix_landmarks_cohort", "landmarks", ["kind", "cohort"], unique=False)
    op.create_index("ix_landmarks_series", "landmarks", ["SeriesInstanceUID", "revision"], unique=False)
    op.create_table(
        "intensity_model",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("cohort", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("drift", sa.Double(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("activated_at", sa.DateTime(), nullable=True),
        sa.Column("retired_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intensity_model")),
        sa.UniqueConstraint("kind", "cohort", "version", name=op.f("uq_intensity_model_kind_cohort_version")),
    )


def downgrade() -> None:
    op.drop_table("intensity_model")
    op.drop_table("landmarks")
