"""Dagster's instance of a new home."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cli import instance
from cli.instance import renew_config, use_dagster_home
from resources.settings import Settings
from tests.log_lines import ROOT

OPEN = """
from pathlib import Path
from cli.instance import make_databases
from resources.settings import Settings
make_databases(Settings(home=Path("home")))
from dagster import DagsterInstance
with DagsterInstance.get() as instance:
    instance.add_dynamic_partitions("toy_batches", ["one"])
    assert instance.get_runs_count() == 0
"""


def test_processes_that_begin_a_home_at_once_do_not_spoil_it(tmp_path: Path) -> None:
    begun = [
        subprocess.Popen([sys.executable, "-c", OPEN], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    errors = [process.communicate()[1] for process in begun]
    assert [process.returncode for process in begun] == [0, 0, 0, 0], errors


SHIPPED = ROOT / "deploy/local/dagster.yaml"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DAGSTER_HOME", "")  # so that what is set there is taken back
    return Settings(home=tmp_path / "home")


def renew(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is in the home's dagster.yaml after a start of `strandline dev`."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    renew_config(settings)
    return (settings.dagster_home / "dagster.yaml").read_text()


def test_a_new_home_says_what_the_settings_say(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    use_dagster_home(settings.model_copy(update={"max_runs": 7}))
    made = yaml.safe_load((settings.dagster_home / "dagster.yaml").read_text())
    shipped = yaml.safe_load(SHIPPED.read_text())
    assert made["concurrency"]["runs"] == {"max_concurrent_runs": 7}
    assert {**made, "concurrency": None} == {**shipped, "concurrency": None}
    assert shipped["concurrency"]["runs"]["max_concurrent_runs"] == Settings.model_fields["max_runs"].default


def test_a_file_that_nobody_edited_follows_version_and_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert renew(settings, monkeypatch) == SHIPPED.read_text()
    assert capsys.readouterr().err == ""
    assert "max_concurrent_runs: 3" in renew(settings.model_copy(update={"max_runs": 3}), monkeypatch)
    assert "dagster.yaml was renewed for this version and its settings" in capsys.readouterr().err
    newer = tmp_path / "newer.yaml"
    newer.write_text(SHIPPED.read_text() + "# of a later version\n")
    monkeypatch.setattr(instance, "_TEMPLATE", newer)
    assert renew(settings, monkeypatch) == newer.read_text()


def test_a_file_copied_by_hand_is_one_that_nobody_edited(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.dagster_home.mkdir(parents=True)
    (settings.dagster_home / "dagster.yaml").write_text(SHIPPED.read_text())
    assert "max_concurrent_runs: 5" in renew(settings.model_copy(update={"max_runs": 5}), monkeypatch)


def test_a_home_of_an_earlier_version_is_renewed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.dagster_home.mkdir(parents=True)
    earlier = "telemetry: {enabled: false}\n"
    (settings.dagster_home / "dagster.yaml").write_text(earlier)
    monkeypatch.setattr(instance, "_EARLIER", frozenset({instance._hash(earlier)}))
    assert renew(settings, monkeypatch) == SHIPPED.read_text()


def test_an_edited_file_is_left_alone_and_what_it_lacks_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edited = renew(settings, monkeypatch).replace("poll_interval_seconds: 30", "poll_interval_seconds: 10")
    (settings.dagster_home / "dagster.yaml").write_text(edited)
    assert renew(settings, monkeypatch) == edited
    assert capsys.readouterr().err == "", "nothing has changed since it was made"
    for _ in range(2):
        assert renew(settings.model_copy(update={"max_runs": 3}), monkeypatch) == edited
        said = capsys.readouterr().err
        assert f"{settings.dagster_home / 'dagster.yaml'} was edited and is left as it is" in said
        assert str(SHIPPED) in said


def test_an_instance_chosen_from_outside_is_not_touched(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    renew_config(settings)
    assert list(tmp_path.iterdir()) == []
