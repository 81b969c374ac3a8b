"""No password reaches a log line, a traceback or a run's event log."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg
import pytest

from resources.logs import redact
from resources.platform import Platform
from resources.settings import Settings, SettingsError
from tests.conftest import Put
from tests.log_lines import ESCAPED, LEDGER_URL, ROOT, SECRET, environment, lines_of, strandline
from tests.running import toy


def test_a_database_that_fails_shows_no_password(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    for log_format in ("json", "text"):
        done = strandline(platform, "drain", LOG_FORMAT=log_format, LEDGER_URL=LEDGER_URL, LOG_LEVEL="DEBUG")
        assert done.returncode == 1
        assert "OperationalError" in done.stderr, "the error itself is told"
        assert "127.0.0.1" in done.stderr
        for secret in (SECRET, ESCAPED, "w0rd"):
            assert secret not in done.stdout + done.stderr
        if log_format == "json":
            lines = lines_of(done.stderr)
            assert "Connection refused" in lines[-1]["exception"]


RAISES_WITH_ADDRESS = """
import logging, os
from resources.logs import configure_logs
from resources.settings import Settings
settings = Settings.load()
configure_logs(settings)
log = logging.getLogger("pipeline_assets.anything")
try:
    raise ConnectionError(f"cannot connect to {settings.ledger_address}")
except ConnectionError as error:
    log.exception("it failed: %s", error)
log.warning("secret %s", os.environ["AWS_SECRET_ACCESS_KEY"], extra={"headers": {"token": os.environ["AWS_SESSION_TOKEN"]}})
logging.getLogger("botocore").debug("secret %s", os.environ["AWS_SECRET_ACCESS_KEY"])
raise RuntimeError(settings.ledger_address)
"""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_exception_text_or_field_carries_a_secret(platform: Platform, log_format: str) -> None:
    aws = {"AWS_SECRET_ACCESS_KEY": "aws+Secret/Key", "AWS_SESSION_TOKEN": "aws-session"}
    variables = environment(platform, LOG_FORMAT=log_format, LEDGER_URL=LEDGER_URL, LOG_LEVEL="DEBUG") | aws
    done = subprocess.run(
        [sys.executable, "-c", RAISES_WITH_ADDRESS],
        cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "it failed" in done.stderr
    assert "RuntimeError" in done.stderr
    assert "botocore" not in done.stderr
    for secret in (SECRET, ESCAPED, "w0rd", *aws.values()):
        assert secret not in done.stderr, done.stderr
    if log_format == "json":
        assert len(lines_of(done.stderr)) == 3


@pytest.mark.usefixtures("json_logs")
def test_what_looks_like_a_password_is_hidden() -> None:
    assert redact(f"no {SECRET}, no {ESCAPED}") == "no ***, no ***"
    assert redact("at postgresql://u:some:thing@else@h/db") == "at postgresql://***@h/db"
    assert redact("dsn host=h password=abc dbname=d") == "dsn host=h password=*** dbname=d"
    assert redact("s3://bucket/a@b and https://host/x@y") == "s3://bucket/a@b and https://host/x@y"


@pytest.mark.usefixtures("json_logs")
def test_a_run_s_event_log_gets_no_secret_either() -> None:
    @dg.op
    def says(context):  # type: ignore[no-untyped-def]  # Dagster reads annotations, which are text here
        context.log.info(f"connecting to {LEDGER_URL}")

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.GraphDefinition(name="one", node_defs=[says]).to_job().execute_in_process(instance=instance)
        told = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert "connecting to ***" in told


def test_an_address_that_would_leak_a_part_of_its_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_LEDGER_URL", "postgresql://u:half@other-half@host/db")
    with pytest.raises(SettingsError, match="write an @ in user or password as %40") as error:
        Settings.load()
    assert "half" not in str(error.value)
