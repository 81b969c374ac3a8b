"""What was erased, and what must not come in again."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("erasure_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column(
            "file_ids", sa.JSON(), nullable=False, comment="files that were forgotten; of them, only this id is kept"
        ),
        sa.Column("file_count", sa.Integer(), nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False, comment="for each table of the source, how many rows went"),
        sa.Column("row_count", sa.BigInteger(), nullable=False, comment="of all tables"),
        sa.Column("refusals", sa.Integer(), nullable=False, comment="records of the quarantine that went"),
        sa.Column(
            "erased_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="from when on nothing of it is visible",
        ),
        sa.Column(
            "finished_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when its bytes were gone as well; empty: to be gone on with",
        ),
        sa.PrimaryKeyConstraint("erasure_id", name="pk_erasures"),
        comment="what was erased because a person asked for it: how much and when, never what",
    )
    op.create_table(
        "tombstones",
        sa.Column("mark", sa.String(length=24), nullable=False, comment="hash of store, key, version and size"),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("mark", name="pk_tombstones"),
        comment="files that must not come in again; a copy is beside the tables, for when the ledger is lost",
    )
    op.create_index("ix_tombstones_source", "tombstones", ["source"], unique=False)
