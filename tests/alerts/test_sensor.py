"""What happens in real runs is told: failed runs, held batches, failed checks, refused files, late files, findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import delete, update

from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.operations.finding_alerts import note_findings
from pipeline_assets.operations.reconcile import Findings, reconcile
from pipeline_assets.source_defs import LogReporter
from resources.lake.lake import Lake
from resources.ledger.alerts import untold
from resources.ledger.database import utc_now
from resources.ledger.tables import batches, file_rows, files, quarantine
from resources.platform import Platform
from resources.settings import Settings
from sensors.alerts import look_for_alerts
from tests.alerts.slack_server import Slack
from tests.alerts.test_telling import unreachable
from tests.conftest import Put
from tests.running import look_and_run, toy
from tests.toy_source import TOY

SOURCE = replace(TOY, expect_every=timedelta(hours=1))


class Deployment:
    """The toy source's definitions on one platform and one instance; its ticks do what the daemon does."""

    def __init__(self, platform: Platform, instance: dg.DagsterInstance) -> None:
        self.platform, self.instance = platform, instance
        stopped = dg.DefaultSensorStatus.STOPPED
        self.defs = build_defs(Overrides(sources=(SOURCE,), platform=platform, sensor_status=stopped))

    def tick(self, sensor: str, cursor: str | None = None) -> Any:
        context = dg.build_sensor_context(
            instance=self.instance, resources={"platform": self.platform}, cursor=cursor, sensor_name=sensor
        )
        return self.defs.resolve_sensor_def(sensor)(context)

    def tell(self) -> str:
        said: dg.SkipReason = self.tick("alerts")
        return said.skip_message or ""

    def run_what_is_asked_for(self) -> list[dg.ExecuteInProcessResult]:
        self.no_backoff()
        result = self.tick("toy_arrivals")
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return [
            self.execute("toy_ingest", request.partition_key, dict(request.tags))
            for request in result.run_requests or []
        ]

    def execute(self, job: str, partition: str | None, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, partition_key=partition, tags=tags, raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )  # fmt: skip

    def no_backoff(self) -> None:
        with self.platform.ledger.write() as connection:
            connection.execute(update(batches).values(not_before=None))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def deployment(platform: Platform, instance: dg.DagsterInstance) -> Deployment:
    return Deployment(platform, instance)


def no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Lake, name: Any, **kwargs: Any) -> Any:
        raise ConnectionError("no route to the lake")

    monkeypatch.setattr(Lake, "commit", fail)


