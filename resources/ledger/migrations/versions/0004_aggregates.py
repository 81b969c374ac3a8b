"""What each aggregate over all batches was made from."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "aggregates",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column(
            "publication",
            sa.Integer(),
            nullable=False,
            comment="publications.seq that it was last made from; 0: never made",
        ),
        sa.Column("inputs", sa.JSON(), nullable=False, comment="for each table it was last made from, the snapshot"),
        sa.Column("reading", sa.JSON(), nullable=False, comment="the same for a run that is making it"),
        sa.Column(
            "version",
            sa.String(length=64),
            nullable=False,
            comment="hash of the code, schema and configuration that made it",
        ),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", "name", name="pk_aggregates"),
        comment="what each aggregate over all batches was made from; its table is published with its source's",
    )
