"""Secrets are planted wherever the platform takes one; drains fail in several ways; nothing that was written has them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from resources.caris_host.config import CarisSettings
from resources.platform import Platform
from resources.settings import Settings
from tests.conftest import Put
from tests.crash.sessions import own_environment
from tests.erasure.traces import traces
from tests.log_lines import ROOT
from tests.running import toy

CANARY = "canary0f1e2d"
AWS = {
    "AWS_ACCESS_KEY_ID": f"{CANARY}akid",
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}/secret+key",
    "AWS_SESSION_TOKEN": f"{CANARY}token",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


def secret_fields() -> set[str]:
    return {
        name
        for name, field in {**Settings.model_fields, **CarisSettings.model_fields}.items()
        if field.annotation is SecretStr or SecretStr in get_args(field.annotation)
    }


def test_every_secret_setting_is_planted_here() -> None:
    assert secret_fields() == {"api_token", "ledger_url", "serving_url", "serving_reader_url", "slack_token"}, (
        "plant a canary in the new setting below"
    )
    addresses = {name for name in Settings.model_fields if name.endswith(("_url", "_endpoint"))}
    assert addresses == {
        "ledger_url",
        "queue_url",
        "s3_endpoint",
        "serving_url",
        "serving_reader_url",
        "slack_url",
        "ui_url",
    }, (  # fmt: skip
        "plant a canary in the new address below"
    )


def drain(platform: Platform, told: list[str], **settings: str) -> int:
    base = {
        "STRANDLINE_HOME": str(platform.settings.home),
        "STRANDLINE_WORKERS": "2",
        "STRANDLINE_SETTLE_SECONDS": "0.05",
        "STRANDLINE_FILE_TIMEOUT_SECONDS": "5",
        "STRANDLINE_LOG_LEVEL": "DEBUG",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "STRANDLINE_SERVING_URL": f"postgresql://someone:{CANARY}@127.0.0.1:1/rates",
        "STRANDLINE_SERVING_READER_URL": f"postgresql://reader:{CANARY}@127.0.0.1:1/rates",
        "STRANDLINE_API_TOKEN": f"{CANARY}-of-the-api",
        "STRANDLINE_SLACK_TOKEN": f"xoxb-{CANARY}",
        "STRANDLINE_SLACK_CHANNEL": "#nowhere",
        "STRANDLINE_SLACK_URL": "http://127.0.0.1:1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.toy_cli", "drain"], cwd=ROOT, capture_output=True, text=True, timeout=300,
        check=False, env={**own_environment(), **base, **AWS, **settings},
    )  # fmt: skip
    told += [done.stdout, done.stderr]
    return done.returncode


def with_password(url: str) -> str:
    """The server trusts whoever comes from this machine, whatever the password."""
    return make_url(url).set(password=CANARY).render_as_string(hide_password=False)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_canary_is_written_anywhere(platform: Platform, put: Put, postgresql: str, log_format: str) -> None:
    put("toy/good.csv", toy(1))
    put("toy/refused.csv", toy("no number"))
    put("toy/fault.csv", toy("fault"))
    put("toy/crash.csv", toy("crash"))
    told: list[str] = []
    every: dict[str, Any] = {"STRANDLINE_LOG_FORMAT": log_format}
    ledger = with_password(postgresql)
    down = f"postgresql://someone:{CANARY}@127.0.0.1:1/strandline"
    bucket = {"STRANDLINE_LANDING": "s3://nowhere", "STRANDLINE_S3_ENDPOINT": "http://127.0.0.1:1"}
    queue = {**bucket, "STRANDLINE_QUEUE_URL": "http://127.0.0.1:1/queue"}
    serving = {"STRANDLINE_SERVING_URL": down}
    wrong = f"http://someone:{CANARY}@127.0.0.1:1"
    namespaced = {"STRANDLINE_NAMESPACE": f"canaries_{log_format}"}
    codes = {
        "files that fail": drain(platform, told, **every, **namespaced, STRANDLINE_LEDGER_URL=ledger),
        "a ledger that is down": drain(platform, told, **every, STRANDLINE_LEDGER_URL=down),
        "a bucket that is down": drain(platform, told, **every, **queue),
        "a wrong endpoint": drain(platform, told, **every, **bucket | {"STRANDLINE_S3_ENDPOINT": wrong}),
        "a wrong queue": drain(platform, told, **every, **queue | {"STRANDLINE_QUEUE_URL": wrong}),
        "a wrong Slack": drain(platform, told, **every, STRANDLINE_SLACK_URL=wrong),
        "a wrong UI": drain(platform, told, **every, STRANDLINE_UI_URL=wrong),
        "a wrong ledger": drain(platform, told, **every, STRANDLINE_LEDGER_URL=f"mysql://x:{CANARY}@h/d"),
        "a wrong token of the API": drain(platform, told, **every, STRANDLINE_API_TOKEN=f"{CANARY} with spaces"),
        "a wrong serving database": drain(platform, told, **every, STRANDLINE_SERVING_URL=f"mysql://x:{CANARY}@h/d"),
        "a wrong reader of it": drain(
            platform, told, **every, **serving | {"STRANDLINE_SERVING_READER_URL": f"postgresql://x:a@{CANARY}@h/d"}
        ),
        "a CARIS host with a password": drain(
            platform, told, **every, STRANDLINE_CARIS_HOST=f"ssh://someone:{CANARY}/with@slash@127.0.0.1"
        ),
        "two at signs": drain(platform, told, **every, STRANDLINE_LEDGER_URL=f"postgresql://x:a@{CANARY}@h/d"),
    }
    assert codes == {
        "files that fail": 3, "a ledger that is down": 1, "a bucket that is down": 1, "a wrong endpoint": 2,
        "a wrong queue": 2, "a wrong Slack": 2, "a wrong UI": 2, "a wrong ledger": 2, "a wrong serving database": 2,
        "a wrong reader of it": 2, "a wrong token of the API": 2, "a CARIS host with a password": 2, "two at signs": 2,
    }  # fmt: skip
    assert all(CANARY not in text for text in told), "\n".join(text for text in told if CANARY in text)
    home = platform.settings.home
    assert any("toy/fault.csv" in place for place in traces(home / "lake" / "..", ["toy/fault.csv"])), (
        "it looks nowhere"
    )
    assert traces(home, [CANARY]) == []
    _assert_not_in_ledger(Settings(ledger_url=SecretStr(ledger), namespace=f"canaries_{log_format}"))


def _assert_not_in_ledger(settings: Settings) -> None:
    ledger = Platform(settings).ledger
    from resources.ledger.tables import metadata

    with ledger.read() as connection:
        rows = {table.name: connection.execute(table.select()).all() for table in metadata.sorted_tables}
    ledger.close()
    assert len(rows["files"]) == 4
    assert len(rows["quarantine"]) == 3
    assert CANARY not in repr(rows)
