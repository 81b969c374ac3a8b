"""Somebody at a shell of a deployment of the toy source: commands by the command line's own front door, in this process."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from resources.platform import Platform
from resources.settings import Settings
from tests.conftest import putter


class Shell:
    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.code: int | None = None
        self.environment: dict[str, str | None] = {
            "STRANDLINE_HOME": str(home),
            "STRANDLINE_SETTLE_SECONDS": "0.05",
            "STRANDLINE_WORKERS": "2",
            # A drain sets it; it must not outlive the command.
            "DAGSTER_HOME": None,
            **environment,
        }
        self.platform = Platform(Settings(home=home, settle_seconds=0.05, workers=2))

    def __call__(self, *arguments: str, code: int | None = None) -> str:
        """What a command shows, its error included; its exit code is in `code`. code: fail if it is another."""
        from cli.main import main

        result = CliRunner().invoke(main, arguments, env=self.environment)
        self.code = result.exit_code
        shown = result.output
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            shown += f"\n{type(result.exception).__name__}: {result.exception}"
        assert code is None or self.code == code, f"{arguments} ended with {self.code}, not {code}:\n{shown}"
        return shown

    def put(self, key: str, content: str) -> None:
        putter(self.platform.landing, self.home.parent)(key, content)  # type: ignore[arg-type]


def agrees(shell: Shell) -> str:
    """What the check of the balance says. Fails unless all agree and every file is settled."""
    return shell("reconcile", "--check", code=0)
