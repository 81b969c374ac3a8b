"""A server on this machine that answers chat.postMessage as Slack's API does, limits included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from tests.local_server import serving

TOKEN = "xoxb-canary-0123456789-do-not-show"
CHANNEL = "C0ALERTS"


@dataclass
class Slack:
    """What was posted, and how the next requests are to be answered."""

    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    answers: list[tuple[int, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    """(status, body, headers) of the next answers; when there is none, messages are taken or refused by their merit"""

    def fail(self, error: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.answers.append((status, {"ok": False, "error": error}, headers or {}))

    @property
    def texts(self) -> list[str]:
        """All that each message shows."""
        return ["\n".join(texts_of(message)) for message in self.messages]


def texts_of(message: dict[str, Any]) -> list[str]:
    found = [message["text"]]
    for block in message["blocks"]:
        found += [one["text"] for one in (block.get("text"), *block.get("elements", ())) if one]
    return found


def refusal_of(message: dict[str, Any]) -> str | None:
    """Slack's own word for what is wrong with a message."""
    blocks = message.get("blocks", [])
    if message.get("channel") != CHANNEL:
        return "channel_not_found"
    if not message.get("text") and not blocks:
        return "no_text"
    if not 1 <= len(blocks) <= 50:
        return "invalid_blocks"
    for block in blocks:
        texts = [one for one in (block.get("text"), *block.get("elements", ())) if one]
        most = 150 if block["type"] == "header" else 3000
        if block["type"] not in {"header", "section", "context"} or not texts:
            return "invalid_blocks"
        if any(not 1 <= len(one["text"]) <= most for one in texts):
            return "invalid_blocks"
        if block["type"] == "header" and texts[0]["type"] != "plain_text":
            return "invalid_blocks"
    return None


@contextmanager
def slack_server() -> Iterator[Slack]:
    slack = Slack()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            slack.requests += 1
            if slack.answers:
                self._answer(*slack.answers.pop(0))
                return
            if self.path != "/api/chat.postMessage":
                self._answer(200, {"ok": False, "error": "unknown_method"}, {})
                return
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._answer(200, {"ok": False, "error": "invalid_auth"}, {})
                return
            if "json" in (self.headers.get("Content-Type") or ""):
                message = json.loads(body)
            else:
                message = {name: values[0] for name, values in parse_qs(body).items()}
                message["blocks"] = json.loads(message.get("blocks", "[]"))
            error = refusal_of(message)
            if error is not None:
                self._answer(200, {"ok": False, "error": error}, {})
                return
            slack.messages.append(message)
            self._answer(200, {"ok": True, "channel": CHANNEL, "ts": f"{len(slack.messages)}.0"}, {})

        def _answer(self, status: int, answer: dict[str, Any], headers: dict[str, str]) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(Handler) as address:
        slack.url = f"{address}/api"
        yield slack