def test_a_batch_that_fails_is_told_at_its_first_failure_and_when_it_is_held(
    deployment: Deployment, slack: Slack, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a b", toy(1))
    no_route(monkeypatch)
    (first,) = deployment.run_what_is_asked_for()
    assert deployment.tell() == "1 alerts told"
    (text,) = slack.texts
    assert text.splitlines()[0].endswith("failed (1 files)")
    assert "no route to the lake\nIt is tried again (1 of 5 attempts made).\nfile `toy/a b`" in text
    assert f"<https://strandline.example/runs/{first.run_id}|" in text
    assert "`strandline explain 'toy/a b'`" in text
    for _ in range(3):
        (again,) = deployment.run_what_is_asked_for()
        assert not again.success
        assert deployment.tell() == "0 alerts told"
    (last,) = deployment.run_what_is_asked_for()
    assert deployment.tell() == "1 alerts told"
    assert len(slack.messages) == 2
    assert "is held (1 files)" in slack.texts[1]
    assert "no route to the lake" in slack.texts[1]
    assert last.run_id in slack.texts[1]
    assert deployment.run_what_is_asked_for() == []
    assert deployment.tell() == "0 alerts told"


def test_a_batch_held_for_its_refusals_is_told_once_with_the_way_on(
    deployment: Deployment, slack: Slack, put: Put
) -> None:
    for number in range(6):
        put(f"toy/{number}", toy("bad"))
    (held,) = deployment.run_what_is_asked_for()
    assert not held.success
    assert deployment.tell() == "1 alerts told"
    assert "is held (6 files)" in slack.texts[0]
    assert "6 of 6 files were refused (not_a_number 6), more than 50%." in slack.texts[0]
    assert "file `toy/0`" in slack.texts[0]
    assert "strandline release" in slack.texts[0]
    assert deployment.tell() == "0 alerts told"


def test_refused_files_are_a_digest_by_error_class(deployment: Deployment, slack: Slack, put: Put) -> None:
    for number in range(6):
        put(f"toy/good{number}", toy(1))
    for number in range(3):
        put(f"toy/bad{number}", toy("bad"))
    put("toy/fault", toy("fault"))
    deployment.run_what_is_asked_for()
    assert deployment.tell() == "1 alerts told"
    (text,) = slack.texts
    assert "toy: 4 more files refused" in text
    assert "not_a_number 3, reader_error 1. First: not_a_number (row 1)" in text
    assert "`strandline explain toy/bad0`" in text
    assert deployment.tell() == "0 alerts told"
    put("toy/bad9", toy("bad"))
    deployment.run_what_is_asked_for()
    deployment.tell()
    assert "toy: 1 more file refused" in slack.texts[1]


def test_a_digest_waits_for_its_time(settings: Settings, instance: dg.DagsterInstance, slack: Slack, put: Put) -> None:
    hourly = Deployment(Platform(settings.model_copy(update={"alert_digest_minutes": 60})), instance)
    for number in range(3):
        put(f"toy/bad{number}", toy("bad"))
        hourly.run_what_is_asked_for()
        hourly.tell()
    assert len(slack.messages) == 1
    hourly.platform.close()


def test_refusals_of_long_ago_are_no_news_to_a_new_deployment_of_alerts(
    deployment: Deployment, slack: Slack, put: Put
) -> None:
    put("toy/bad", toy("bad"))
    deployment.run_what_is_asked_for()
    with deployment.platform.ledger.write() as connection:
        connection.execute(update(quarantine).values(quarantined_at=utc_now() - timedelta(days=2)))
    assert deployment.tell() == "0 alerts told"


def test_a_failed_check_is_told_until_it_passes(deployment: Deployment, slack: Slack, put: Put) -> None:
    put("toy/a", toy(1, 2))
    (done,) = deployment.run_what_is_asked_for()
    assert done.success
    partition = done.asset_materializations_for_node("toy_tables")[0].partition
    assert partition is not None
    with deployment.platform.ledger.write() as connection:
        connection.execute(update(file_rows).values(rows=file_rows.c.rows + 1))

    def check() -> None:
        result = dg.materialize(
            [*(deployment.defs.assets or []), *(deployment.defs.asset_checks or [])],  # type: ignore[list-item]
            instance=deployment.instance, tags={"dagster/partition": partition}, raise_on_error=False,
            resources={"platform": deployment.platform, "reporter": LogReporter},
            selection=dg.AssetSelection.checks(*(dg.AssetCheckKey(dg.AssetKey(["toy", name]), "balance") for name in ("readings", "files"))),
        )  # fmt: skip
        assert result.success

    check()
    assert deployment.tell() == "2 alerts told"
    assert "toy: 2 failed checks" in slack.texts[0]
    assert f"toy/readings: check balance of {partition} failed" in slack.texts[0]
    assert "1 files differ from the ledger. Materialize the batch again." in slack.texts[0]
    check()
    assert deployment.tell() == "0 alerts told"
    with deployment.platform.ledger.write() as connection:
        connection.execute(update(file_rows).values(rows=file_rows.c.rows - 1))
    check()
    assert deployment.tell() == "0 alerts told"
    with deployment.platform.ledger.write() as connection:
        connection.execute(update(file_rows).values(rows=file_rows.c.rows + 1))
    check()
    assert deployment.tell() == "2 alerts told"


def test_late_files_are_told_once_as_warning_and_once_as_error(
    deployment: Deployment, slack: Slack, put: Put, platform: Platform
) -> None:
    put("toy/a", toy(1))
    look_and_run(platform)
    cursor = deployment.tick("toy_freshness").cursor
    assert deployment.tell() == "0 alerts told"
    for hours, told in ((1.5, "WARN"), (1.6, None), (3.0, "ERROR"), (3.1, None)):
        with platform.ledger.write() as connection:
            connection.execute(update(files).values(seen_at=utc_now() - timedelta(hours=hours)))
        cursor = deployment.tick("toy_freshness", cursor).cursor or cursor
        deployment.tell()
        assert told is None or f"toy: files are late ({told})" in slack.texts[-1]
    assert len(slack.messages) == 2


def test_what_reconciling_found_is_told_once_and_again_when_it_differs(
    platform: Platform, deployment: Deployment, slack: Slack, put: Put
) -> None:
    put("toy/a", toy(1))
    look_and_run(platform)
    note_findings(platform.ledger, reconcile(platform, SOURCE))
    assert deployment.tell() == "0 alerts told", "all agree"
    with platform.ledger.write() as connection:
        connection.execute(update(file_rows).values(rows=7))
    found = reconcile(platform, SOURCE)
    note_findings(platform.ledger, found)
    note_findings(platform.ledger, found)
    assert deployment.tell() == "1 alerts told"
    assert "1 committed files have missing or wrong rows and are to be read again" in slack.texts[0]
    assert f"strandline explain {found.read_again[0]}" in slack.texts[0]
    note_findings(platform.ledger, Findings("toy"))
    note_findings(platform.ledger, found)
    assert deployment.tell() == "1 alerts told", "it had been over"
    note_findings(platform.ledger, Findings("toy", lake_lost=True, lost=["x"], strange={"files": ["y"]}))
    assert deployment.tell() == "1 alerts told"
    assert "the tables are gone or damaged; 1 of such files are not in the landing store any more" in slack.texts[2]


def test_a_run_about_no_batch_is_told_by_its_job(deployment: Deployment, slack: Slack) -> None:
    deployment.instance.add_dynamic_partitions("toy_batches", ["by-hand"])
    assert not deployment.execute("toy_ingest", "by-hand", {}).success
    assert deployment.tell() == "1 alerts told"
    assert "toy: run of toy_ingest of by-hand failed" in slack.texts[0]
    assert "There is no batch 'by-hand' in the ledger." in slack.texts[0]


def test_slack_that_is_away_fails_no_sensor_and_loses_no_alert(
    settings: Settings, instance: dg.DagsterInstance, platform: Platform, slack: Slack, put: Put
) -> None:
    away = Deployment(Platform(unreachable(settings)), instance)
    put("toy/bad", toy("bad"))
    (done,) = away.run_what_is_asked_for()
    assert done.success
    assert away.tell().startswith("0 alerts told; not delivered, to be tried again: Slack does not answer")
    away.platform.close()
    assert len(untold(platform.ledger)) == 1
    from tests.alerts.test_telling import pass_time

    pass_time(platform, timedelta(minutes=1))
    assert Deployment(platform, instance).tell() == "1 alerts told"
    assert "toy: 1 more file refused" in slack.texts[0]


def test_a_dagster_storage_that_was_replaced_is_read_from_its_start(
    deployment: Deployment, platform: Platform, slack: Slack
) -> None:
    for name in ("one", "two", "three"):
        deployment.instance.add_dynamic_partitions("toy_batches", [name])
        deployment.execute("toy_ingest", name, {})
    deployment.tell()
    assert len(slack.messages) == 1
    with dg.DagsterInstance.ephemeral() as fresh:
        anew = Deployment(platform, fresh)
        fresh.add_dynamic_partitions("toy_batches", ["four"])
        anew.execute("toy_ingest", "four", {})
        assert [anew.tell(), anew.tell()] == ["0 alerts told", "1 alerts told"]


def test_an_embedded_instance_keeps_its_events_apart_by_run_and_is_read_all_the_same(
    platform: Platform, slack: Slack, tmp_path: Any
) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        deployment = Deployment(platform, instance)
        for name in ("one", "two"):
            instance.add_dynamic_partitions("toy_batches", [name])
            deployment.execute("toy_ingest", name, {})
            assert deployment.tell() == "1 alerts told"
        assert deployment.tell() == "0 alerts told"


def test_looking_twice_at_once_counts_once(
    deployment: Deployment, platform: Platform, slack: Slack, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/bad", toy("bad"))
    deployment.run_what_is_asked_for()
    look_for_alerts(deployment.instance, platform, [SOURCE])
    with platform.ledger.write() as connection:
        connection.execute(delete(quarantine))
    look_for_alerts(deployment.instance, platform, [SOURCE])
    assert len(untold(platform.ledger)) == 1
