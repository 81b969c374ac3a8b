"""The ledger's first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False, comment="planned, running, finished, held"),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="attempts begun"),
        sa.Column("run_id", sa.String(length=64), nullable=True, comment="run of the latest attempt"),
        sa.Column(
            "not_before", sa.DateTime(timezone=True), nullable=True, comment="earliest start of the next attempt"
        ),
        sa.Column("released", sa.Boolean(), nullable=False, comment="a person let it pass its threshold"),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name="pk_batches"),
        comment="the files that one run handles together",
    )
    op.create_index("ix_batches_source_state", "batches", ["source", "state"], unique=False)
    op.create_table(
        "file_history",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("file_id", sa.String(length=24), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_state", sa.String(length=16), nullable=True),
        sa.Column("to_state", sa.String(length=16), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=True),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_file_history"),
        comment="every move of every file",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_file_history_file_id", "file_history", ["file_id"], unique=False)
    op.create_table(
        "file_rows",
        sa.Column("file_id", sa.String(length=24), nullable=False),
        sa.Column("table_name", sa.String(length=128), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", "table_name", name="pk_file_rows"),
        comment="rows that each committed file has in each table",
    )
    op.create_table(
        "files",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False, comment="order in which files became known"),
        sa.Column("file_id", sa.String(length=24), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("store", sa.String(length=255), nullable=False, comment="landing store"),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False, comment="etag or sha256 of the content"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False, comment="how often this key had these bytes before"),
        sa.Column("landed_at", sa.DateTime(timezone=True), nullable=False, comment="the store's own time of the file"),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=True),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error_class", sa.String(length=128), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_files"),
        sa.UniqueConstraint("file_id"),
        comment="every version of every key ever seen, and what became of it",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_files_batch_id", "files", ["batch_id"], unique=False)
    op.create_index("ix_files_source_state_seq", "files", ["source", "state", "seq"], unique=False)
    op.create_index("ix_files_store_key_seq", "files", ["store", "key", "seq"], unique=False)
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column(
            "process", sa.String(length=128), nullable=False, comment="host, pid and start of the owning process"
        ),
        sa.Column("fence", sa.BigInteger(), nullable=False, comment="grows with every change of owner"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
        comment="who may work on a batch, or commit to a source's tables, and until when",
    )
    op.create_table(
        "looks",
        sa.Column("store", sa.String(length=255), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column(
            "looked_at", sa.DateTime(timezone=True), nullable=False, comment="when this size and mtime were first seen"
        ),
        sa.Column(
            "version",
            sa.String(length=128),
            nullable=True,
            comment="content hash at this size and mtime; empty until the file is settled",
        ),
        sa.Column("file_id", sa.String(length=24), nullable=True, comment="the file that this version is"),
        sa.PrimaryKeyConstraint("store", "key", name="pk_looks"),
        comment="what a listing last saw under each key; only a memory that saves hashing, rebuilt by listing",
    )
    op.create_index("ix_looks_source", "looks", ["source"], unique=False)
    op.create_table(
        "publications",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column(
            "snapshots", sa.JSON(), nullable=False, comment="for each table of the source, the snapshot readers see"
        ),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_publications"),
        comment="the newest row of a source says what its tables show, all together",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_publications_source_seq", "publications", ["source", "seq"], unique=False)
    op.create_table(
        "quarantine",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("file_id", sa.String(length=24), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("error_class", sa.String(length=128), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("quarantined_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_quarantine"),
        comment="every refusal ever made",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_quarantine_file_id", "quarantine", ["file_id"], unique=False)
    op.create_index("ix_quarantine_source", "quarantine", ["source"], unique=False)
