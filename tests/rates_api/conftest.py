"""What the tests of the API share: one deployment with all generated prices, and a client of its application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from pipeline_assets.rates.config import RatesConfig
from rates_api.app import create_app
from rates_api.models import Plausible
from resources.platform import Platform
from tests.crash.sessions import wait_until
from tests.rates_api.deployment import Deployment

_CONFIG = RatesConfig()
PLAUSIBLE = Plausible(_CONFIG.price_min, _CONFIG.price_max, _CONFIG.day_first, _CONFIG.day_last)


@pytest.fixture(scope="module")
def filled(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All generated prices; tests only read them."""
    made = Deployment(postgresql, tmp_path_factory.mktemp("filled") / "home", api_rate_limit=0)
    made.take_examples()
    yield made
    made.platform.close()


@pytest.fixture
def deployment(postgresql: str, tmp_path: Path) -> Iterator[Deployment]:
    """Ports and no prices, for tests that add some."""
    made = Deployment(postgresql, tmp_path / "home")
    yield made
    made.platform.close()


def client_of(platform: Platform) -> TestClient:
    """Used as a context, it starts and ends the application."""
    return TestClient(create_app(platform, PLAUSIBLE), raise_server_exceptions=False)


def is_open(client: TestClient) -> bool:
    return client.get("/readyz").status_code == 200


@pytest.fixture(scope="module")
def client(filled: Deployment) -> Iterator[TestClient]:
    with client_of(Platform(filled.platform.settings)) as made:
        wait_until(lambda: is_open(made), 30, "the API opens")
        yield made
