"""Where files land, as the environment says it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.land import land_files
from cli.main import main
from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.ecg.source import ECG
from pipeline_assets.operations.check import check
from pipeline_assets.operations.reconcile import reconcile
from resources.landing.folder import FolderStore
from resources.landing.s3 import S3Store
from resources.platform import Platform
from resources.settings import S3Address, Settings, SettingsError
from tests.running import look_and_run, toy, visible
from tests.toy_source import TOY


def test_a_bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path))
    monkeypatch.setenv("STRANDLINE_LANDING", "s3://incoming.files/hospital a/ward/")
    monkeypatch.setenv("STRANDLINE_S3_ENDPOINT", "http://127.0.0.1:9000/")
    monkeypatch.setenv("STRANDLINE_LANDING_READ_ONLY", "1")
    monkeypatch.setenv("STRANDLINE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/q")
    settings = Settings.load()
    assert settings.landing == S3Address("incoming.files", "hospital a/ward/")
    assert settings.landing_folder is None
    platform = Platform(settings)
    assert isinstance(platform.landing, S3Store)
    assert platform.landing.name == "s3://incoming.files/hospital a/ward"
    assert platform.landing.uri("toy/a") == "s3://incoming.files/hospital a/ward/toy/a"
    assert platform.landing.endpoint == "http://127.0.0.1:9000"
    assert platform.landing.read_only
    assert platform.queue is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "prefix"), [("s3://abc", ""), ("s3://abc/", ""), ("s3://abc/d/e", "d/e/")])
def test_prefixes(text: str, prefix: str) -> None:
    assert S3Address.parse(text) == S3Address("abc", prefix)


def test_a_folder_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path))
    landing = Platform(Settings.load()).landing
    assert isinstance(landing, FolderStore)
    assert (landing.root, landing.must_exist, landing.read_only) == (tmp_path / "landing", False, False)
    monkeypatch.setenv("STRANDLINE_LANDING", str(tmp_path / "chosen"))
    landing = Platform(Settings.load()).landing
    assert isinstance(landing, FolderStore)
    assert (landing.root, landing.must_exist) == (tmp_path / "chosen", True)


def test_a_source_may_have_a_folder_of_another_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Only while settings are read: readers' fork server, if this test is the first to need it, would keep them for others.
    with monkeypatch.context() as environment:
        environment.setenv("STRANDLINE_HOME", str(tmp_path / "home"))
        environment.setenv("STRANDLINE_FOLDERS", "toy=app-1/exports/, ecg=wards")
        settings = Settings.load()
    assert (settings.prefix_of("toy"), settings.prefix_of("ecg"), settings.prefix_of("ocean")) == (
        "app-1/exports/", "wards/", "ocean/",
    )  # fmt: skip
    platform = Platform(settings)
    file = tmp_path / "a"
    file.write_text(toy(1.0, 2.0))
    (landed,) = land_files(platform.landing, TOY, [file], None, prefix=settings.prefix_of("toy"))
    assert landed.key == "app-1/exports/a"
    (tmp_path / "home/landing/toy").mkdir()
    (tmp_path / "home/landing/toy/b").write_text(toy(3.0))
    look_and_run(platform)
    assert visible(platform) == {"app-1/exports/a": [1.0, 2.0]}
    assert check(platform, TOY).keys == 1
    assert reconcile(platform, TOY).balanced
    platform.close()


@pytest.mark.parametrize(
    ("folders", "why"),
    [
        ("toy=ecg/ward-7", "the folder 'ecg/ward-7/' of toy is in the folder 'ecg/' of ecg"),
        ("toy=wards,ecg=wards", "the folder 'wards/' of"),
        ("tow=wards", "STRANDLINE_FOLDERS names no source: tow"),
    ],
)
def test_no_file_is_of_two_sources(folders: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_FOLDERS", folders)
    platform = Platform(Settings.load().model_copy(update={"home": tmp_path}))
    with pytest.raises(SettingsError, match=why):
        build_defs(Overrides(sources=(ECG, TOY), platform=platform))


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("FOLDERS", "toy", "expected SOURCE=FOLDER, several"),
        ("FOLDERS", "toy=", "is no folder; expected one such as app-1/exports"),
        ("FOLDERS", "toy=/a", "is no folder"),
        ("FOLDERS", "toy=a/../b", "is no folder"),
        ("LANDING", "s3://", "expected s3://BUCKET"),
        ("LANDING", "s3://a b/c", "expected s3://BUCKET"),
        ("LANDING", "gs://bucket", "expected s3://BUCKET"),
        ("LANDING", "s3://bucket/a//b", "no empty part"),
        ("LANDING", "s3://bucket/../b", "no empty part"),
        ("LANDING", "s3://bucket/" + "x" * 250, "at most 255 bytes"),
        ("S3_ENDPOINT", "127.0.0.1:9000", "begins with http"),
        ("S3_ENDPOINT", "http://", "begins with http"),
        ("QUEUE_URL", "arn:aws:sqs:eu-west-1:1:q", "begins with http"),
        ("QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/q", "set STRANDLINE_LANDING to s3://BUCKET"),
        ("LANDING_READ_ONLY", "perhaps", "valid boolean"),
        ("LISTING_INTERVAL_SECONDS", "-1", "greater than or equal to 0"),
    ],
)
def test_wrong_settings_are_named(name: str, value: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"STRANDLINE_{name}", value)
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert f"STRANDLINE_{name}=" in str(raised.value)
    assert why in str(raised.value)


def test_a_password_in_an_address_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_S3_ENDPOINT", "http://me:hunter2@127.0.0.1:9000")
    with pytest.raises(SettingsError, match=r"STRANDLINE_S3_ENDPOINT.*leave user and password out") as raised:
        Settings.load()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("landing", [None, "s3://not-ours"])
def test_land_refuses_where_nothing_is_ours_to_write(
    landing: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STRANDLINE_LANDING_READ_ONLY", "true")
    if landing:
        monkeypatch.setenv("STRANDLINE_LANDING", landing)
    file = tmp_path / "a.mat"
    file.write_bytes(b"1")
    result = CliRunner().invoke(main, ["land", "ecg", str(file)])
    assert result.exit_code == 2
    assert "STRANDLINE_LANDING_READ_ONLY is set" in result.stderr
    assert not (tmp_path / "home").exists()


def test_definitions_on_a_bucket_load_without_boto3_and_without_the_network(tmp_path: Path) -> None:
    code = """
import socket, sys
def refuse(*args): raise AssertionError("the network was touched")
socket.socket.connect = refuse
import pipeline_assets.definitions
assert not {"boto3", "botocore"} & set(sys.modules), "boto3 costs every process a third of a second"
"""
    environment = {
        "PATH": os.environ["PATH"],
        "STRANDLINE_HOME": str(tmp_path),
        "STRANDLINE_LANDING": "s3://nowhere",
        "STRANDLINE_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/q",
    }
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True, timeout=120)
    assert list(tmp_path.iterdir()) == []
