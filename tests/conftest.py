"""What tests share: a platform in a folder of its own, and ways to land and drain on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resources.landing.folder import FolderStore
from resources.platform import Platform
from resources.settings import Settings


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
