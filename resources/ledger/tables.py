"""The ledger's tables. The migrations in `migrations/` make them; a test keeps both equal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on every database, also on those that keep no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)

LAST_PART = "substr(key, length(rtrim(key, replace(key, '/', ''))) + 1)"
"""SQL for what stands behind the last slash of a key, as the index has it: a query must say it in these very words."""

files = Table(
    "files",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True, comment="order in which files became known"),
    Column("file_id", String(24), nullable=False, unique=True),
    Column("source", String(64), nullable=False),
    Column("store", String(255), nullable=False, comment="landing store"),
    Column("key", Text, nullable=False),
    Column("version", String(128), nullable=False, comment="etag or sha256 of the content"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("generation", Integer, nullable=False, comment="how often this key had these bytes before"),
    Column("landed_at", UtcDateTime, nullable=False, comment="the store's own time of the file"),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("batch_id", String(64)),
    Column("run_id", String(64)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("error_class", String(128)),
    Column("error", Text),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("group_key", Text, comment="the record or group that the file is a part of"),
    Column("needs", JSON, comment="of a record's describing file: names of the other files that it asks for"),
    Column("content", String(64), comment="sha256 of the bytes, for sources that take equal bytes once"),
    Column("reader", String(64), comment="the reader that read it"),
    Index(None, "source", "state", "seq"),
    Index(
        "ix_files_source_group_key",
        "source",
        "group_key",
        sqlite_where=text("group_key IS NOT NULL"),
        postgresql_where=text("group_key IS NOT NULL"),
    ),
    Index(
        "ix_files_source_content",
        "source",
        "content",
        sqlite_where=text("content IS NOT NULL"),
        postgresql_where=text("content IS NOT NULL"),
    ),
    # This class of operators lets PostgreSQL find keys by their beginning, too, whatever the database's collation.
    Index(None, "store", "key", "seq", postgresql_ops={"key": "text_pattern_ops"}),
    Index("ix_files_last_part", text(LAST_PART)),
    Index(None, "batch_id"),
    comment="every version of every key ever seen, and what became of it",
    sqlite_autoincrement=True,
)

file_history = Table(
    "file_history",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("file_id", String(24), nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("from_state", String(16)),
    Column("to_state", String(16), nullable=False),
    Column("batch_id", String(64)),
    Column("run_id", String(64)),
    Column("reason", Text, nullable=False),
    comment="every move of every file",
    sqlite_autoincrement=True,
)

looks = Table(
    "looks",
    metadata,
    Column("store", String(255), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("source", String(64), nullable=False, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("looked_at", UtcDateTime, nullable=False, comment="when this size and mtime were first seen"),
    Column("version", String(128), comment="content hash at this size and mtime; empty until the file is settled"),
    Column("file_id", String(24), comment="the file that this version is"),
    Index(
        "ix_looks_unsettled",
        "source",
        "store",
        sqlite_where=text("version IS NULL"),
        postgresql_where=text("version IS NULL"),
    ),
    comment="what a listing last saw under each key; only a memory that saves hashing, rebuilt by listing",
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("store", String(255), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column(
        "number", BigInteger, nullable=False, comment="grows with every sweep, so that an older one cannot set back"
    ),
    Column("position", Text, comment="key after which the listing goes on; empty: from the start"),
    Column("finished_at", UtcDateTime, comment="when the whole of the source's keys had last been listed"),
    Column("lists_all", Boolean, comment="whether this sweep lists closed shards, too"),
    Column("shards", JSON, comment="closed shards that this sweep is within, all of them listed up to the position"),
    comment="how far the listing of each source has come; listing anew from the start does no harm",
)

closed_shards = Table(
    "closed_shards",
    metadata,
    Column("store", String(255), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("prefix", Text, primary_key=True),
    Column("listed_at", UtcDateTime, nullable=False, comment="begin of a listing of the whole of it"),
    comment="folders of keys that were listed completely after the last file was to land there; listing skips them",
)

batches = Table(
    "batches",
    metadata,
    Column("batch_id", String(64), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("state", String(16), nullable=False, comment="planned, running, finished, held"),
    Column("files", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False, default=0, comment="attempts begun"),
    Column(
        "attempts_before",
        Integer,
        nullable=False,
        default=0,
        server_default="0",
        comment="of them, those of earlier generations of the group",
    ),
    Column("group_key", Text, comment="the group that this is all of; empty for a batch by arrival"),
    Column("run_id", String(64), comment="run of the latest attempt"),
    Column("not_before", UtcDateTime, comment="earliest start of the next attempt"),
    Column("released", Boolean, nullable=False, default=False, comment="a person let it pass its threshold"),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column(
        "pruned_at", UtcDateTime, comment="when Dagster's partition of it was deleted; empty while there may be one"
    ),
    Index(None, "source", "state", "updated_at"),
    Index(
        "ix_batches_held",
        "batch_id",
        sqlite_where=text("state = 'held'"),
        postgresql_where=text("state = 'held'"),
    ),
    Index(
        # The same columns as above: with fewer of them SQLite would take that one, and go through all finished batches.
        "ix_batches_unpruned",
        "source",
        "state",
        "updated_at",
        sqlite_where=text("state = 'finished' AND pruned_at IS NULL"),
        postgresql_where=text("state = 'finished' AND pruned_at IS NULL"),
    ),
    comment="the files that one run handles together",
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("process", String(128), nullable=False, comment="host, pid and start of the owning process"),
    Column("fence", BigInteger, nullable=False, comment="grows with every change of owner"),
    Column("expires_at", UtcDateTime, nullable=False),
    comment="who may work on a batch, or commit to a source's tables, and until when",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("file_id", String(24), nullable=False, index=True),
    Column("record", Text, nullable=False, default=""),
    Column("source", String(64), nullable=False, index=True),
    Column("key", Text, nullable=False),
    Column("error_class", String(128), nullable=False),
    Column("error", Text, nullable=False),
    Column("location", Text, nullable=False, default=""),
    Column("batch_id", String(64), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("quarantined_at", UtcDateTime, nullable=False),
    Column("reader", String(64), comment="the reader that refused it"),
    comment="every refusal ever made",
    sqlite_autoincrement=True,
)

file_rows = Table(
    "file_rows",
    metadata,
    Column("file_id", String(24), primary_key=True),
    Column("table_name", String(128), primary_key=True),
    Column("rows", BigInteger, nullable=False),
    comment="rows that each committed file has in each table",
)

aggregates = Table(
    "aggregates",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column(
        "publication", Integer, nullable=False, comment="publications.seq that it was last made from; 0: never made"
    ),
    Column("inputs", JSON, nullable=False, comment="for each table it was last made from, the snapshot"),
    Column("reading", JSON, nullable=False, comment="the same for a run that is making it"),
    Column("version", String(64), nullable=False, comment="hash of the code, schema and configuration that made it"),
    Column("rows", BigInteger, nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    comment="what each aggregate over all batches was made from; its table is published with its source's",
)

products = Table(
    "products",
    metadata,
    Column("batch_id", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("due", Integer, nullable=False, comment="publications.seq that it is to be made from"),
    Column("made", Integer, nullable=False, comment="publications.seq that it was made from; 0: never made"),
    Column("failures", Integer, nullable=False, comment="tries that failed since it was due"),
    Column("error", Text, comment="why the last try failed"),
    Column("permanent", Boolean, nullable=False, comment="the next try would fail as well"),
    Column("run_id", String(64), comment="run of the last try"),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_products_behind", "source", sqlite_where=text("made < due"), postgresql_where=text("made < due")),
    comment="what is made from a batch's rows after its commit, and whether it is up to date",
)

publications = Table(
    "publications",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("source", String(64), nullable=False),
    Column("batch_id", String(64), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("snapshots", JSON, nullable=False, comment="for each table of the source, the snapshot readers see"),
    Column("published_at", UtcDateTime, nullable=False),
    Index(None, "source", "seq"),
    comment="the newest row of a source says what its tables show, all together",
    sqlite_autoincrement=True,
)

erasures = Table(
    "erasures",
    metadata,
    Column("erasure_id", String(64), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("file_ids", JSON, nullable=False, comment="files that were forgotten; of them, only this id is kept"),
    Column("file_count", Integer, nullable=False),
    Column("rows", JSON, nullable=False, comment="for each table of the source, how many rows went"),
    Column("row_count", BigInteger, nullable=False, comment="of all tables"),
    Column("refusals", Integer, nullable=False, comment="records of the quarantine that went"),
    Column("erased_at", UtcDateTime, nullable=False, comment="from when on nothing of it is visible"),
    Column("finished_at", UtcDateTime, comment="when its bytes were gone as well; empty: to be gone on with"),
    comment="what was erased because a person asked for it: how much and when, never what",
)

replacements = Table(
    "replacements",
    metadata,
    Column("file_id", String(24), primary_key=True, comment="a committed file"),
    Column("source", String(64), nullable=False),
    Column("store", String(255), nullable=False),
    Column("key", Text, nullable=False, comment="whose next file takes its place"),
    Column("reason", Text, nullable=False),
    Column("noted_at", UtcDateTime, nullable=False),
    Index(None, "source", "key"),
    comment="what a person said is to be replaced; gone once it is",
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("mark", String(24), primary_key=True, comment="hash of store, key, version and size"),
    Column("source", String(64), nullable=False, index=True),
    Column("erased_at", UtcDateTime, nullable=False),
    comment="files that must not come in again; a copy is beside the tables, for when the ledger is lost",
)

alerts = Table(
    "alerts",
    metadata,
    Column("key", String(255), primary_key=True, comment="equal for what is to be told once"),
    Column("kind", String(32), nullable=False),
    Column("source", String(64), nullable=False),
    Column("content", JSON, nullable=False, comment="what is told: title, text, file, run, commands"),
    Column("count", Integer, nullable=False, comment="how often it has happened"),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("first_told_at", UtcDateTime),
    Column("last_told_at", UtcDateTime),
    Column("due_at", UtcDateTime, comment="when to try to tell it next; empty when there is nothing to tell"),
    Column("tries", Integer, nullable=False, comment="attempts to tell it that failed since it was told"),
    Column("error", Text, comment="why the last attempt to tell it failed"),
    Column("settled_at", UtcDateTime, comment="when it was seen to be over"),
    Index(
        "ix_alerts_due",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    comment="what people are told once, and whether they have been",
)

alert_positions = Table(
    "alert_positions",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("position", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    comment="how far looking for what to tell has come",
)
