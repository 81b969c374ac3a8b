"""A fresh copy of the repository, for tests that edit it, and commands in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_NOT_COPIED = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "bench", "node_modules")


class Checkout:
    """A copy with a home of its own; `strandline` is its own command there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        shutil.copytree(ROOT, self.root, ignore=_NOT_COPIED)
        commands = folder / "bin"
        commands.mkdir()
        shim = commands / "strandline"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli.main "$@"\n')
        shim.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("STRANDLINE_", "DAGSTER_"))}
        self.environment = {
            **kept,
            "PATH": f"{commands}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root),
            "STRANDLINE_HOME": str(folder / "home"),
            "STRANDLINE_WORKERS": "1",
            "STRANDLINE_SETTLE_SECONDS": "0.05",
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "COLUMNS": "120",
            "STRANDLINE_LOG_LEVEL": "ERROR",  # else lines with times stand between the answers
        }

    def sh(self, script: str) -> str:
        """What a script printed, on both outputs. Asserts that it ended well."""
        done = subprocess.run(
            ["bash", "-ec", script], cwd=self.root, env=self.environment, text=True, timeout=240, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    def python(self, code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self.root, env=self.environment, text=True, timeout=240, check=False,
            capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout
