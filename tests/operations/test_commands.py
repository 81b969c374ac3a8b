"""The commands as people type them, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from resources.platform import Platform
from tests.conftest import Put
from tests.running import look_and_run, toy

ROOT = Path(__file__).parents[2]


def command(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("STRANDLINE_", "DAGSTER_"))
    }
    environment["STRANDLINE_HOME"] = str(platform.settings.home)
    return subprocess.run(
        [sys.executable, "-m", "tests.toy_cli", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_status_maintain_and_backup(platform: Platform, put: Put, tmp_path: Path) -> None:
    for number in range(4):
        put(f"toy/{number}.csv", toy(number))
        look_and_run(platform, f"run-{number}")
    done = command(platform, "status", "--json")
    assert (done.returncode, json.loads(done.stdout)[0]["last_hour"]["files"]) == (0, 4), done.stderr
    assert "last hour 4 files" in command(platform, "status").stdout
    done = command(platform, "maintain")
    assert done.returncode == 0, done.stderr
    assert "toy: 8 small data files merged (8 → 2)" in done.stdout
    assert json.loads(command(platform, "maintain", "--source", "toy", "--json").stdout)[0]["merged"] == 0
    folder = tmp_path / "backup"
    done = command(platform, "backup", str(folder), "--json")
    assert (done.returncode, json.loads(done.stdout)["folder"]) == (0, str(folder)), done.stderr
    again = command(platform, "backup", str(folder))
    assert again.returncode != 0
    assert again.stderr.startswith(f"Error: {folder} is not empty.")
