"""A shell of a deployment of the toy source, and what is outside of it that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets import registry
from pipeline_assets.source import FileSource
from tests.faults.test_faults import small_disk  # noqa: F401  # a fixture
from tests.landing.conftest import moto, moto_bucket  # noqa: F401  # fixtures
from tests.operations.shell import Shell
from tests.running import look_and_run, toy
from tests.toy_source import TOY


@pytest.fixture
def sources() -> tuple[FileSource, ...]:
    """What the deployment has; a test may ask for others."""
    return (TOY,)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: tuple[FileSource, ...]) -> Iterator[Shell]:
    import cli.doctor
    import cli.drain

    monkeypatch.setattr(registry, "SOURCES", sources)
    monkeypatch.setattr(registry.get_source, "__defaults__", (sources,))
    monkeypatch.setattr(cli.doctor, "SOURCES", sources)
    monkeypatch.setattr(cli.drain, "_WAIT_SECONDS", 0.05)
    made = Shell(tmp_path / "home")
    yield made
    made.platform.close()


@pytest.fixture
def drained_shell(shell: Shell) -> Shell:
    for number in range(4):
        shell.put(f"toy/{number}.csv", toy(number, 10 + number))
    look_and_run(shell.platform, "before")
    return shell


@pytest.fixture
def ephemeral() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made
