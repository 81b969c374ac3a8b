"""`strandline sql` with Athena: what is asked there, and what is made of the answers, at moto's wire."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from click.testing import CliRunner
from moto import mock_aws

from cli.main import main
from resources.lake.athena import pinned, run_athena_query
from resources.lake.sql import QueryError
from resources.platform import Platform
from resources.settings import Settings, SettingsError
from tests.conftest import Put
from tests.running import look_and_run, toy

PUBLISHED = {"ecg": {"recordings": 11, "beats": 22, "empty": None}, "toy": {"readings": 33}}
RESULTS = "http://motoapi.amazonaws.com/moto-api/static/athena/query-results"


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT * FROM ecg.recordings", 'SELECT * FROM "n__ecg"."recordings" FOR VERSION AS OF 11'),
        ("select 1 from ECG.Beats b;", 'select 1 from "n__ecg"."beats" FOR VERSION AS OF 22 b'),
        ('SELECT 1 FROM "ecg" . "beats"', 'SELECT 1 FROM "n__ecg"."beats" FOR VERSION AS OF 22'),
        (
            "SELECT r.lead FROM ecg.recordings r JOIN ecg.beats AS b ON r.recording_id = b.recording_id",
            'SELECT r.lead FROM "n__ecg"."recordings" FOR VERSION AS OF 11 r JOIN "n__ecg"."beats" FOR VERSION AS OF 22 AS b '
            "ON r.recording_id = b.recording_id",
        ),
        (
            "SELECT 1 FROM toy.readings, (SELECT 2 FROM ecg.beats WHERE a IN (SELECT x FROM toy.readings)) q",
            'SELECT 1 FROM "n__toy"."readings" FOR VERSION AS OF 33, (SELECT 2 FROM "n__ecg"."beats" FOR VERSION AS OF 22 '
            'WHERE a IN (SELECT x FROM "n__toy"."readings" FOR VERSION AS OF 33)) q',
        ),
        (
            "WITH a AS (SELECT * FROM toy.readings) SELECT * FROM a WHERE 'FROM ecg.beats' <> '' -- FROM ecg.beats",
            'WITH a AS (SELECT * FROM "n__toy"."readings" FOR VERSION AS OF 33) SELECT * FROM a '
            "WHERE 'FROM ecg.beats' <> '' -- FROM ecg.beats",
        ),
        # Columns of what is called like a source, and names in other clauses, are no tables.
        ("SELECT ecg.beats, a.b FROM x.y AS ecg", "SELECT ecg.beats, a.b FROM x.y AS ecg"),
        ("SELECT extract(year FROM t.landed) FROM other.t", "SELECT extract(year FROM t.landed) FROM other.t"),
        # A table of which nothing is published shows nothing, whatever is in it.
        ("SELECT 1 FROM ecg.empty", 'SELECT 1 FROM (SELECT * FROM "n__ecg"."empty" WHERE false) AS "empty"'),
        ("SELECT 1 FROM ecg.empty e", 'SELECT 1 FROM (SELECT * FROM "n__ecg"."empty" WHERE false) e'),
        ("SELECT 1 FROM ecg.nothing", 'SELECT 1 FROM "n__ecg"."nothing"'),
    ],
)
def test_tables_are_pinned_to_what_is_published(query: str, wanted: str) -> None:
    assert pinned(query, PUBLISHED, "n__") == wanted


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("DROP TABLE ecg.beats", "Ask with SELECT or WITH; 'DROP'"),
        ("/* SELECT */ insert into ecg.beats select 1", "'insert' is no question"),
        ("", "'nothing' is no question"),
        ("SELECT 1; DROP TABLE ecg.beats", "One question at a time"),
        ("SELECT * FROM operations.files", r"operations\.files is in the ledger.*STRANDLINE_SQL_ENGINE=duckdb"),
    ],
)
def test_what_is_no_question_for_athena(query: str, told: str) -> None:
    with pytest.raises(QueryError, match=told):
        pinned(query, PUBLISHED, "")


@pytest.fixture
def athena(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="results")
        yield boto3.client("athena")


def answer(columns: list[dict[str, Any]], *rows: list[str | None]) -> None:
    """What moto gives to the next query; Athena's first line has the names."""
    first = [column["Name"] for column in columns]
    cells = [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]} for row in (first, *rows)]
    said = {"rows": cells, "column_info": [{"Label": column["Name"], **column} for column in columns]}
    requests.post(RESULTS, json={"results": [said]}, timeout=5)


@pytest.fixture
def committed(platform: Platform, put: Put) -> Platform:
    put("toy/one", toy(1, 2))
    look_and_run(platform)
    return platform


def ask(platform: Platform, query: str, client: Any = None, seconds: float = 5) -> Any:
    return run_athena_query(
        platform.lake, platform.ledger, query, workgroup="primary", seconds=seconds, client=client
    )  # fmt: skip


