"""Which reader read a file, which batches have no partition any more, and which folders need no listing."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("files", sa.Column("reader", sa.String(length=64), nullable=True, comment="the reader that read it"))
    op.add_column(
        "quarantine", sa.Column("reader", sa.String(length=64), nullable=True, comment="the reader that refused it")
    )
    op.add_column(
        "batches",
        sa.Column(
            "pruned_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when Dagster's partition of it was deleted; empty while there may be one",
        ),
    )
    op.create_index(
        "ix_batches_unpruned",
        "batches",
        ["source", "updated_at"],
        unique=False,
        sqlite_where=sa.text("state = 'finished' AND pruned_at IS NULL"),
        postgresql_where=sa.text("state = 'finished' AND pruned_at IS NULL"),
    )
    op.add_column(
        "sweeps",
        sa.Column("lists_all", sa.Boolean(), nullable=True, comment="whether this sweep lists closed shards, too"),
    )
    op.add_column(
        "sweeps",
        sa.Column(
            "shards",
            sa.JSON(),
            nullable=True,
            comment="closed shards that this sweep is within, all of them listed up to the position",
        ),
    )
    op.create_table(
        "closed_shards",
        sa.Column("store", sa.String(length=255), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column(
            "listed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="begin of a listing of the whole of it",
        ),
        sa.PrimaryKeyConstraint("store", "source", "prefix", name="pk_closed_shards"),
        comment="folders of keys that were listed completely after the last file was to land there; listing skips them",
    )
