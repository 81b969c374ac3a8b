"""SQL over what is published, asked of Amazon Athena: the engine reads the tables in place, and this machine only what it answers.

Athena reads a table's newest snapshot, which may be ahead of what is published. So each table that a query names is pinned
to its published snapshot (``FOR VERSION AS OF``), all of them from one look at the ledger: of each source, a query sees every
table of a batch or none of it, as with DuckDB. A query that goes past `strandline sql` has no such promise.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resources.lake.lake import Lake
from resources.lake.sql import OPERATIONS, QueryError, list_tables
from resources.ledger import Ledger
from resources.ledger.publishing import all_published

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|[^\W\d]\w*|\s+|.""", re.DOTALL)
_TABLES_FOLLOW = {"FROM", "JOIN"}
_CLAUSES = {
    *_TABLES_FOLLOW, "SELECT", "WHERE", "ON", "USING", "GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "UNION", "EXCEPT",
    "INTERSECT", "WINDOW", "WITH",
}  # fmt: skip
_NO_ALIAS = {*_CLAUSES, "CROSS", "INNER", "LEFT", "RIGHT", "FULL", "NATURAL", "TABLESAMPLE"}
_READING = {"SELECT", "WITH", "VALUES"}
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 1.0
_ROWS_A_PAGE = 1000
_MOST_LOOKS = 3

Published = Mapping[str, Mapping[str, int | None]]


class NoSuchSnapshot(QueryError):
    """A snapshot that the query was pinned to was expired meanwhile."""


def run_athena_query(
    lake: Lake, ledger: Ledger, query: str, *, workgroup: str, seconds: float, client: Any = None
) -> pa.Table:
    """The query's result. Raises QueryError.

    seconds: longest that it may take in Athena; then it is stopped there. client: boto3's, of Athena.
    """
    asked = client if client is not None else _client()
    for look in range(_MOST_LOOKS):
        published = all_published(ledger)
        try:
            return _ask(asked, pinned(query, published, lake.table_prefix), workgroup, seconds)
        except NoSuchSnapshot:
            if look == _MOST_LOOKS - 1 or all_published(ledger) == published:
                raise
        except QueryError as error:
            raise QueryError(f"{error}\nTables: {', '.join(_queryable(ledger))}") from error
    raise AssertionError("unreachable")


def _queryable(ledger: Ledger) -> list[str]:
    return [name for name in list_tables(ledger) if not name.startswith(f"{OPERATIONS}.")]


def pinned(query: str, published: Published, prefix: str) -> str:
    """The query with each table that it reads, ``source.table``, as it is called in Glue and as it was published.

    Raises QueryError for what is not a question, and for what Athena does not have.
    """
    tokens = _TOKEN.findall(query.strip().rstrip(";"))
    words = [token for token in tokens if not _is_blank(token)]
    if not words or words[0].upper() not in _READING:
        raise QueryError(f"Ask with SELECT or WITH; {words[0] if words else 'nothing'!r} is no question.")
    if ";" in words:
        raise QueryError("One question at a time: there is a ; in the middle.")
    made: list[str] = []
    clauses = [""]
    before = ""
    at = 0
    while at < len(tokens):
        token = tokens[at]
        word = token.upper()
        if _is_blank(token):
            made.append(token)
            at += 1
            continue
        can_be = clauses[-1] in _TABLES_FOLLOW and before in {*_TABLES_FOLLOW, ",", "("}
        name = _table_at(tokens, at) if can_be else None
        if name is not None and name[0].lower() in {*published, OPERATIONS}:
            source, table, after = name
            made.append(_pin(source, table, published, prefix, has_alias=_has_alias(tokens, after)))
            before, at = table, after
            continue
        if token == "(":
            clauses.append(clauses[-1])
        elif token == ")" and len(clauses) > 1:
            clauses.pop()
        elif word in _CLAUSES:
            clauses[-1] = word
        made.append(token)
        before, at = word, at + 1
    return "".join(made)


def _pin(source: str, table: str, published: Published, prefix: str, *, has_alias: bool) -> str:
    if source.lower() == OPERATIONS:
        raise QueryError(
            f"{OPERATIONS}.{table} is in the ledger, which Athena does not see: ask with STRANDLINE_SQL_ENGINE=duckdb."
        )
    place, tables = f'"{prefix}{source.lower()}"."{table.lower()}"', published[source.lower()]
    if table.lower() not in tables:
        return place  # Athena says that it is not there
    snapshot = tables[table.lower()]
    if snapshot is not None:
        return f"{place} FOR VERSION AS OF {snapshot}"
    # Nothing of it is published: what a run may have left in it is not to be seen.
    return f"(SELECT * FROM {place} WHERE false)" + ("" if has_alias else f' AS "{table.lower()}"')


