"""What a person said is to be replaced."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "replacements",
        sa.Column("file_id", sa.String(length=24), nullable=False, comment="a committed file"),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("store", sa.String(length=255), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="whose next file takes its place"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("file_id", name="pk_replacements"),
        comment="what a person said is to be replaced; gone once it is",
    )
    op.create_index("ix_replacements_source_key", "replacements", ["source", "key"], unique=False)
