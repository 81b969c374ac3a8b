"""Opening the host through the platform, as the engine does; and what is left when a client is killed in the middle."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from resources.caris_host.host import HostNotReady, HostUnavailable
from resources.caris_host.paths import folder_name
from resources.ledger.database import utc_now
from resources.ledger.tables import leases
from resources.platform import Platform
from resources.settings import Settings
from tests.caris_host.conftest import grows, install, stands_still, wait_for
from tests.crash.sessions import own_environment
from tests.log_lines import ROOT

WORKS = """
from resources.platform import Platform
platform = Platform.from_environment()
with platform.caris_host.open("Survey 7") as folder:
    folder.run([platform.caris.program, "write", "before", "x"], seconds=60, quiet_seconds=60, say=print)
    folder.run([platform.caris.program, "silent"], seconds=60, quiet_seconds=60, say=print)
"""


@pytest.fixture
def environment(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    program = install(tmp_path / "carisbatch")
    values = {
        "STRANDLINE_HOME": str(settings.home), "STRANDLINE_CARIS_HOST": "local:", "STRANDLINE_CARIS_WAIT_SECONDS": "0",
        "STRANDLINE_CARIS_PROGRAM": str(program), "STRANDLINE_CARIS_SEATS": "1",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def leases_of(platform: Platform) -> list[str]:
    with platform.ledger.read() as connection:
        return list(connection.scalars(select(leases.c.name)))


def test_open_work_and_close(platform: Platform, environment: dict[str, str]) -> None:
    host = platform.caris_host
    assert host is not None
    with host.open("survey-7") as folder:
        assert folder.path == f"{platform.settings.home}/caris/survey-7/"
        assert len(leases_of(platform)) == 3
        assert folder.run([platform.caris.program, "both"], seconds=9, quiet_seconds=9, say=print).exit_code == 0
        with pytest.raises(HostUnavailable, match="all 1 seats"), host.open("survey-8"):
            pass
    assert leases_of(platform) == []
    assert not host.stop_if_idle(), "there is no instance"


def test_the_host_is_proved_before_a_survey(
    platform: Platform, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def open_with(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"STRANDLINE_CARIS_{name}", value)
        host = Platform(platform.settings).caris_host
        assert host is not None
        with host.open("survey-7"):
            pass

    surface = tmp_path / "small.csar"
    surface.write_text("a surface")
    open_with(LICENCE_SURFACE=str(surface))
    with pytest.raises(HostUnavailable, match=r"STRANDLINE_CARIS_LICENCE_SURFACE.*Error: no licence"):
        open_with(LICENCE_SURFACE=str(tmp_path / "not-there.csar"))
    with pytest.raises(HostNotReady, match=r"there is no program nothing.*STRANDLINE_CARIS_PROGRAM"):
        open_with(PROGRAM="nothing")
    with pytest.raises(HostNotReady, match=r"false --version on this machine ended with exit code 1.*Is it carisbatch"):
        open_with(PROGRAM="false")
    assert leases_of(platform) == []


def test_a_client_killed_in_a_step(platform: Platform, environment: dict[str, str]) -> None:
    """kill -9, as on another machine: its leases keep others out until they end; then what it left running is ended, and the
    step can be done again alone."""
    folder = begun(environment, platform.settings.home)
    host = platform.caris_host
    assert host is not None
    assert len(leases_of(platform)) == 3
    # On this machine it would be seen to be dead at once.
    with platform.ledger.write() as connection:
        connection.execute(update(leases).values(process="elsewhere/1/1"))
    with pytest.raises(HostUnavailable, match=r"process 1 on elsewhere"), host.open("Survey 7"):
        pass
    assert grows(folder / "ticks"), "who may not work on it leaves it alone"
    with platform.ledger.write() as connection:
        connection.execute(update(leases).values(expires_at=utc_now() - timedelta(seconds=1)))
    with host.open("Survey 7") as opened:
        assert stands_still(folder / "ticks")
        assert [file.path for file in opened.outputs(["before"])] == ["before"], "what was done is kept"
        assert opened.run([platform.caris.program, "both"], seconds=9, quiet_seconds=9, say=print).exit_code == 0
    assert leases_of(platform) == []
    assert list((folder / ".strandline/running").iterdir()) == []


def begun(environment: dict[str, str], home: Path) -> Path:
    """A client that is killed in the middle of a step; its work folder."""
    client = subprocess.Popen([sys.executable, "-c", WORKS], cwd=ROOT, env={**own_environment(), **environment})
    folder = home / "caris" / folder_name("Survey 7")
    try:
        wait_for(folder / "ticks")
    finally:
        client.kill()
        client.wait(30)
    return folder
