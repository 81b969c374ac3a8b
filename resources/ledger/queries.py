"""What people ask the ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, desc, func, literal_column, select

from resources.ledger.database import Ledger, each_value
from resources.ledger.states import FileState, chunked
from resources.ledger.tables import (
    LAST_PART,
    batches,
    erasures,
    file_history,
    file_rows,
    files,
    looks,
    quarantine,
    replacements,
)

FILE_COLUMNS = (
    "file_id", "source", "key", "version", "size_bytes", "landed_at", "state", "batch_id", "run_id", "attempts",
    "error_class", "error", "updated_at", "reader",
)  # fmt: skip
"""The columns of `operations.files`."""

QUARANTINE_COLUMNS = (
    "file_id", "record", "source", "key", "error_class", "error", "location", "run_id", "attempt", "quarantined_at",
    "reader",
)  # fmt: skip
"""The columns of `operations.quarantine`."""


ERASURE_COLUMNS = ("erasure_id", "source", "files", "rows", "refusals", "erased_at", "finished_at")
"""The columns of `operations.erasures`."""


_FEW = 1000
"""Up to so many newest files are found by index."""
_LOOKED_THROUGH = 100_000
"""The newest so many files are gone through for a text in their keys; a tenth of a second."""
_MANY = 10_000
"""If more keys than this begin with a text, the newest of them are found sooner by going through the newest files."""
_LAST_CHARACTER = "\U0010ffff"


def select_files() -> Select[Any]:
    return select(*(files.c[name] for name in FILE_COLUMNS)).order_by(files.c.seq)


def select_quarantine() -> Select[Any]:
    return select(*(quarantine.c[name] for name in QUARANTINE_COLUMNS)).order_by(quarantine.c.seq)


def select_erasures() -> Select[Any]:
    return select(
        erasures.c.erasure_id, erasures.c.source, erasures.c.file_count, erasures.c.row_count, erasures.c.refusals,
        erasures.c.erased_at, erasures.c.finished_at,
    ).order_by(erasures.c.erased_at)  # fmt: skip


def count_by_state(ledger: Ledger, source: str | None = None, *, most: int | None = None) -> dict[str, int]:
    """Files by state. most: count no further than this for a source and state, so that very many cost no more."""
    counts: Counter[str] = Counter()
    with ledger.read() as connection:
        for of_source in [source] if source else each_value(connection, files.c.source):
            for state in FileState:
                some = select(files.c.seq).where(files.c.source == of_source, files.c.state == state).limit(most)
                counts[state.value] += connection.scalar(select(func.count()).select_from(some.subquery())) or 0
    return {state: count for state, count in counts.items() if count}


def count_states_of_batch(ledger: Ledger, batch_id: str) -> dict[str, int]:
    query = select(files.c.state, func.count()).where(files.c.batch_id == batch_id).group_by(files.c.state)
    with ledger.read() as connection:
        return dict(connection.execute(query).tuples().all())


def list_files(
    ledger: Ledger,
    *,
    source: str | None = None,
    state: str | None = None,
    key_contains: str | None = None,
    batch_id: str | None = None,
    limit: int | None = None,
) -> list[Row[Any]]:
    """Files, the newest last; at most the newest `limit` of them."""
    query = select_files().order_by(None).order_by(desc(files.c.seq))
    with ledger.read() as connection:
        if limit and limit <= _FEW and (source or state) and not (batch_id or key_contains):
            # By these alone: with a second condition SQLite takes that one's index, and goes through all of the source.
            newest = _newest(connection, source, state, limit)
            return list(connection.execute(query.where(files.c.seq.in_(newest))))[::-1]
        for column, wanted in ((files.c.source, source), (files.c.state, state), (files.c.batch_id, batch_id)):
            if wanted:
                query = query.where(column == wanted)
        if key_contains:
            query = query.where(files.c.key.contains(key_contains, autoescape=True))
        return list(connection.execute(query.limit(limit)))[::-1]


@dataclass(frozen=True)
class Found:
    """Files whose keys contain a text, the newest last."""

    rows: list[Row[Any]]
    looked_through: int | None = None
    """only the newest so many files were gone through; of older ones those were found that have the text as the last parts
    of their keys. None: every key was looked at, or as many files were found as were asked for"""


def search_keys(ledger: Ledger, part: str, *, limit: int, source: str | None = None, state: str | None = None) -> Found:
    """The newest `limit` files whose keys contain a text, so that very many files cost no more than many.

    A text that begins with a source's folder (``ecg/...``) is looked for where keys begin, by index. Any other one is
    looked for anywhere in the keys of the newest files, and by index at the end of all keys. `list_files` goes
    through everything.
    """
    with ledger.read() as connection:
        folders = [f"{one}/" for one in each_value(connection, files.c.source)]
        wanted = _conditions(source=source, state=state)
        if part.startswith(tuple(folders)):
            stores = each_value(connection, files.c.store)
            begins = select(files.c.seq).where(files.c.store.in_(stores), _begins(connection, part)).limit(_MANY + 1)
            numbers = set(connection.scalars(begins))
            if len(numbers) <= _MANY:
                return Found(_newest_of(connection, numbers, wanted, limit))
            newest = select_files().order_by(None).where(_begins(connection, part), *wanted).order_by(desc(files.c.seq))
            return Found(list(connection.execute(newest.limit(limit)))[::-1])
        last = connection.scalar(select(func.max(files.c.seq))) or 0
        # Within a query of its own: beside other conditions SQLite would take their index, and go through all of a source.
        recent = (
            select_files().order_by(None).add_columns(files.c.seq)
            .where(files.c.seq > last - _LOOKED_THROUGH).order_by(desc(files.c.seq)).limit(_LOOKED_THROUGH).subquery()
        )  # fmt: skip
        contains = select(recent.c.seq).where(
            recent.c.key.contains(part, autoescape=True), *_conditions(recent.c, source=source, state=state)
        )
        numbers = set(connection.scalars(contains.order_by(desc(recent.c.seq)).limit(limit)))
        if len(numbers) < limit and last > _LOOKED_THROUGH:
            numbers |= set(connection.scalars(select(files.c.seq).where(*_ends(part))))
            return Found(_newest_of(connection, numbers, wanted, limit), _LOOKED_THROUGH)
        return Found(_newest_of(connection, numbers, wanted, limit))


def _conditions(columns: Any = files.c, **wanted: str | None) -> list[ColumnElement[bool]]:
    return [columns[name] == value for name, value in wanted.items() if value]


def _newest_of(
    connection: Connection, numbers: set[int], wanted: list[ColumnElement[bool]], limit: int
) -> list[Row[Any]]:
    found: list[Row[Any]] = []
    for chunk in chunked(sorted(numbers, reverse=True)):
        if len(found) < limit:
            query = select_files().order_by(None).where(files.c.seq.in_(chunk), *wanted).order_by(desc(files.c.seq))
            found += connection.execute(query)
    return found[:limit][::-1]


def _begins(connection: Connection, text: str) -> ColumnElement[bool]:
    """Keys that begin with a text, in the way in which the database finds them by index."""
    if connection.dialect.name == "sqlite":
        return and_(files.c.key >= text, files.c.key < text + _LAST_CHARACTER)
    return files.c.key.startswith(text, autoescape=True)


def _ends(text: str) -> tuple[ColumnElement[bool], ...]:
    """Keys of which a text is the last parts."""
    return (
        literal_column(LAST_PART) == text.rpartition("/")[2],
        files.c.key.endswith("/" + text, autoescape=True),
    )


def _newest(connection: Connection, source: str | None, state: str | None, limit: int) -> list[int]:
    """Numbers of the newest files of a source, in a state, or both: for each of these the end of one run of an index."""
    found: list[int] = []
    for of_source in [source] if source else each_value(connection, files.c.source):
        for of_state in [state] if state else FileState:
            newest = select(files.c.seq).where(files.c.source == of_source, files.c.state == of_state)
            found += connection.scalars(newest.order_by(desc(files.c.seq)).limit(limit))
    return sorted(found)[-limit:]


def last_seen(ledger: Ledger, source: str) -> datetime | None:
    """When the newest file of a source became known; None without files."""
    # State by state, so that each is one step into an index, however many files there are.
    newest = [
        select(func.max(files.c.seq)).where(files.c.source == source, files.c.state == state).scalar_subquery()
        for state in FileState
    ]
    with ledger.read() as connection:
        known = [seq for seq in connection.execute(select(*newest)).one() if seq is not None]
        return connection.scalar(select(files.c.seen_at).where(files.c.seq == max(known))) if known else None


def unsettled_looks(ledger: Ledger, source: str | None = None) -> list[Row[Any]]:
    """Keys that were seen but not yet whole."""
    query = select(looks).where(looks.c.version.is_(None)).order_by(looks.c.key)
    if source:
        query = query.where(looks.c.source == source)
    with ledger.read() as connection:
        return list(connection.execute(query))


@dataclass(frozen=True)
class FileStory:
    """All the ledger knows of one file."""

    file: Row[Any]
    history: list[Row[Any]]
    rows: dict[str, int]
    refusals: list[Row[Any]]
    batch: Row[Any] | None
    replaced_by: str | None = None
    """key whose next file takes its place, because a person said so"""


def find_files(ledger: Ledger, key_or_id: str) -> list[str]:
    """Ids of the files that a key (whole, without its source's folder, or its last parts) or a file id names."""
    with ledger.read() as connection:
        # Key by key of a store, as the index has them.
        stores = each_value(connection, files.c.store)
        by_id = select(files.c.seq).where(files.c.file_id == key_or_id)
        by_key = select(files.c.seq).where(files.c.store.in_(stores), files.c.key == key_or_id)
        by_end = select(files.c.seq).where(*_ends(key_or_id))
        for queries in ((by_id, by_key), (by_end,)):
            found = {seq for query in queries for seq in connection.scalars(query)}
            ids = (select(files.c.seq, files.c.file_id).where(files.c.seq.in_(part)) for part in chunked(sorted(found)))
            if found:
                return [row.file_id for query in ids for row in connection.execute(query.order_by(files.c.seq))]
    return []


def newest_of_key(ledger: Ledger, store: str, key: str) -> Row[Any] | None:
    """The newest version of a whole key in a landing store; None where no look has seen it yet."""
    query = select(files).where(files.c.store == store, files.c.key == key).order_by(desc(files.c.seq)).limit(1)
    with ledger.read() as connection:
        return connection.execute(query).one_or_none()


def tell(ledger: Ledger, file_id: str) -> FileStory:
    with ledger.read() as connection:
        file = connection.execute(select(files).where(files.c.file_id == file_id)).one()
        history = connection.execute(
            select(file_history).where(file_history.c.file_id == file_id).order_by(file_history.c.seq)
        ).all()
        rows = connection.execute(
            select(file_rows.c.table_name, file_rows.c.rows).where(file_rows.c.file_id == file_id)
        ).all()
        refusals = connection.execute(
            select(quarantine).where(quarantine.c.file_id == file_id).order_by(quarantine.c.seq)
        ).all()
        batch = connection.execute(select(batches).where(batches.c.batch_id == file.batch_id)).one_or_none()
        by = connection.scalar(select(replacements.c.key).where(replacements.c.file_id == file_id))
        return FileStory(file, list(history), {row.table_name: row.rows for row in rows}, list(refusals), batch, by)


def row_counts(ledger: Ledger, *, source: str | None = None, batch_id: str | None = None) -> dict[str, dict[str, int]]:
    """Rows of each file with rows, by table name and file id, as the ledger counted them: of a source or a batch."""
    query = select(file_rows.c.table_name, file_rows.c.file_id, file_rows.c.rows).join(
        files, files.c.file_id == file_rows.c.file_id
    )
    for column, wanted in ((files.c.source, source), (files.c.batch_id, batch_id)):
        if wanted:
            query = query.where(column == wanted)
    counts: dict[str, dict[str, int]] = {}
    with ledger.read() as connection:
        for table, file_id, rows in connection.execute(query):
            counts.setdefault(table, {})[file_id] = rows
    return counts
