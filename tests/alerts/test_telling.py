"""Alerts reach Slack once, within its limits; what does not get through is tried again and lost never."""

from __future__ import annotations

import json
import logging
import socket
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from resources.ledger import leases
from resources.ledger.alerts import REPEAT_AFTER, Alert, AlertKind, settle, untold
from resources.ledger.tables import alerts
from resources.logs import JsonLines
from resources.notifier import LogNotifier, NotDelivered
from resources.platform import Platform
from resources.settings import Settings, SettingsError
from resources.slack import SlackNotifier
from resources.telling import Told, note, tell_people
from tests.alerts.slack_server import CHANNEL, TOKEN, Slack


def an_alert(key: str = "run_failed/b1/0", **others: object) -> Alert:
    values: dict[str, object] = {
        "kind": AlertKind.RUN_FAILED, "source": "toy", "title": "toy: run of batch b1 failed", "text": "no route to host",
        "file": "toy/a", "run_id": "0123456789abcdef", "commands": ("strandline explain toy/a",),
    }  # fmt: skip
    return Alert(key, **{**values, **others})  # type: ignore[arg-type]


def pass_time(platform: Platform, by: timedelta) -> None:
    """Move what the ledger remembers into the past."""
    with platform.ledger.write() as connection:
        for column in (alerts.c.due_at, alerts.c.last_told_at):
            for key, at in connection.execute(alerts.select().with_only_columns(alerts.c.key, column)).all():
                if at is not None:
                    connection.execute(update(alerts).where(alerts.c.key == key).values({column: at - by}))


def test_an_alert_names_file_error_run_and_what_to_type(platform: Platform, slack: Slack) -> None:
    note(platform.ledger, [an_alert()])
    assert tell_people(platform) == Told(alerts=1, messages=1)
    (message,) = slack.messages
    assert message["channel"] == CHANNEL
    assert message["text"] == "toy: run of batch b1 failed"
    assert slack.texts[0].splitlines()[2:] == [
        "no route to host",
        "file `toy/a`",
        "run <https://strandline.example/runs/0123456789abcdef|01234567>",
        "`strandline explain toy/a`",
    ]
    assert untold(platform.ledger) == {}


def test_the_same_again_is_counted_and_not_told(platform: Platform, slack: Slack) -> None:
    for _ in range(3):
        note(platform.ledger, [an_alert()])
        tell_people(platform)
    assert len(slack.messages) == 1
    pass_time(platform, REPEAT_AFTER)
    tell_people(platform)
    assert len(slack.messages) == 1, "time alone is no news"
    note(platform.ledger, [an_alert(text="still no route")])
    tell_people(platform)
    assert len(slack.messages) == 2
    assert "still no route (4 times)" in slack.texts[1]


def test_what_was_over_and_comes_again_is_news(platform: Platform, slack: Slack) -> None:
    note(platform.ledger, [an_alert()])
    tell_people(platform)
    with platform.ledger.write() as connection:
        settle(connection, kind=AlertKind.RUN_FAILED, source="toy")
    tell_people(platform)
    note(platform.ledger, [an_alert()])
    tell_people(platform)
    note(platform.ledger, [an_alert()])
    tell_people(platform)
    assert len(slack.messages) == 2


def test_over_before_it_was_told_is_told_all_the_same(platform: Platform, slack: Slack) -> None:
    note(platform.ledger, [an_alert()])
    with platform.ledger.write() as connection:
        settle(connection, kind=AlertKind.RUN_FAILED, source="toy")
    tell_people(platform)
    assert len(slack.messages) == 1


def test_many_alerts_are_one_message_within_slack_s_limits(platform: Platform, slack: Slack) -> None:
    hostile = "<!channel> & <https://evil.example|click> `" * 200
    note(
        platform.ledger,
        [
            an_alert(f"k{n:03d}", title=f"{hostile[:190]}{n}", text=hostile, file="toy/" + "ü&" * 500,
                     commands=("strandline explain " + "<" * 1024,))
            for n in range(120)
        ],
    )  # fmt: skip
    assert tell_people(platform) == Told(alerts=120, messages=1)
    (message,) = slack.messages
    assert message["text"] == "toy: 120 failed runs"
    assert "and 100 more" in slack.texts[0]
    assert "<!channel>" not in slack.texts[0]
    assert "<https://evil" not in slack.texts[0]
    assert untold(platform.ledger) == {}