def test_values_have_the_types_that_athena_says(athena: Any, committed: Platform) -> None:
    columns = [
        {"Name": "name", "Type": "varchar"}, {"Name": "n", "Type": "bigint"}, {"Name": "x", "Type": "double"},
        {"Name": "yes", "Type": "boolean"}, {"Name": "day", "Type": "date"}, {"Name": "at", "Type": "timestamp"},
        {"Name": "utc", "Type": "timestamp with time zone"}, {"Name": "price", "Type": "decimal", "Precision": 9, "Scale": 2},
        {"Name": "raw", "Type": "varbinary"}, {"Name": "many", "Type": "array"},
    ]  # fmt: skip
    answer(
        columns,
        ["a", "7", "1.5", "true", "2026-11-21", "2026-11-21 06:00:00.123", "2026-11-21 06:00:00.123456 UTC", "1.25", "68 69", "[1, 2]"],
        [None] * len(columns),
    )  # fmt: skip
    found = ask(committed, "SELECT * FROM toy.readings", athena)
    first, second = found.to_pylist()
    assert first == {
        "name": "a", "n": 7, "x": 1.5, "yes": True, "day": date(2026, 11, 21), "at": datetime(2026, 11, 21, 6, 0, 0, 123000),
        "utc": datetime(2026, 11, 21, 6, 0, 0, 123456, tzinfo=UTC), "price": Decimal("1.25"), "raw": b"hi", "many": "[1, 2]",
    }  # fmt: skip
    assert set(second.values()) == {None}
    (execution,) = athena.list_query_executions()["QueryExecutionIds"]
    asked = athena.get_query_execution(QueryExecutionId=execution)["QueryExecution"]
    snapshot = committed.lake.current_snapshot(next(iter(names(committed))))
    assert asked["Query"] == f'SELECT * FROM "toy"."readings" FOR VERSION AS OF {snapshot}'
    assert asked["WorkGroup"] == "primary"


def names(platform: Platform) -> list[Any]:
    from resources.lake.lake import TableName

    return [TableName("toy", "readings")]


class Scripted:
    """Athena as it answers when it does not succeed at once."""

    def __init__(self, *states: dict[str, str]) -> None:
        self.states, self.asked, self.stopped = list(states), [], 0

    def start_query_execution(self, QueryString: str, WorkGroup: str) -> dict[str, str]:
        self.asked.append(QueryString)
        return {"QueryExecutionId": "q"}

    def get_query_execution(self, QueryExecutionId: str) -> dict[str, Any]:
        status = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"QueryExecution": {"Status": status}}

    def stop_query_execution(self, QueryExecutionId: str) -> None:
        self.stopped += 1

    def get_query_results(self, **asked: Any) -> dict[str, Any]:
        page = int(asked.get("NextToken", "0"))
        info = [{"Name": "n", "Label": "n", "Type": "integer"}]
        cells = [{"Data": [{"VarCharValue": "n"}]}] if page == 0 else []
        cells += [{"Data": [{"VarCharValue": str(page)}]}]
        more = {"NextToken": str(page + 1)} if page < 2 else {}
        return {"ResultSet": {"Rows": cells, "ResultSetMetadata": {"ColumnInfo": info}}, **more}


def test_a_result_of_many_pages(committed: Platform) -> None:
    athena = Scripted({"State": "QUEUED"}, {"State": "RUNNING"}, {"State": "SUCCEEDED"})
    assert ask(committed, "SELECT 1", athena).to_pydict() == {"n": [0, 1, 2]}


def test_a_failed_query_says_why_and_which_tables_there_are(committed: Platform) -> None:
    athena = Scripted({"State": "FAILED", "StateChangeReason": "COLUMN_NOT_FOUND: line 1:8"})
    with pytest.raises(QueryError, match=r"COLUMN_NOT_FOUND: line 1:8\nTables: toy.files, toy.readings$"):
        ask(committed, "SELECT x FROM toy.readings", athena)


def test_a_query_that_takes_too_long_is_stopped(committed: Platform) -> None:
    athena = Scripted({"State": "RUNNING"})
    with pytest.raises(QueryError, match=r"did not end within 0\.01 s and was stopped"):
        ask(committed, "SELECT 1", athena, seconds=0.01)
    assert athena.stopped == 1


def test_a_snapshot_that_was_expired_meanwhile_is_asked_for_anew(committed: Platform, put: Put) -> None:
    """Another batch was published between the look at the ledger and Athena's own."""
    gone = {"State": "FAILED", "StateChangeReason": "Iceberg snapshot ID does not exists: 1"}

    class Overtaken(Scripted):
        def get_query_execution(self, QueryExecutionId: str) -> dict[str, Any]:
            if len(self.asked) == 1:
                put("toy/two", toy(3))
                look_and_run(committed, "run-2")
            return super().get_query_execution(QueryExecutionId)

    athena = Overtaken(gone, {"State": "SUCCEEDED"})
    assert ask(committed, "SELECT * FROM toy.readings", athena).num_rows == 3
    assert len(athena.asked) == 2
    assert athena.asked[0] != athena.asked[1]
    stuck = Scripted(gone)
    with pytest.raises(QueryError, match="snapshot ID does not exists"):
        ask(committed, "SELECT * FROM toy.readings", stuck)


def test_athena_refuses(athena: Any, committed: Platform) -> None:
    with pytest.raises(QueryError, match=r"Athena refuses: .*\nTables: "):
        run_athena_query(
            committed.lake, committed.ledger, "SELECT 1", workgroup="no_such", seconds=5, client=athena
        )  # fmt: skip


def test_the_command_prints_it_as_ever(athena: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"HOME": str(tmp_path / "home"), "SQL_ENGINE": "athena", "LAKE": "s3://tables/lake"}.items():
        monkeypatch.setenv(f"STRANDLINE_{name}", value)
    answer([{"Name": "n", "Type": "integer"}], ["1"], ["2"])
    done = CliRunner().invoke(main, ["sql", "SELECT n FROM somewhere.else", "--format", "json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == [{"n": 1}, {"n": 2}]


def test_athena_needs_a_lake_in_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_SQL_ENGINE", "athena")
    with pytest.raises(SettingsError, match=r"STRANDLINE_SQL_ENGINE=.*set STRANDLINE_LAKE to s3://"):
        Settings.load()
