"""Slack as a notifier: one message for alerts of one kind and source, within the limits of Slack's API.

Limits: 50 blocks a message, 3,000 characters a text object, 150 a header (https://docs.slack.dev/reference/block-kit/blocks);
one message a second and channel, else 429 with Retry-After (https://docs.slack.dev/apis/web-api/rate-limits).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from urllib.error import URLError

from pydantic import SecretStr

from resources.ledger.alerts import Alert, AlertKind
from resources.logs import redact
from resources.notifier import NotDelivered, run_url

MOST_BLOCKS = 50
LONGEST_TEXT = 3000
LONGEST_HEADER = 150
_MOST_SHOWN = 20
"""Alerts of one message that have a block of their own; the others are counted."""
_SHORTEST_SHOWN = 200
_LONGEST_CODE = 1100
_TIMEOUT_SECONDS = 10

_PLURAL = {
    AlertKind.RUN_FAILED: "failed runs",
    AlertKind.BATCH_HELD: "batches are held",
    AlertKind.CHECK_FAILED: "failed checks",
    AlertKind.QUARANTINE: "reports of refused files",
    AlertKind.STALE: "reports of late files",
    AlertKind.RECONCILER: "findings of the reconciler",
    AlertKind.TICK_FAILED: "sensors and schedules fail",
    AlertKind.NEW_VERSION: "datasets got a new version",
}
_WHAT_TO_DO = {
    "invalid_auth": "Correct STRANDLINE_SLACK_TOKEN",
    "not_authed": "Correct STRANDLINE_SLACK_TOKEN",
    "token_revoked": "The app was removed or its token replaced; correct STRANDLINE_SLACK_TOKEN",
    "token_expired": "Correct STRANDLINE_SLACK_TOKEN",
    "account_inactive": "The app was removed; correct STRANDLINE_SLACK_TOKEN",
    "missing_scope": "Give the app the scope chat:write",
    "channel_not_found": "Correct STRANDLINE_SLACK_CHANNEL, or invite the app to the channel",
    "not_in_channel": "Invite the app to the channel",
    "is_archived": "The channel is archived; correct STRANDLINE_SLACK_CHANNEL",
}


class SlackNotifier:
    """Posts alerts to one channel. Making it opens nothing."""

    def __init__(self, token: SecretStr, channel: str, api_url: str, ui_url: str | None) -> None:
        self._token = token
        self._channel = channel
        self._api_url = api_url
        self._ui_url = ui_url

    def tell(self, alerts: Sequence[Alert]) -> None:
        from slack_sdk import WebClient
        from slack_sdk.errors import SlackApiError, SlackClientError

        # The SDK writes whole requests at DEBUG, and the ledger knows when to try again.
        quiet = logging.Logger("slack_sdk", level=logging.CRITICAL)
        client = WebClient(
            self._token.get_secret_value(),
            base_url=f"{self._api_url}/",
            timeout=_TIMEOUT_SECONDS,
            logger=quiet,
            retry_handlers=[],
        )
        try:
            client.chat_postMessage(
                channel=self._channel,
                text=headline(alerts),
                blocks=message_blocks(alerts, self._ui_url),
                unfurl_links=False,
                unfurl_media=False,
            )
        except SlackApiError as error:
            raise self._explained(error) from None
        except (SlackClientError, URLError, OSError, ValueError) as error:
            # Not chained: what the SDK raises may hold the request with its token.
            raise NotDelivered(redact(f"Slack does not answer: {type(error).__name__}: {error}")) from None

    def _explained(self, error: Any) -> NotDelivered:
        response = error.response
        status = getattr(response, "status_code", None)
        data = getattr(response, "data", None)
        code = str(data.get("error", "")) if isinstance(data, dict) else ""
        if status == 429 or code in {"ratelimited", "rate_limited"}:
            headers = {str(name).lower(): value for name, value in (response.headers or {}).items()}
            return NotDelivered("Slack wants fewer messages (429)", _seconds(headers.get("retry-after")))
        hint = f" {_WHAT_TO_DO[code]}." if code in _WHAT_TO_DO else ""
        return NotDelivered(redact(f"Slack did not take the message for {self._channel}: {code or status}.{hint}"))


def _seconds(text: Any) -> float:
    try:
        return max(1.0, float(text))
    except (TypeError, ValueError):
        return 30.0


def headline(alerts: Sequence[Alert]) -> str:
    if len(alerts) == 1:
        return _cut(alerts[0].title, LONGEST_HEADER)
    return _cut(f"{alerts[0].source}: {len(alerts)} {_PLURAL[alerts[0].kind]}", LONGEST_HEADER)


def message_blocks(alerts: Sequence[Alert], ui_url: str | None) -> list[dict[str, Any]]:
    """A header, a section for each alert up to a number, and how many more there are."""
    shown = alerts[:_MOST_SHOWN]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": headline(alerts), "emoji": False}},
        *({"type": "section", "text": _markdown(_section(one, ui_url, with_title=len(alerts) > 1))} for one in shown),
    ]
    if len(alerts) > len(shown):
        blocks.append({"type": "context", "elements": [_markdown(f"and {len(alerts) - len(shown)} more")]})
    return blocks


def _markdown(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def _section(alert: Alert, ui_url: str | None, with_title: bool) -> str:
    title = f"*{_escaped(alert.title)}*\n" if with_title or len(alert.title) > LONGEST_HEADER else ""
    ending = [f"file `{_code(alert.file)}`"] if alert.file else []
    if alert.run_id:
        url = run_url(ui_url, alert.run_id)
        ending.append(f"run <{_escaped(url)}|{alert.run_id[:8]}>" if url else f"run `{_code(alert.run_id)}`")
    ending += [f"`{_code(command)}`" for command in alert.commands]
    tail = "\n".join(ending)
    often = f" ({alert.count} times)" if alert.count > 1 and alert.kind != AlertKind.QUARANTINE else ""
    room = max(_SHORTEST_SHOWN, LONGEST_TEXT - len(title) - len(often) - len(tail) - 1)
    text = _cut_escaped(_escaped(redact(alert.text)), room) + often
    return _cut_escaped(f"{title}{text}\n{tail}".strip(), LONGEST_TEXT)


def _escaped(text: str) -> str:
    """As Slack wants it: three characters escaped, so that no text is taken for a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _code(text: str) -> str:
    return _cut_escaped(_escaped(text.replace("`", "'").replace("\n", " ")), _LONGEST_CODE)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _cut_escaped(text: str, most: int) -> str:
    """Cut, but not within an escaped character."""
    if len(text) <= most:
        return text
    head = text[: most - 1]
    start = head.rfind("&")
    if start >= len(head) - 5 and ";" not in head[start:]:
        head = head[:start]
    return head + "…"