def _table_at(tokens: list[str], at: int) -> tuple[str, str, int] | None:
    """The name ``source.table`` that begins at a token and where it ends; None if none begins there."""
    parts = []
    position: int | None = at
    for wanted in ("name", ".", "name"):
        if position is None:
            return None
        token = tokens[position]
        if (token == ".") != (wanted == ".") or (
            wanted == "name" and not re.fullmatch(r'[^\W\d]\w*|"(?:[^"]|"")+"', token)
        ):
            return None
        parts.append(token.strip('"'))
        last, position = position, _next(tokens, position + 1)
    if position is not None and tokens[position] in {".", "("}:
        return None
    return parts[0], parts[2], last + 1


def _has_alias(tokens: list[str], at: int) -> bool:
    position = _next(tokens, at)
    return (
        position is not None
        and bool(re.match(r'[^\W\d]|"', tokens[position]))
        and tokens[position].upper() not in _NO_ALIAS
    )


def _next(tokens: list[str], at: int) -> int | None:
    return next((position for position in range(at, len(tokens)) if not _is_blank(tokens[position])), None)


def _is_blank(token: str) -> bool:
    return token.isspace() or token.startswith(("--", "/*"))


def _client() -> Any:
    import boto3
    from botocore.config import Config

    from resources.lake.files import region

    return boto3.client("athena", region_name=region(), config=Config(retries={"mode": "adaptive", "max_attempts": 6}))


def _ask(client: Any, query: str, workgroup: str, seconds: float) -> pa.Table:
    from botocore.exceptions import ClientError

    try:
        execution = client.start_query_execution(QueryString=query, WorkGroup=workgroup)["QueryExecutionId"]
        _wait(client, execution, seconds)
        return _result(client, execution)
    except ClientError as error:
        raise QueryError(f"Athena refuses: {error.response['Error'].get('Message') or error}") from error


def _wait(client: Any, execution: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    try:
        while True:
            found = client.get_query_execution(QueryExecutionId=execution)["QueryExecution"]["Status"]
            if found["State"] == "SUCCEEDED":
                return
            if found["State"] in {"FAILED", "CANCELLED"}:
                reason = found.get("StateChangeReason") or f"the query was {found['State'].lower()}"
                is_gone = "snapshot" in reason.lower() and "exist" in reason.lower()
                raise (NoSuchSnapshot if is_gone else QueryError)(reason)
            if time.monotonic() > deadline:
                client.stop_query_execution(QueryExecutionId=execution)
                raise QueryError(
                    f"The query did not end within {seconds:g} s and was stopped. Ask for less, or set "
                    "STRANDLINE_ATHENA_SECONDS to more."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
    except QueryError:
        raise
    except BaseException:
        client.stop_query_execution(QueryExecutionId=execution)  # Ctrl-C, too: it would go on, and cost
        raise


def _result(client: Any, execution: str) -> pa.Table:
    columns: list[dict[str, Any]] = []
    rows: list[list[str | None]] = []
    for page in _pages(client, execution):
        columns = columns or page["ResultSetMetadata"]["ColumnInfo"]
        rows += [[cell.get("VarCharValue") for cell in row.get("Data", [])] for row in page["Rows"]]
    labels = [column.get("Label") or column["Name"] for column in columns]
    if rows and rows[0] in (labels, [column["Name"] for column in columns]):
        rows = rows[1:]  # Athena's own first line
    values = [_typed([row[i] for row in rows], column) for i, column in enumerate(columns)]
    return pa.Table.from_arrays(values, names=labels)


def _pages(client: Any, execution: str) -> Iterator[Any]:
    token: dict[str, str] = {}
    while True:
        answer = client.get_query_results(QueryExecutionId=execution, MaxResults=_ROWS_A_PAGE, **token)
        yield answer["ResultSet"]
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


_TYPES = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "real": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}


def _typed(values: list[str | None], column: Mapping[str, Any]) -> pa.Array:
    """A column as its type says; lists, maps and rows stay the text that Athena makes of them."""
    kind = str(column["Type"]).lower()
    texts = pa.array(values, pa.string())
    if kind.startswith("decimal"):
        return texts.cast(pa.decimal128(int(column["Precision"]), int(column["Scale"])))
    if kind == "varbinary":
        return pa.array(
            [None if value is None else bytes.fromhex(value.replace(" ", "")) for value in values], pa.binary()
        )
    if kind == "timestamp with time zone":
        if any(value is not None and not value.endswith(" UTC") for value in values):
            return texts
        return pc.assume_timezone(pc.replace_substring(texts, " UTC", "").cast(pa.timestamp("us")), "UTC")
    return texts.cast(_TYPES[kind]) if kind in _TYPES else texts
