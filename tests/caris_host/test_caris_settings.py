"""Settings of the CARIS host: typed, documented, and their errors name the variable and show no password."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from resources.caris_host.config import Local, Ssh, Ssm, load_caris_settings
from resources.caris_host.opening import make_host
from resources.platform import Platform
from resources.settings import Settings, SettingsError
from sensors.run_limits import keep_run_limits

SSM = {"HOST": "ssm:i-0123456789abcdef0", "WORK_FOLDER": "D:\\strandline", "BUCKET": "s3://surveys/by-way"}
SSH = {"HOST": "ssh://DOMAIN\\surveyor@caris.example.org:2222", "WORK_FOLDER": "D:\\strandline\\"}


def with_settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"STRANDLINE_CARIS_{name}", value)


def test_no_host_is_set(settings: Settings) -> None:
    platform = Platform(settings)
    assert platform.caris.host is None
    assert platform.caris_host is None


def test_the_three_kinds_of_host(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    with_settings(monkeypatch, HOST="local:")
    assert load_caris_settings().host == Local()
    with_settings(monkeypatch, **SSM)
    found = load_caris_settings()
    assert (found.host, found.started_instance) == (Ssm("i-0123456789abcdef0"), "i-0123456789abcdef0")
    assert str(found.bucket) == "s3://surveys/by-way"
    with_settings(monkeypatch, **SSH, INSTANCE="i-0123456789abcdef1", SEATS="3")
    found = load_caris_settings()
    assert (found.host, found.started_instance) == (
        Ssh("DOMAIN\\surveyor", "caris.example.org", 2222),
        "i-0123456789abcdef1",
    )
    assert (found.work_folder, found.is_windows, found.seats) == ("D:\\strandline", True, 3)
    assert str(make_host(found, settings, lambda: Platform(settings).ledger)) == "DOMAIN\\surveyor@caris.example.org"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"HOST": "caris.example.org"}, r"_HOST=.*local:, ssh://USER@HOST"),
        ({"HOST": "ssh://caris.example.org"}, r"_HOST=.*ssh://USER@HOST"),
        ({"HOST": "ssh://-oProxyCommand=x@h;y"}, r"_HOST=.*ssh://USER@HOST"),
        ({"HOST": "ssh://a@b:99999"}, r"_HOST=.*ssh://USER@HOST"),
        ({"HOST": "ssm:caris"}, r"_HOST=.*i-0123456789abcdef0"),
        ({**SSM, "WORK_FOLDER": "/srv/x"}, r"_WORK_FOLDER=.*runs Windows"),
        ({"HOST": "local:", "WORK_FOLDER": "D:\\x"}, r"_WORK_FOLDER=.*this machine"),
        ({**SSM, "WORK_FOLDER": "D:\\a b\\$(x)"}, r"_WORK_FOLDER=.*whole path"),
        ({**SSM, "WORK_FOLDER": "D:\\a\\..\\b"}, r"_WORK_FOLDER=.*whole path"),
        ({"HOST": SSH["HOST"]}, r"_WORK_FOLDER=.*folder of the host's own"),
        ({"HOST": SSM["HOST"], "WORK_FOLDER": "D:\\x"}, r"_BUCKET=.*s3://BUCKET"),
        ({**SSM, "INSTANCE": "i-0123456789abcdef1"}, r"_INSTANCE=.*name the same instance"),
        ({**SSH, "INSTANCE": "caris"}, r"_INSTANCE=.*id of an EC2 instance"),
        ({"HOST": "local:", "SEATS": "0"}, r"_SEATS='0'"),
        ({"HOST": "local:", "STOP": "perhaps"}, r"_STOP='perhaps'"),
        ({"HOST": "local:", "PROGRAM": 'a"b'}, r"_PROGRAM=.*without quotation marks"),
    ],
)
def test_wrong_ones_are_named(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], says: str) -> None:
    with_settings(monkeypatch, **values)
    with pytest.raises(SettingsError, match=f"STRANDLINE_CARIS{says}"):
        load_caris_settings()


@pytest.mark.parametrize("password", ["canary", "can/ary", "can@ary", "can:ary", "c#n?ary"])
def test_a_password_in_the_address_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    with_settings(monkeypatch, **{**SSH, "HOST": f"ssh://surveyor:{password}@caris.example.org"})
    with pytest.raises(SettingsError, match="STRANDLINE_CARIS_SSH_KEY") as raised:
        load_caris_settings()
    assert password not in str(raised.value)
    assert "ary" not in str(raised.value)


def test_the_user_s_home_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_caris_settings().known_hosts == tmp_path / ".ssh/known_hosts"


def test_the_seats_are_a_pool_of_dagster(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    def limits(instance: dg.DagsterInstance) -> dict[str, int]:
        keep_run_limits(instance, settings, [])
        return {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert limits(instance) == {}
        with_settings(monkeypatch, HOST="local:", SEATS="3")
        assert limits(instance) == {"caris_licence": 3}
        with_settings(monkeypatch, SEATS="2")
        assert limits(instance) == {"caris_licence": 2}
        monkeypatch.delenv("STRANDLINE_CARIS_HOST")
        assert limits(instance) == {}
