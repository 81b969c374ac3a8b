"""Telling Slack how a release goes: one message in the channel, which grows by a line at each step."""

from __future__ import annotations

import logging
import sys
from urllib.error import URLError

_TIMEOUT_SECONDS = 10
_MOST_LINES = 40
_LONGEST_LINE = 500


class Progress:
    """Says what happens on standard output, and in Slack where a token and a channel are given.

    Slack may be away: then that is said once, and the release goes on.
    """

    def __init__(
        self, title: str, token: str | None = None, channel: str | None = None, url: str | None = None
    ) -> None:
        self._title = title
        self._token = token
        self._channel = channel
        self._url = url or "https://slack.com/api"
        self._lines: list[str] = []
        self._posted: tuple[str, str] | None = None

    def __call__(self, line: str) -> None:
        print(line, flush=True)
        self._lines.append(line)
        if self._token and self._channel:
            self._tell(self._token, self._channel)

    def _tell(self, token: str, channel: str) -> None:
        from slack_sdk import WebClient
        from slack_sdk.errors import SlackApiError, SlackClientError

        # The SDK writes whole requests, with the token, at DEBUG.
        quiet = logging.Logger("slack_sdk", level=logging.CRITICAL)
        client = WebClient(token, base_url=f"{self._url}/", timeout=_TIMEOUT_SECONDS, logger=quiet, retry_handlers=[])
        try:
            if self._posted is None:
                answer = client.chat_postMessage(channel=channel, text=self._text(), unfurl_links=False)
                self._posted = (str(answer["channel"]), str(answer["ts"]))
            else:
                client.chat_update(channel=self._posted[0], ts=self._posted[1], text=self._text())
        except SlackApiError as error:
            data = error.response.data if isinstance(error.response.data, dict) else {}
            self._give_up(str(data.get("error", error.response.status_code)))
        except (SlackClientError, URLError, OSError, ValueError) as error:
            self._give_up(type(error).__name__)

    def _give_up(self, why: str) -> None:
        self._token = None
        print(f"Slack is not told of what follows: {why}", file=sys.stderr, flush=True)

    def _text(self) -> str:
        shown = [one if len(one) <= _LONGEST_LINE else one[:_LONGEST_LINE] + "…" for one in self._lines[-_MOST_LINES:]]
        return f"*{_escaped(self._title)}*\n" + "\n".join(map(_escaped, shown))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
