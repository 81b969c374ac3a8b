"""A platform with a real PostgreSQL and all generated ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_assets.places.source import PLACES
from resources.platform import Platform
from tests.conftest import Put, putter
from tests.freight import land_places, settings_for, take


@pytest.fixture
def platform(postgresql: str, tmp_path: Path) -> Iterator[Platform]:
    made = Platform(settings_for(postgresql, tmp_path / "home"))
    yield made
    made.close()


@pytest.fixture
def put(platform: Platform, tmp_path: Path) -> Put:
    """Land content under a whole key; the ports are taken already."""
    made = putter(platform.landing, tmp_path)
    land_places(made)
    assert take(platform, PLACES).committed == 2
    return made
