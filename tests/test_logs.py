"""Log lines as whoever runs the platform gets them: from real processes, on a pipe and on a terminal."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import select

from pipeline_assets.batch_run import BatchHeld
from pipeline_assets.heartbeat import Heartbeat
from resources.ledger.leases import acquire
from resources.ledger.tables import leases
from resources.logs import bound
from resources.platform import Platform
from tests.conftest import Put
from tests.crash.sessions import wait_until
from tests.log_lines import ROOT, environment, lines_of, only, strandline
from tests.running import look_and_run, next_batch, toy


def test_drain_logs_json_about_source_batch_run_and_file(platform: Platform, put: Put) -> None:
    put("toy/good", toy(1, 2))
    put("toy/bad", toy("bad"))
    put("toy/odd", toy("log"))
    done = strandline(platform, "drain", "--json", LOG_FORMAT="json")
    assert done.returncode == 3, done.stderr
    (answer,) = done.stdout.splitlines()
    assert json.loads(answer)["states"] == {"committed": 2, "quarantined": 1}
    lines = lines_of(done.stderr)
    assert {line["source"] for line in lines} == {"toy"}
    closing = only(lines, outcome="finished")
    assert {name: closing[name] for name in ("files", "committed", "refused", "gone", "rows")} == {
        "files": 3, "committed": 2, "refused": 1, "gone": 0, "rows": {"readings": 3, "files": 2}
    }  # fmt: skip
    assert closing["seconds"] > 0
    about = {name: closing[name] for name in ("source", "batch", "run")}
    refused = only(lines, error_class="not_a_number", **about)
    assert (refused["file"], refused["location"], refused["level"]) == ("toy/bad", "row 1", "WARNING")
    from_reader = only(lines, logger="some.library")
    assert (from_reader["message"], from_reader["file"]) == ("odd but readable", "toy/odd")
    assert about.items() <= from_reader.items()


def test_what_a_command_says_beside_its_answer_is_json_too(platform: Platform) -> None:
    done = strandline(platform, "drain", "--source", "nosuch", LOG_FORMAT="json")
    assert done.returncode == 2
    (line,) = lines_of(done.stderr)
    assert line["level"] == "ERROR"
    assert "There is no source 'nosuch'" in line["message"]
    (counted,) = lines_of(strandline(platform, "files", LOG_FORMAT="json").stderr)
    assert counted["message"] == "0 shown of 0 files"


def test_drain_on_a_pipe_is_text_unless_json_is_asked_for(platform: Platform, put: Put) -> None:
    put("toy/bad", toy("bad"))
    done = strandline(platform, "drain")
    assert re.search(r"^\d\d:\d\d:\d\d WARNING toy/bad is refused: not_a_number \(row 1\): ", done.stderr, re.M)
    assert re.search(r"^\d\d:\d\d:\d\d INFO    batch \S+: 0 of 1 files committed, 1 refused", done.stderr, re.M)
    assert "{" not in done.stderr
    quiet = strandline(platform, "drain", LOG_LEVEL="error")
    assert quiet.stderr == ""


def test_drain_on_a_terminal_is_text(platform: Platform, put: Put) -> None:
    put("toy/bad", toy("bad"))
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.toy_cli", "drain"],
        cwd=ROOT, env={**environment(platform), "TERM": "xterm", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert process.wait(60) == 3
    assert process.stdout is not None
    process.stdout.close()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert re.search(r"\d\d:\d\d:\d\d WARNING toy/bad is refused: not_a_number", text)
    assert "1/1" in text, "the bar"


# --- in Dagster's processes


@pytest.fixture
def dagster_home(platform: Platform) -> Path:
    home = platform.settings.dagster_home
    home.mkdir(parents=True)
    shutil.copy(ROOT / "deploy/local/dagster.yaml", home)
    return home


def dagster(platform: Platform, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dagster", *arguments, "-m", "tests.toy_definitions"],
        cwd=ROOT,
        # Dagster's CLI has warnings of its own, before it loads anything of ours.
        env=environment(platform, **settings)
        | {"DAGSTER_HOME": str(platform.settings.dagster_home), "PYTHONWARNINGS": "ignore"},
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


def test_a_run_logs_json_once_and_into_its_log_in_the_ui(platform: Platform, put: Put, dagster_home: Path) -> None:
    put("toy/good", toy(1))
    put("toy/bad", toy("bad"))
    put("toy/odd", toy("log"))
    batch = next_batch(platform).batch_id
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        instance.add_dynamic_partitions("toy_batches", [batch])
        done = dagster(platform, "asset", "materialize", "--select", "group:toy", "--partition", batch)
        assert done.returncode == 0, done.stderr
        (run,) = instance.get_runs()
        told = [entry.user_message for entry in instance.all_logs(run.run_id)]
    lines = lines_of(done.stderr)
    about = {"source": "toy", "batch": batch, "run": run.run_id}
    closing = only(lines, outcome="finished")
    assert about.items() <= closing.items()
    assert closing["committed"] == 2
    assert about.items() <= only(lines, error_class="not_a_number", file="toy/bad").items()
    assert about.items() <= only(lines, logger="some.library", file="toy/odd").items()
    said = only(lines, message=f"batch {batch}: 3 of 3 files read, 1 refused")
    assert about.items() <= said.items()
    assert max(Counter(line["message"] for line in lines).values()) == 1, "no line twice"
    counts = Counter(told)
    assert counts[said["message"]] == 1
    assert counts[closing["message"]] == 1
    assert not any("is refused" in message for message in told)


def test_an_instance_without_our_settings_for_logs_still_has_every_line_once(
    platform: Platform, put: Put, dagster_home: Path
) -> None:
    config = dagster_home / "dagster.yaml"
    whole = config.read_text()
    config.write_text(re.sub(r"python_logs:\n(  .*\n)+", "", whole))
    assert len(config.read_text()) < len(whole)
    put("toy/bad", toy("bad"))
    batch = next_batch(platform).batch_id
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        instance.add_dynamic_partitions("toy_batches", [batch])
    done = dagster(platform, "asset", "materialize", "--select", "group:toy", "--partition", batch)
    assert done.returncode == 0, done.stderr
    lines = lines_of(done.stderr)
    assert only(lines, outcome="finished")["batch"] == batch
    assert only(lines, error_class="not_a_number")["file"] == "toy/bad"


def test_a_run_that_fails_says_why_in_json(platform: Platform, dagster_home: Path) -> None:
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        instance.add_dynamic_partitions("toy_batches", ["by_hand"])
        done = dagster(platform, "asset", "materialize", "--select", "group:toy", "--partition", "by_hand")
    assert done.returncode == 1
    by_cli = "Error: Materialization failed.\n"
    assert done.stderr.endswith(by_cli)
    errors = [line for line in lines_of(done.stderr.removesuffix(by_cli)) if line["level"] == "ERROR"]
    assert any("There is no batch 'by_hand' in the ledger" in line.get("exception", "") for line in errors)


def test_a_sensor_logs_json(platform: Platform, put: Put, dagster_home: Path) -> None:
    put("toy/a", toy(1))
    next_batch(platform)
    put("toy/b", toy(1))
    code = (
        "import dagster as dg; from tests.toy_definitions import defs\n"
        "from resources.platform import Platform\n"
        "sensor = defs.resolve_sensor_def('toy_arrivals')\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    for _ in range(2):\n"
        "        sensor(dg.build_sensor_context(instance=instance, resources={'platform': Platform.from_environment()}))\n"
    )
    variables = environment(platform) | {"DAGSTER_HOME": str(dagster_home)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert only(lines_of(done.stderr), message="1 new files of 2 keys")["source"] == "toy"


def test_text_in_a_dagster_process_is_dagster_s_own(platform: Platform, put: Put, dagster_home: Path) -> None:
    put("toy/bad", toy("bad"))
    batch = next_batch(platform).batch_id
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        instance.add_dynamic_partitions("toy_batches", [batch])
    arguments = ("asset", "materialize", "--select", "group:toy", "--partition", batch)
    done = dagster(platform, *arguments, LOG_FORMAT="text")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("0 of 1 files committed") == 1
    assert len(re.findall(r"WARNING toy/bad is refused: not_a_number .*\(batch=", done.stderr)) == 1


# --- many refusals, and other ends


def test_thousands_of_refusals_are_counted_not_listed(
    platform: Platform, put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "strandline")
    for number in range(57):
        put(f"toy/{number:02}", toy("bad"))
    put("toy/none", "")
    for number in range(59):
        put(f"toy/x{number:02}", toy(1))
    look_and_run(platform)
    refused = [record for record in caplog.records if record.name == "strandline.refused"]
    assert len(refused) == 50 + 2
    assert [record.getMessage().partition(". ")[0] for record in refused[50:]] == [
        f"7 more files of batch {refused_batch(refused)} are refused: not_a_number",
        f"1 more files of batch {refused_batch(refused)} are refused: empty_file",
    ]


def refused_batch(records: list[logging.LogRecord]) -> str:
    return records[-1].getMessage().rpartition(" ")[2]


def test_a_held_batch_tells_of_its_files_and_closes(
    platform: Platform, put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(5):
        put(f"toy/{number}", toy("bad"))
    with pytest.raises(Exception, match="5 of 5 files were refused"):
        look_and_run(platform)
    assert sum(record.name == "strandline.refused" for record in caplog.records) == 5
    (closing,) = [record for record in caplog.records if hasattr(record, "outcome")]
    assert vars(closing)["outcome"] == "held"
    assert closing.getMessage().startswith("batch ")


# --- context


@pytest.mark.usefixtures("json_logs")
def test_context_ends_with_its_block(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("resources.test")
    with bound(source="a", batch="b"):
        with bound(file="c"):
            log.warning("inside")
        log.warning("between")
    log.warning("outside")
    inside, between, outside = lines_of(capsys.readouterr().err)
    assert {name: inside[name] for name in ("source", "batch", "file")} == {"source": "a", "batch": "b", "file": "c"}
    assert (between["batch"], "file" in between) == ("b", False)
    assert "source" not in outside


@pytest.mark.usefixtures("json_logs")
def test_a_heartbeat_knows_its_batch(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    heard = ""

    def is_heard() -> bool:
        nonlocal heard
        heard += capsys.readouterr().err
        return "run-2" in heard

    with platform.ledger.write() as connection:
        lease = acquire(connection, "batch/b", "run-1", 0.0)
        assert lease is not None
    with platform.ledger.write() as connection:
        assert acquire(connection, "batch/b", "run-2", 60.0) is not None
    with bound(batch="b"), Heartbeat(platform.ledger, 0.3) as heartbeat:
        heartbeat.keep(lease)
        wait_until(is_heard, 20, "the loss is told")
    assert lines_of(heard)[0]["batch"] == "b"


class Unwritable(logging.Handler):
    """What Dagster's handler does when a run's event log cannot be written."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ConnectionError("no event log")


def test_an_event_log_that_cannot_be_written_ends_no_heartbeat_and_hides_no_failure(
    platform: Platform, put: Put, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed = re.findall(r"managed_python_loggers: \[(.*)\]", (ROOT / "deploy/local/dagster.yaml").read_text())[
        0
    ].split(", ")
    for name in managed:
        monkeypatch.setattr(logging.getLogger(name), "handlers", [Unwritable()])
    with platform.ledger.write() as connection:
        lost = acquire(connection, "batch/lost", "run-1", 0.0)
        kept = acquire(connection, "batch/kept", "run-1", 60.0)
        assert lost is not None
        assert kept is not None
    with platform.ledger.write() as connection:
        assert acquire(connection, "batch/lost", "run-2", 60.0) is not None
    with Heartbeat(platform.ledger, 0.3) as heartbeat:
        heartbeat.keep(lost)
        wait_until(lambda: "run-2" in caplog.text, 20, "the loss is told")
        heartbeat.keep(kept)
        before = expires(platform)
        wait_until(lambda: expires(platform) != before, 20, "the other lease is still renewed")

    for number in range(5):
        put(f"toy/{number}", toy("bad"))
    with pytest.raises(BatchHeld, match="5 of 5 files were refused"):
        look_and_run(platform)
    assert any(getattr(record, "outcome", "") == "held" for record in caplog.records)


def expires(platform: Platform) -> object:
    with platform.ledger.read() as connection:
        return connection.execute(select(leases.c.expires_at).where(leases.c.name == "batch/kept")).scalar_one()
