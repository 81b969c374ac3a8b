"""Migrations only add, so that runs go on with the version that they began with while a newer one is deployed, and a
roll-back finds its tables. A migration that takes something away says `Two steps:` in its text, with the version since
which no code uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, text

from resources.ledger import Ledger
from resources.ledger import database as ledger_database
from resources.ledger.database import HEAD
from resources.ledger.queries import count_by_state
from resources.serving import database as serving_database
from resources.serving.database import Serving

NOTE = "Two steps:"
Tables = dict[str, dict[str, dict[str, Any]]]
UPGRADES = {"ledger": ledger_database, "serving": serving_database}


def tables_of(connection: Connection, schema: str | None) -> Tables:
    inspector = inspect(connection)
    return {
        table: {column["name"]: dict(column) for column in inspector.get_columns(table, schema)}
        for table in inspector.get_table_names(schema)
    }


def taken_away(before: Tables, after: Tables) -> list[str]:
    """What code written for the tables as they were can no longer do."""
    found = []
    for table, columns in before.items():
        if table not in after:
            found.append(f"the table {table} is gone")
            continue
        for name, column in columns.items():
            now = after[table].get(name)
            if now is None:
                found.append(f"the column {table}.{name} is gone")
            elif column["nullable"] and not now["nullable"]:
                found.append(f"{table}.{name} must be given now")
            elif type(column["type"]) is not type(now["type"]):
                found.append(f"{table}.{name} is of another type")
        found += [
            f"the new column {table}.{name} must be given"
            for name, column in after[table].items()
            if name not in columns and not column["nullable"] and column["default"] is None
        ]
    return found


@pytest.fixture
def new_database(postgresql: str, tmp_path: Path) -> Iterator[Callable[[str], tuple[Engine, str | None]]]:
    """An empty place for the tables: the ledger's in SQLite, the serving database's in a schema of PostgreSQL."""
    made: list[Engine] = []

    def make(name: str) -> tuple[Engine, str | None]:
        if name == "ledger":
            made.append(create_engine(f"sqlite:///{tmp_path / 'ledger.db'}"))
            return made[-1], None
        url = postgresql.replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(url, connect_args={"options": "-c search_path=step_by_step"})
        made.append(engine)
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA IF EXISTS step_by_step CASCADE"))
            connection.execute(text("CREATE SCHEMA step_by_step"))
        return engine, "step_by_step"

    yield make
    for engine in made:
        engine.dispose()


@pytest.mark.parametrize("name", UPGRADES)
def test_no_migration_takes_something_away(name: str, new_database: Callable[[str], tuple[Engine, str | None]]) -> None:
    module = UPGRADES[name]
    scripts = list(reversed(list(ScriptDirectory(str(module.MIGRATIONS)).walk_revisions())))
    assert scripts[-1].revision == module.HEAD
    engine, schema = new_database(name)
    before: Tables = {}
    for script in scripts:
        with engine.begin() as connection:
            module.upgrade(connection, script.revision)
        with engine.connect() as connection:
            after = tables_of(connection, schema)
        found = taken_away(before, after)
        assert not found or NOTE in Path(script.path).read_text(), f"{name} {script.revision}: {found}"
        before = after
    assert len(before) > 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("DROP TABLE one", "the table one is gone"),
        ("ALTER TABLE one RENAME TO other", "the table one is gone"),
        ("ALTER TABLE one DROP COLUMN b", "the column one.b is gone"),
        ("ALTER TABLE one RENAME COLUMN b TO c", "the column one.b is gone"),
        ("ALTER TABLE one ADD COLUMN c TEXT NOT NULL", "the new column one.c must be given"),
        ("ALTER TABLE one ALTER COLUMN b SET NOT NULL", "one.b must be given now"),
        ("ALTER TABLE one ALTER COLUMN a TYPE TEXT", "one.a is of another type"),
        ("ALTER TABLE one ADD COLUMN c TEXT NOT NULL DEFAULT ''", None),
        ("ALTER TABLE one ADD COLUMN c TEXT", None),
        ("CREATE TABLE other (a INTEGER)", None),
    ],
)
def test_the_comparison_sees_what_breaks_older_code(
    new_database: Callable[[str], tuple[Engine, str | None]], change: str, says: str | None
) -> None:
    engine, schema = new_database("serving")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE one (a INTEGER NOT NULL, b TEXT)"))
        before = tables_of(connection, schema)
    with engine.begin() as connection:
        connection.execute(text(change))
        after = tables_of(connection, schema)
    assert taken_away(before, after) == ([says] if says else [])


def test_older_code_works_on_a_newer_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger(url)
    with ledger.write() as connection:
        connection.execute(text("ALTER TABLE batches ADD COLUMN of_the_future TEXT"))
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    ledger.close()
    assert count_by_state(Ledger(url)) == {}
    with Ledger(url).read() as connection:
        assert ledger_database.current_revision(connection) == "9999" > HEAD


def test_older_code_works_on_a_newer_serving_database(postgresql: str) -> None:
    serving = Serving(postgresql, None, Path("unused"), "of_the_future")
    with serving.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    serving.close()
    again = Serving(postgresql, None, Path("unused"), "of_the_future")
    with again.engine.begin() as connection:
        assert serving_database.current_revision(connection) == "9999"
        connection.execute(text("DROP SCHEMA of_the_future CASCADE"))
    again.close()
