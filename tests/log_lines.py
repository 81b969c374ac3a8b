"""Running commands and reading the log lines that they write."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from resources.platform import Platform
from tests.crash.sessions import own_environment

ROOT = Path(__file__).parents[1]
SECRET = "pa$s-w0rd/9"
ESCAPED = "pa%24s-w0rd%2F9"
LEDGER_URL = f"postgresql://reader:{ESCAPED}@127.0.0.1:1/strandline"
"""Nothing listens at port 1."""


def environment(platform: Platform, **settings: str) -> dict[str, str]:
    base = {
        "STRANDLINE_HOME": str(platform.settings.home),
        "STRANDLINE_SETTLE_SECONDS": "0.05",
        "STRANDLINE_WORKERS": "2",
    }
    return own_environment() | base | {f"STRANDLINE_{name}": value for name, value in settings.items()}


def strandline(platform: Platform, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.toy_cli", *arguments],
        cwd=ROOT, env=environment(platform, **settings), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def lines_of(stderr: str) -> list[dict[str, Any]]:
    """Every line parsed; a line that is no JSON object fails the test."""
    lines = []
    for text in stderr.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            pytest.fail(f"no JSON: {text!r} in\n{stderr}")
        assert {"time", "level", "logger", "message"} <= line.keys(), line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        lines.append(line)
    return lines


def only(lines: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    found = [line for line in lines if fields.items() <= line.items()]
    assert len(found) == 1, (fields, found)
    return found[0]
