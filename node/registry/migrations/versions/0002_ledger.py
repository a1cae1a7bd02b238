"""The ledger; what is not counted twice; since when retention has removed a file.

What was registered before was not counted when it was acknowledged: it opens the ledger as
an adjustment, so that a node balances from its first start with this version on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COUNTS = ("n_new", "n_conflicts", "n_duplicates", "n_set_aside", "n_recovered", "adjustment")
OPENING = """
INSERT INTO ledger (day, calling_ae_title, n_new, n_conflicts, n_duplicates, n_set_aside, n_recovered,
    adjustment, is_rebuilt)
SELECT date(received_at), substr(trim(coalesce(calling_ae_title, '')), 1, 16),
    sum(CASE WHEN is_conflict THEN 0 ELSE 1 END), sum(CASE WHEN is_conflict THEN 1 ELSE 0 END), 0, 0, 0,
    count(*), :rebuilt
FROM instance GROUP BY 1, 2
"""
REMOVED = """
UPDATE instance SET removed_at = (
    SELECT max(e.at) FROM event e WHERE e.name = 'originals.deleted'
        AND e."SeriesInstanceUID" = instance."SeriesInstanceUID" AND e.at >= instance.received_at)
WHERE "SeriesInstanceUID" IN (SELECT "SeriesInstanceUID" FROM event WHERE name = 'originals.deleted')
"""


def upgrade() -> None:
    """Make the tables, and open the ledger with what is registered."""
    op.create_table(
        "ledger",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTS),
        sa.Column("is_rebuilt", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("day", "calling_ae_title", name=op.f("pk_ledger")),
    )
    op.create_table(
        "intake",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_intake")),
    )
    op.add_column("instance", sa.Column("removed_at", sa.DateTime(), nullable=True))
    op.execute(REMOVED)
    op.execute(sa.text(OPENING).bindparams(sa.bindparam("rebuilt", value=True, type_=sa.Boolean())))


def downgrade() -> None:
    """Take all of it away."""
    op.drop_column("instance", "removed_at")
    op.drop_table("intake")
    op.drop_table("ledger")
