"""R11 SQLite. WAL, BEGIN IMMEDIATE, busy timeout, no transaction across I/O. PostgreSQL: same code; the tests of tests/ledger run
on both.

Proven by

- tests/ledger/test_migrations.py::test_two_processes_open_a_new_ledger_at_once
- tests/ledger/test_migrations.py::test_migrations_make_the_tables_that_the_code_means
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from resources.ledger.database import Ledger
from tests.ledger.conftest import ledger, ledger_url  # noqa: F401


def test_a_ledger_in_sqlite_is_in_wal_and_waits_for_the_lock(ledger: Ledger) -> None:  # noqa: F811
    if ledger.engine.dialect.name != "sqlite":
        pytest.skip("of SQLite")
    with ledger.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert int(connection.exec_driver_sql("PRAGMA busy_timeout").scalar() or 0) >= 10_000


def test_a_writing_transaction_has_the_lock_from_its_begin_and_readers_go_on(ledger: Ledger) -> None:  # noqa: F811
    if ledger.engine.dialect.name != "sqlite":
        pytest.skip("of SQLite")
    path = ledger.engine.url.database
    with ledger.write(), closing(sqlite3.connect(str(path), timeout=0, isolation_level=None)) as other:
        assert other.execute("SELECT count(*) FROM files").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
