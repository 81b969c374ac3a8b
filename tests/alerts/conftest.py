"""A Slack on this machine, and a platform that tells it its alerts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from resources.platform import Platform
from resources.settings import Settings
from tests.alerts.slack_server import CHANNEL, TOKEN, Slack, slack_server


@pytest.fixture
def slack() -> Iterator[Slack]:
    with slack_server() as server:
        yield server


@pytest.fixture
def settings(settings: Settings, slack: Slack) -> Settings:
    """As everywhere, with Slack configured."""
    values = {
        "slack_channel": CHANNEL, "slack_token": SecretStr(TOKEN), "slack_url": slack.url,
        "ui_url": "https://strandline.example", "alert_digest_minutes": 0,
    }  # fmt: skip
    return settings.model_copy(update=values)


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    made = Platform(settings)
    yield made
    made.close()
