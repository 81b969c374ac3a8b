"""Settings come from the environment, are typed, and their errors name the variable."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from pipeline_assets.ecg.config import EcgConfig
from resources.platform import Platform
from resources.settings import Settings, SettingsError, load_source_config


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.load()
    assert settings.home == tmp_path / ".strandline"
    assert settings.landing_folder == settings.home / "landing"
    assert settings.lake_folder == settings.home / "lake"
    assert settings.dagster_home == settings.home / "dagster"
    assert settings.ledger_address == f"sqlite:///{settings.home}/ledger.db"
    assert settings.table_prefix == ""


def test_values_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "HOME": str(tmp_path / "h"), "LANDING": str(tmp_path / "l"), "WORKERS": "3", "SETTLE_SECONDS": "0.5",
        "BATCH_MAX_FILES": "7",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"STRANDLINE_{name}", value)
    settings = Settings.load()
    assert (settings.home, settings.landing_folder) == (tmp_path / "h", tmp_path / "l")
    assert (settings.workers, settings.settle_seconds, settings.batch_max_files) == (3, 0.5, 7)


def test_relative_paths_do_not_move_with_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRANDLINE_HOME", "state")
    monkeypatch.setenv("STRANDLINE_LANDING", "~/landing")
    settings = Settings.load()
    assert settings.home == tmp_path / "state"
    assert settings.landing_folder == Path.home() / "landing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKERS", "many"),
        ("WORKERS", "0"),
        ("FILE_MEMORY_MB", "10"),
        ("SETTLE_SECONDS", "-1"),
        ("BATCH_MAX_FILES", "1.5"),
        ("LEASE_SECONDS", "1"),
        ("NAMESPACE", "Feature/7"),
        ("NAMESPACE", ""),
        ("TICK_BUDGET_SECONDS", "60"),
        ("LANDING", "/data/100%"),
        ("HOME", "/data/what?"),
    ],
)
def test_errors_name_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"STRANDLINE_{name}", value)
    with pytest.raises(SettingsError) as error:
        Settings.load()
    assert f"\n  STRANDLINE_{name}=" in str(error.value)
    assert "Correct or unset these environment variables" in str(error.value)


def test_all_errors_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_WORKERS", "0")
    monkeypatch.setenv("STRANDLINE_NAMESPACE", "NO")
    with pytest.raises(SettingsError, match=r"STRANDLINE_NAMESPACE='NO'[\s\S]*STRANDLINE_WORKERS='0'"):
        Settings.load()


def test_a_namespace_has_a_ledger_and_tables_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path))
    monkeypatch.setenv("STRANDLINE_NAMESPACE", "feature_7")
    settings = Settings.load()
    assert settings.ledger_address.endswith("/feature_7.ledger.db")
    assert settings.table_prefix == "feature_7__"
    assert settings.landing_folder == tmp_path / "landing", "the landing store is shared"
    assert Platform(settings).lake.table_prefix == "feature_7__"


def test_loading_touches_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path / "nowhere"))
    platform = Platform.from_environment()
    assert platform.landing.root
    assert platform.ledger.url
    assert platform.lake.folder
    platform.close()
    assert not (tmp_path / "nowhere").exists()


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = "x"
    maybe: str | None = None
    rate_hz: float = Field(360.0, gt=0)
    names: tuple[str, ...] = ("a",)


def test_a_source_is_configured_by_its_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_source_config(Config, "toy") == Config()
    monkeypatch.setenv("STRANDLINE_TOY_NAME", "5")
    monkeypatch.setenv("STRANDLINE_TOY_MAYBE", "17")
    monkeypatch.setenv("STRANDLINE_TOY_RATE_HZ", "250")
    monkeypatch.setenv("STRANDLINE_TOY_NAMES", '["b", "c"]')
    monkeypatch.setenv("STRANDLINE_OTHER_NAME", "other")
    assert load_source_config(Config, "toy") == Config(name="5", maybe="17", rate_hz=250, names=("b", "c"))


def test_errors_of_a_source_s_configuration_name_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_TOY_RATE_HZ", "-1")
    monkeypatch.setenv("STRANDLINE_TOY_NAMES", "no json")
    with pytest.raises(SettingsError, match=r"STRANDLINE_TOY_RATE_HZ='-1': [\s\S]*STRANDLINE_TOY_NAMES='no json': "):
        load_source_config(Config, "toy")


def test_the_ecg_source_takes_plain_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_ECG_LEADS", "MLII, V5")
    monkeypatch.setenv("STRANDLINE_ECG_SAMPLES", "none")
    config = load_source_config(EcgConfig, "ecg")
    assert config.leads == ("MLII", "V5")
    assert config.samples is None
