"""A drain without a daemon beside it tells Slack what it would leave untold; whatever Slack does, it ends as it would."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.drain import drain_sources
from resources.ledger.alerts import untold
from resources.platform import Platform
from resources.settings import Settings
from tests.alerts.slack_server import Slack
from tests.alerts.test_telling import unreachable
from tests.conftest import Put
from tests.running import toy
from tests.toy_source import TOY

SOURCE = replace(TOY, aggregates=())


@pytest.fixture(autouse=True)
def _home_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")  # so that what a drain sets is unset afterwards


def test_a_drain_tells_slack_at_its_end(platform: Platform, slack: Slack, put: Put) -> None:
    put("toy/a", toy(1))
    put("toy/bad", toy("bad"))
    assert drain_sources(platform, [SOURCE]) == 3
    (text,) = slack.texts
    assert "toy: 1 more file refused" in text
    assert drain_sources(platform, [SOURCE]) == 0
    assert len(slack.messages) == 1


def test_a_slack_that_is_away_changes_nothing_about_a_drain(
    settings: Settings, put: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = Platform(unreachable(settings))
    put("toy/bad", toy("bad"))
    assert drain_sources(platform, [SOURCE]) == 3
    assert (
        "alerts are not delivered; they stay in the ledger for the next drain or sensor: Slack"
        in capsys.readouterr().err
    )
    assert len(untold(platform.ledger)) == 1
    platform.close()
