"""Surveys that land in a home of their own and are drained by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets import registry
from pipeline_assets.bathymetry.made_survey import MadeLine
from pipeline_assets.bathymetry.source import BATHYMETRY
from resources.platform import Platform
from resources.settings import Settings
from tests.running import rows_of


@dataclass
class Landed:
    """A home with surveys that landed, and commands on it."""

    survey: str
    home: Path
    folder: Path
    run: Callable[..., Any]
    made: list[MadeLine] = field(default_factory=list)
    not_made: list[str] = field(default_factory=list)

    @property
    def goldens(self) -> Path:
        """A folder of golden surfaces."""
        folder = self.folder / "goldens"
        folder.mkdir(exist_ok=True)
        return folder

    def land(self, survey: str, files: dict[str, bytes]) -> None:
        for name, data in files.items():
            path = self.folder / survey / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            self.run("land", "bathymetry", str(path), "--key", f"{survey}/{name}")

    def product(self, name: str, survey: str = "") -> Path:
        return self.home / "products" / "bathymetry" / (survey or self.survey) / name

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        platform = Platform(Settings(home=self.home))
        try:
            return rows_of(platform, query)
        finally:
            platform.close()


@contextmanager
def landing(folders: pytest.TempPathFactory, survey: str) -> Iterator[tuple[Landed, pytest.MonkeyPatch]]:
    """An empty home, and what sets variables for as long as it is there."""
    home = folders.mktemp("surveys") / "home"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HOME": home, "SETTLE_SECONDS": 0.05, "WORKERS": 1}.items():
            patch.setenv(f"STRANDLINE_{name}", str(value))
        patch.setattr(registry, "SOURCES", (BATHYMETRY,))
        patch.setattr(registry.get_source, "__defaults__", ((BATHYMETRY,),))

        def run(*arguments: str, code: int = 0) -> Any:
            done = CliRunner().invoke(main, arguments)
            assert done.exit_code == code, (done.output, done.exception)
            return json.loads(done.stdout) if "--json" in arguments else done.output

        yield Landed(survey, home, folders.mktemp("files"), run), patch
