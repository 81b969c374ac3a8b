"""The serving database: its migrations, its roles, who may write."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from resources.serving.database import HEAD, Overtaken, Serving, current_revision
from resources.serving.tables import metadata
from resources.settings import Settings, SettingsError


@pytest.fixture
def serving(postgresql: str, tmp_path: Path) -> Iterator[Serving]:
    made = Serving(postgresql, None, tmp_path, f"test_{uuid.uuid4().hex[:12]}")
    yield made
    made.close()


def test_migrations_make_the_tables_that_the_code_means(serving: Serving) -> None:
    with serving.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert current_revision(connection) == HEAD


def test_several_processes_may_open_it_first(postgresql: str, tmp_path: Path) -> None:
    schema = f"test_{uuid.uuid4().hex[:12]}"
    many = [Serving(postgresql, None, tmp_path, schema) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        revisions = list(threads.map(lambda one: current_revision(one.engine.connect()), many))
    assert revisions == [HEAD] * 4
    for one in many:
        one.close()


def test_readers_cannot_write(serving: Serving) -> None:
    with serving.read() as connection, pytest.raises(DBAPIError, match="read-only transaction"):
        connection.execute(text("DELETE FROM prices"))


def test_a_login_of_the_readers_role_reads_and_one_of_the_loaders_writes(serving: Serving, postgresql: str) -> None:
    assert serving.engine
    for role, may_write in ((serving.reader_role, False), (serving.loader_role, True)):
        login = f"login_{uuid.uuid4().hex[:12]}"
        with serving.engine.begin() as connection:
            connection.execute(text(f'CREATE ROLE {login} LOGIN IN ROLE "{role}"'))
        url = make_url(postgresql).set(username=login, drivername="postgresql+psycopg")
        engine = create_engine(url, connect_args={"options": f"-c search_path={serving.schema}"})
        with engine.begin() as connection:
            assert connection.scalar(text("SELECT count(*) FROM daily_rates")) == 0
            if may_write:
                connection.execute(text("INSERT INTO writers VALUES ('x', 1)"))
            else:
                with pytest.raises(DBAPIError, match="permission denied"), connection.begin_nested():
                    connection.execute(text("INSERT INTO writers VALUES ('x', 1)"))
        engine.dispose()
        with serving.engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {login}"))


def test_an_older_turn_cannot_write_after_a_newer_one(serving: Serving) -> None:
    for fence in (5, 5, 6):
        with serving.write("rates", fence):
            pass
    with pytest.raises(Overtaken), serving.write("rates", 5):
        pass
    with serving.write("places", 1):
        pass


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"serving_url": "mysql://x@h/d"}, "STRANDLINE_SERVING_URL=(not shown): .*expected postgresql://"),
        ({"serving_url": "postgresql://x:a@b@h/d"}, "write an @ in user or password as %40"),
        ({"serving_reader_url": "postgresql://h/d"}, "set STRANDLINE_SERVING_URL as well"),
    ],
)
def test_a_wrong_address_is_named(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], why: str) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"STRANDLINE_{name.upper()}", value)
    with pytest.raises(SettingsError, match=why.replace("(not shown)", r"\(not shown\)")):
        Settings.load()


def test_passwords_are_not_shown(tmp_path: Path) -> None:
    assert "secret" not in repr(Serving("postgresql://u:secret@h/d", "postgresql://u:secret@r/d", tmp_path, "rates"))
