"""Files that belong together: records of several files, groups, and equal bytes under several keys."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "files",
        sa.Column("group_key", sa.Text(), nullable=True, comment="the record or group that the file is a part of"),
    )
    op.add_column(
        "files",
        sa.Column(
            "needs",
            sa.JSON(),
            nullable=True,
            comment="of a record's describing file: names of the other files that it asks for",
        ),
    )
    op.add_column(
        "files",
        sa.Column(
            "content",
            sa.String(length=64),
            nullable=True,
            comment="sha256 of the bytes, for sources that take equal bytes once",
        ),
    )
    op.create_index(
        "ix_files_source_group_key",
        "files",
        ["source", "group_key"],
        unique=False,
        sqlite_where=sa.text("group_key IS NOT NULL"),
        postgresql_where=sa.text("group_key IS NOT NULL"),
    )
    op.create_index(
        "ix_files_source_content",
        "files",
        ["source", "content"],
        unique=False,
        sqlite_where=sa.text("content IS NOT NULL"),
        postgresql_where=sa.text("content IS NOT NULL"),
    )
    op.add_column(
        "batches",
        sa.Column(
            "attempts_before",
            sa.Integer(),
            nullable=False,
            server_default="0",
            comment="of them, those of earlier generations of the group",
        ),
    )
    op.add_column(
        "batches",
        sa.Column("group_key", sa.Text(), nullable=True, comment="the group that this is all of; empty for a batch by arrival"),
    )
