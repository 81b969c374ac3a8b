"""Health archives through the front door: landed, run, and read with SQL."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.examples import archive_of, documents, write_examples
from pipeline_assets.health.source import HEALTH, health_source
from pipeline_assets.operations.balance import balance
from pipeline_assets.operations.erasure import files_of_subject, forget
from resources.lake.sql import list_tables
from resources.ledger.queries import list_files
from resources.platform import Platform
from resources.settings import Settings, SettingsError
from tests.conftest import Put
from tests.health.front_door import DATA, KEPT, NO_DATA, counts, land, look_and_run
from tests.health.volume import land_and_run
from tests.running import rows_of, states


@pytest.mark.skipif(DATA is None, reason=NO_DATA)
def test_the_real_archive_gives_exactly_the_rows_expected(platform: Platform, put: Put) -> None:
    assert DATA is not None
    expected = json.loads((DATA / "expected.json").read_text())
    key = "health/mtb/OCJByUtSrVTYtqObYp7XZV_J-mtbSpelling.zip"
    put(f"{key}.metadata.json", (DATA / "archive/OCJByUtSrVTYtqObYp7XZV_J.s3-object-metadata.json").read_bytes())
    put(key, (DATA / "archive/OCJByUtSrVTYtqObYp7XZV_J-mtbSpelling.zip").read_bytes())
    look_and_run(platform)
    assert counts(platform) == expected["table_rows"] | {"dataset_audiolevelrecord_v1": 8}
    placed = rows_of(platform, "SELECT file_name, dataset FROM health.documents ORDER BY file_name")
    routing = next(value for name, value in expected.items() if name.startswith("routing"))
    assert dict(placed) == {name: dataset.split()[0] if dataset else None for name, dataset in routing.items()}
    assert rows_of(
        platform, "SELECT recordid, study, assessmentid, year(uploadedon), files, status FROM health.records"
    ) == [("OCJByUtSrVTYtqObYp7XZV_J", "mtb", "spelling", 2022, 9, "complete")]
    query = "SELECT DISTINCT assessmentid, year, month, day FROM health.dataset_sharedschema_v1_steps"
    assert rows_of(platform, query) == [("spelling", 2022, 2, 15)]


def test_every_table_is_there_for_sql_before_any_row_of_it(platform: Platform, put: Put) -> None:
    land(put, "r1")
    look_and_run(platform)
    assert {f"health.{table.name}" for table in HEALTH.tables} <= set(list_tables(platform.ledger))
    empty = 'SELECT count(*), count(DISTINCT typeof("startDate")) FROM health.dataset_sharedschema_v1'
    assert rows_of(platform, empty)[0][0] == 0


def test_the_examples_become_rows_or_are_refused_as_they_say(platform: Platform, put: Put, tmp_path: Path) -> None:
    written = write_examples(tmp_path / "examples", good=3, samples=20)
    for path in sorted((tmp_path / "examples").rglob("*")):
        if path.is_file():
            put(f"health/{path.relative_to(tmp_path / 'examples')}", path.read_bytes())
    report = look_and_run(platform)
    refused = {one.key: one.refusal.error_class for one in report.refused if not one.key.endswith(".metadata.json")}
    assert refused == {f"health/{one.key}": one.error_class for one in written if one.error_class}
    assert counts(platform) == {name: 3 * rows for name, rows in KEPT.items()}
    assert balance(platform, HEALTH).balanced
    assert write_examples(tmp_path / "again", good=3, samples=20)[0].path.read_bytes() == written[0].path.read_bytes()


def test_replaying_a_record_replaces_its_rows_in_all_tables_all_or_nothing(platform: Platform, put: Put) -> None:
    """R6: while runs replace the record again and again, each query sees one version whole."""
    land(put, "other")
    land(put, "r1")
    look_and_run(platform)
    seen: set[tuple[int, ...]] = set()
    done = threading.Event()
    problems: list[BaseException] = []
    query = """SELECT (SELECT count(*) FROM health.dataset_motionrecord_v1 WHERE recordid = 'r1'),
                      (SELECT count(*) FROM health.dataset_audiolevelrecord_v1 WHERE recordid = 'r1'),
                      (SELECT rows FROM health.records WHERE recordid = 'r1')"""

    def watch() -> None:
        reader = Platform(platform.settings)
        try:
            while not done.is_set():
                seen.add(rows_of(reader, query)[0])
        except BaseException as problem:
            problems.append(problem)
        finally:
            reader.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    expected = {(20, 5, 30)}
    try:
        for number, (motion, audio) in enumerate([(30, 1), (40, 2), (50, 3)]):
            files = documents(0, 1, motion)
            files["microphone_levels.json"] = files["microphone_levels.json"][:audio]
            land(put, "r1", files)
            look_and_run(platform, f"run-{number + 2}")
            expected.add((motion, audio, motion + audio + 5))
    finally:
        done.set()
        watcher.join()
    assert not problems
    assert seen <= expected
    assert len(seen) > 1
    assert counts(platform, "r1") == KEPT | {"dataset_motionrecord_v1": 50, "dataset_audiolevelrecord_v1": 3}
    assert counts(platform, "other") == KEPT
    assert balance(platform, HEALTH).balanced


def test_a_record_with_any_wrong_file_is_refused_whole_and_keeps_nothing(platform: Platform, put: Put) -> None:
    files = documents(0, 1, 20)
    land(put, "good")
    land(put, "bad", files | {"weather.json": {"type": "weather", "identifier": 7}})
    (refused,) = [one for one in look_and_run(platform).refused if one.key.endswith(".zip")]
    assert (refused.refusal.error_class, refused.refusal.record) == ("schema_errors", "bad")
    assert refused.refusal.location.startswith("weather.json#")
    assert counts(platform, "bad") == {}
    assert counts(platform) == KEPT
    quarantine = "SELECT record, key FROM operations.quarantine WHERE key LIKE '%.zip'"
    assert rows_of(platform, quarantine) == [("bad", "health/tides/bad.zip")]


def test_forgetting_a_participant_leaves_nothing_of_them(platform: Platform, put: Put) -> None:
    land(put, "r1", healthcode="p1")
    land(put, "r2", healthcode="p2")
    look_and_run(platform)
    ids = files_of_subject(platform, HEALTH, "p1", with_others=False)
    assert [row.key for row in list_files(platform.ledger) if row.file_id in ids] == ["health/tides/r1.zip"]
    forget(platform, HEALTH, ids, lambda text: None, lambda runs: None)
    assert counts(platform) == KEPT
    assert rows_of(platform, "SELECT healthcode FROM health.records") == [("p2",)]
    kept = {"health/tides/r2.zip", "health/tides/r2.zip.metadata.json"}
    assert {row.key for row in list_files(platform.ledger) if row.state != "forgotten"} == kept
    assert sum(row.state == "forgotten" for row in list_files(platform.ledger)) == 2, "the archive and its sidecar"


@pytest.mark.parametrize("setting", ["wait", "optional"])
def test_an_archive_waits_for_its_sidecar_only_if_told_to(platform: Platform, put: Put, setting: str) -> None:
    source = health_source(HealthConfig(sidecar=setting))  # type: ignore[arg-type]
    put("health/tides/r1.zip", archive_of(documents(0, 1, 20)))
    if setting == "optional":
        look_and_run(platform, source=source)
        assert states(platform) == {"health/tides/r1.zip": "quarantined"}
    land(put, "r1")
    look_and_run(platform, "run-2", source)
    assert set(states(platform).values()) == {"committed"}
    assert counts(platform) == KEPT


def test_a_mapping_that_cannot_be_used_stops_the_start_by_name(tmp_path: Path) -> None:
    (tmp_path / "schema_mapping.json").write_text("[]")
    with pytest.raises(
        SettingsError, match=r"STRANDLINE_HEALTH_SCHEMAS=.*schema_mapping\.json: expected a JSON object"
    ):
        health_source(HealthConfig(schemas=tmp_path))
    with pytest.raises(SettingsError, match="is no folder"):
        health_source(HealthConfig(schemas=tmp_path / "nowhere"))


def test_a_long_record_is_read_within_bounded_memory(settings: Settings, tmp_path: Path) -> None:
    """The run of a million rows is `python -m tests.health.volume`."""
    limited = settings.model_copy(update={"file_memory_mb": 2048, "workers": 1, "file_timeout_seconds": 60})
    platform = Platform(limited)
    try:
        land_and_run(platform, tmp_path, 60_000)
    finally:
        platform.close()