def test_the_longest_alert_alone_is_within_slack_s_limits(platform: Platform, slack: Slack) -> None:
    note(platform.ledger, [an_alert(title="t" * 500, text="&" * 5000, file="&" * 1024, commands=("&" * 2000,) * 3)])
    assert tell_people(platform).messages == 1
    assert len(slack.messages) == 1


def test_kinds_and_sources_have_messages_of_their_own(platform: Platform, slack: Slack) -> None:
    note(
        platform.ledger,
        [an_alert("1"), an_alert("2", source="other"), an_alert("3", kind=AlertKind.BATCH_HELD), an_alert("4")],
    )
    assert tell_people(platform) == Told(alerts=4, messages=3)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ("channel_not_found", "Correct STRANDLINE_SLACK_CHANNEL, or invite the app to the channel."),
        ("invalid_auth", "Correct STRANDLINE_SLACK_TOKEN."),
        ("missing_scope", "Give the app the scope chat:write."),
        ("fatal_error", "fatal_error"),
    ],
)
def test_an_alert_that_slack_refuses_stays_and_is_tried_again(
    platform: Platform, slack: Slack, error: str, hint: str
) -> None:
    note(platform.ledger, [an_alert()])
    slack.fail(error)
    told = tell_people(platform)
    assert (told.alerts, told.failed) == (0, 1)
    assert told.error is not None
    assert error in told.error
    assert hint in told.error
    assert untold(platform.ledger) == {"run_failed/b1/0": told.error}
    assert tell_people(platform) == Told(), "not at once again"
    assert slack.requests == 1
    pass_time(platform, timedelta(seconds=31))
    slack.fail(error)
    assert tell_people(platform).failed == 1
    pass_time(platform, timedelta(seconds=31))
    assert tell_people(platform) == Told(), "each time later"
    pass_time(platform, timedelta(seconds=31))
    assert tell_people(platform) == Told(alerts=1, messages=1)
    assert len(slack.messages) == 1


def test_slack_that_wants_fewer_messages_is_left_alone_as_long_as_it_says(platform: Platform, slack: Slack) -> None:
    note(platform.ledger, [an_alert("1"), an_alert("2", source="other"), an_alert("3", source="third")])
    slack.fail("ratelimited", status=429, headers={"Retry-After": "77"})
    assert tell_people(platform).failed == 1
    assert slack.requests == 1, "the other messages wait, too"
    pass_time(platform, timedelta(seconds=70))
    assert tell_people(platform) == Told()
    pass_time(platform, timedelta(seconds=10))
    assert tell_people(platform) == Told(alerts=3, messages=3)


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_no_loss(platform: Platform, slack: Slack, status: int) -> None:
    note(platform.ledger, [an_alert()])
    slack.fail("internal_error", status=status)
    assert tell_people(platform).failed == 1
    pass_time(platform, timedelta(seconds=31))
    assert tell_people(platform).messages == 1


def test_one_message_that_fails_keeps_no_other_back(platform: Platform, slack: Slack) -> None:
    note(platform.ledger, [an_alert("1"), an_alert("2", source="other")])
    slack.fail("fatal_error")
    told = tell_people(platform)
    assert (told.messages, told.failed) == (1, 1)
    assert set(untold(platform.ledger)) == {"1"}


def unreachable(settings: Settings) -> Settings:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return settings.model_copy(update={"slack_url": f"http://127.0.0.1:{port}/api"})


def test_no_slack_there_raises_nothing_and_loses_nothing(settings: Settings, platform: Platform) -> None:
    away = Platform(unreachable(settings))
    note(away.ledger, [an_alert()])
    told = tell_people(away)
    assert told.failed == 1
    assert told.error is not None
    assert "Slack does not answer" in told.error
    away.close()
    pass_time(platform, timedelta(seconds=31))
    assert tell_people(platform).messages == 1


def test_a_ledger_that_is_gone_raises_nothing(platform: Platform, settings: Settings) -> None:
    settings.home.mkdir(parents=True)
    (settings.home / "ledger.db").mkdir()
    assert "OperationalError" in (tell_people(platform).error or "")


