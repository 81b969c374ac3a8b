"""Batches by when they were finished, and files by the last part and the beginning of their keys, found by index."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.drop_index("ix_batches_source_state", table_name="batches")
    op.create_index(
        "ix_batches_source_state_updated_at", "batches", ["source", "state", "updated_at"], unique=False
    )
    op.drop_index("ix_batches_unpruned", table_name="batches")
    op.create_index(
        "ix_batches_unpruned",
        "batches",
        ["source", "state", "updated_at"],
        unique=False,
        sqlite_where=sa.text("state = 'finished' AND pruned_at IS NULL"),
        postgresql_where=sa.text("state = 'finished' AND pruned_at IS NULL"),
    )
    op.create_index(
        "ix_files_last_part",
        "files",
        [sa.text("substr(key, length(rtrim(key, replace(key, '/', ''))) + 1)")],
        unique=False,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_files_store_key_seq", table_name="files")
        op.create_index(
            "ix_files_store_key_seq",
            "files",
            ["store", "key", "seq"],
            unique=False,
            postgresql_ops={"key": "text_pattern_ops"},
        )
