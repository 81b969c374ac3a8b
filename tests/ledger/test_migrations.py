"""The migrations make exactly the tables that the code means, whoever opens the ledger first."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect, text

from resources.ledger import Ledger
from resources.ledger.database import HEAD, MIGRATIONS, current_revision
from resources.ledger.tables import metadata
from tests.ledger.conftest import dump

ROOT = Path(__file__).parents[2]


def test_migrations_make_the_tables_that_the_code_means(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert current_revision(connection) == HEAD


def describe(connection: Connection) -> dict[str, str]:
    """What SQLite says of every table and index, in an order of its own making."""
    rows = connection.execute(
        text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'")
    )
    return {
        name: " ".join(sorted(sql.replace("(", " ").replace(")", " ").replace(",", " ").split())) for name, sql in rows
    }


def test_migrations_make_the_same_sqlite_as_the_tables_do(ledger: Ledger, tmp_path: Path) -> None:
    """Alembic's comparison does not see AUTOINCREMENT, on which the order of files leans."""
    if ledger.engine.dialect.name != "sqlite":
        pytest.skip("compares SQLite's own text of the tables")
    direct = create_engine(f"sqlite:///{tmp_path / 'direct.db'}")
    metadata.create_all(direct)
    with direct.connect() as one, ledger.engine.connect() as other:
        assert describe(one) == describe(other)
    direct.dispose()


def test_the_newest_migration_is_the_head() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


def test_opening_again_changes_nothing(ledger: Ledger) -> None:
    before = dump(ledger), tables(ledger.engine)
    ledger.close()
    assert (dump(ledger), tables(ledger.engine)) == before


OPEN = """
import sys, time
from resources.ledger import Ledger
from resources.ledger.queries import count_by_state
print("ready", flush=True)
sys.stdin.readline()
print(count_by_state(Ledger(sys.argv[1])), flush=True)
"""


def test_two_processes_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'ledger.db'}"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, url], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        out, err = process.communicate(timeout=60)
        assert (out, process.returncode) == ("{}\n", 0), err
    with sqlite3.connect(tmp_path / "new" / "ledger.db") as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_a_failed_migration_leaves_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: Connection, revision: str = "head") -> None:
        metadata.create_all(connection)
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr("resources.ledger.database.upgrade", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            ledger.engine  # noqa: B018
    assert tables(ledger.engine) == {*metadata.tables, "alembic_version"}


def tables(engine: Engine) -> set[str]:
    found = MetaData()
    found.reflect(engine)
    assert set(inspect(engine).get_table_names()) == set(found.tables)
    return set(found.tables)