def test_two_rounds_at_once_tell_once(platform: Platform, slack: Slack) -> None:
    note(platform.ledger, [an_alert()])
    with platform.ledger.write() as connection:
        other = leases.acquire(connection, "alerts", "another round", 60)
        assert other is not None
    assert tell_people(platform) == Told()
    with platform.ledger.write() as connection:
        leases.drop(connection, other)
    assert tell_people(platform).messages == 1
    assert tell_people(platform) == Told()


def test_the_token_is_nowhere_but_in_the_request(
    platform: Platform, settings: Settings, slack: Slack, json_logs: None,
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("resources.logs._setup", None)
    from resources.logs import configure_logs

    configure_logs(settings.model_copy(update={"log_format": "json", "log_level": "DEBUG"}))
    caplog.set_level(logging.DEBUG)
    note(platform.ledger, [an_alert(text=f"could not use {TOKEN}", title=f"with {TOKEN}")])
    slack.fail(f"strange_{TOKEN}")
    told = tell_people(platform)
    slack.fail(f"strange_{TOKEN}")
    with pytest.raises(NotDelivered) as refused:
        platform.notifier.tell([an_alert()])
    away = SlackNotifier(SecretStr(TOKEN), CHANNEL, f"http://{TOKEN}.invalid/api", None)
    with pytest.raises(NotDelivered) as gone:
        away.tell([an_alert()])
    pass_time(platform, timedelta(seconds=31))
    assert tell_people(platform).messages == 1
    with platform.ledger.read() as connection:
        kept = str(connection.execute(alerts.select()).all())
    shown = [
        str(told), str(refused.value), str(gone.value), repr(platform.notifier), repr(settings), kept, caplog.text,
        *capsys.readouterr(), *slack.texts,
    ]  # fmt: skip
    assert any("***" in text for text in shown)
    for text in shown:
        assert TOKEN not in text
    assert refused.value.__cause__ is None
    assert gone.value.__cause__ is None


def test_without_slack_each_alert_is_one_structured_line(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    plain = Platform(settings.model_copy(update={"slack_token": None}))
    assert isinstance(plain.notifier, LogNotifier)
    note(plain.ledger, [an_alert("1"), an_alert("2", kind=AlertKind.QUARANTINE, title="toy: 3 more files refused")])
    assert tell_people(plain) == Told(alerts=2, messages=2)
    lines = [json.loads(JsonLines().format(one)) for one in caplog.records if hasattr(one, "alert")]
    assert [(line["alert"], line["level"]) for line in lines] == [("run_failed", "ERROR"), ("quarantine", "WARNING")]
    assert lines[0]["message"] == (
        "alert: toy: run of batch b1 failed: no route to host (strandline explain toy/a)"
    )  # fmt: skip
    assert {name: lines[0][name] for name in ("source", "file", "run", "url", "count", "commands")} == {
        "source": "toy", "file": "toy/a", "run": "0123456789abcdef", "count": 1,
        "url": "https://strandline.example/runs/0123456789abcdef", "commands": ["strandline explain toy/a"],
    }  # fmt: skip
    assert tell_people(plain) == Told()
    plain.close()


def test_a_token_wants_a_channel_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_SLACK_TOKEN", TOKEN)
    with pytest.raises(
        SettingsError, match=r"STRANDLINE_SLACK_TOKEN=\(not shown\).*STRANDLINE_SLACK_CHANNEL"
    ) as raised:
        Settings.load()
    assert TOKEN not in str(raised.value)
    monkeypatch.setenv("STRANDLINE_SLACK_CHANNEL", "C1")
    assert Settings.load().slack_token is not None
    monkeypatch.setenv("STRANDLINE_SLACK_TOKEN", "my-password")
    with pytest.raises(SettingsError, match="expected a token of a Slack app, such as xoxb-") as raised:
        Settings.load()
    assert "my-password" not in str(raised.value)


@pytest.mark.parametrize("name", ["UI_URL", "SLACK_URL"])
def test_addresses_are_checked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"STRANDLINE_{name}", "strandline.example")
    with pytest.raises(SettingsError, match=rf"STRANDLINE_{name}.*begins with http"):
        Settings.load()


def test_retry_after_that_is_no_number(platform: Platform, slack: Slack) -> None:
    slack.fail("ratelimited", status=429)
    with pytest.raises(NotDelivered) as limited:
        platform.notifier.tell([an_alert()])
    assert limited.value.retry_after == 30
