"""How far listings have come, and an index for what they have not taken yet."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sa.Column("store", sa.String(length=255), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column(
            "number",
            sa.BigInteger(),
            nullable=False,
            comment="grows with every sweep, so that an older one cannot set back",
        ),
        sa.Column(
            "position", sa.Text(), nullable=True, comment="key after which the listing goes on; empty: from the start"
        ),
        sa.Column(
            "finished_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the whole of the source's keys had last been listed",
        ),
        sa.PrimaryKeyConstraint("store", "source", name="pk_sweeps"),
        comment="how far the listing of each source has come; listing anew from the start does no harm",
    )
    op.create_index(
        "ix_looks_unsettled",
        "looks",
        ["source", "store"],
        unique=False,
        sqlite_where=sa.text("version IS NULL"),
        postgresql_where=sa.text("version IS NULL"),
    )
