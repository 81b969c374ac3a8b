"""A change of schema through the front door: taken in place, or by a new version of the dataset, or held if that is wished."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from cli.main import main
from pipeline_assets import batch_commit, batch_run
from pipeline_assets.batch_run import run_batch
from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.examples import documents
from pipeline_assets.health.mapping import OWN_FOLDER
from pipeline_assets.health.operations import versions
from pipeline_assets.health.operations.study_export import export_study
from pipeline_assets.health.source import health_source
from pipeline_assets.operations.balance import balance
from pipeline_assets.operations.check import check
from pipeline_assets.operations.reconcile import reconcile
from pipeline_assets.source_defs import LogReporter, build_source_defs, partitions_name
from resources.lake.lake import SchemaConflict, TableName
from resources.ledger.batches import get_batch
from resources.ledger.pruning import redo
from resources.ledger.publishing import published_snapshots
from resources.ledger.tables import alerts
from resources.platform import Platform
from tests.conftest import Put
from tests.health.front_door import land, look_and_run, run
from tests.running import Silent, next_batch, rows_of

MOTION = "dataset_motionrecord_v1"


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    """A deployment's own schemas, as they are at first."""
    return shutil.copytree(OWN_FOLDER, tmp_path / "schemas")


def change(schemas: Path, edit: Callable[[dict[str, Any]], None]) -> HealthConfig:
    """Edit what a motion sample has, and start anew."""
    (path,) = schemas.rglob("v2/MotionRecord.json")
    content = json.loads(path.read_text())
    edit(content["items"]["properties"])
    path.write_text(json.dumps(content))
    return started_anew(schemas)


def started_anew(schemas: Path) -> HealthConfig:
    """Another folder with the same content, because a process reads a folder once."""
    folder = Path(tempfile.mkdtemp(dir=schemas.parent)) / "schemas"
    return HealthConfig(schemas=shutil.copytree(schemas, folder))


@pytest.fixture
def before(platform: Platform, put: Put, schemas: Path) -> Platform:
    land(put, "before")
    config = HealthConfig(schemas=schemas)
    look_and_run(platform, "run-1", health_source(config), config)
    return platform


def command(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, config: HealthConfig, *arguments: str, code: int
) -> str:
    platform.close()
    monkeypatch.setenv("STRANDLINE_HOME", str(platform.settings.home))
    if config.schemas is not None:
        monkeypatch.setenv("STRANDLINE_HEALTH_SCHEMAS", str(config.schemas))
    done = CliRunner().invoke(main, ["health", "schemas", *arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def type_of(platform: Platform, column: str) -> str:
    schema = platform.lake.schema(TableName("health", MOTION))
    assert schema is not None
    return str(schema.field(column).type)


def test_an_additive_change_is_taken_in_place(
    before: Platform, put: Put, schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(properties: dict[str, Any]) -> None:
        properties["grip"] = {"type": "string", "description": "how it is held"}
        del properties["eventAccuracy"]

    config = change(schemas, edit)
    said = command(before, monkeypatch, config, code=0)
    assert f"MotionRecord_v1: additive\n  {MOTION}.grip: not there → string (additive)" in said
    files = documents(0, 2, 3)
    files["motion.json"] = [{**row, "grip": "left", "eventAccuracy": 3} for row in files["motion.json"]]
    land(put, "after", files)
    look_and_run(before, "run-2", health_source(config), config)
    rows = rows_of(
        before, f'SELECT recordid, grip, count(*), count("eventAccuracy") FROM health.{MOTION} GROUP BY ALL ORDER BY 1'
    )
    assert rows == [("after", "left", 3, 0), ("before", None, 20, 0)], (
        "a column without a declaration stays, and gets no values"
    )
    extra = rows_of(before, f"SELECT DISTINCT _extra FROM health.{MOTION} WHERE recordid = 'after'")
    assert "eventAccuracy" in extra[0][0], "what no column holds is kept"
    assert "MotionRecord_v1" in command(before, monkeypatch, config, code=0)
    assert balance(before, health_source(config)).balanced


def as_text(properties: dict[str, Any]) -> None:
    properties.update(uptime={"type": "string"})


def as_truth(properties: dict[str, Any]) -> None:
    properties.update(uptime={"type": "boolean"})


def samples(uptime: Any, count: int = 3) -> dict[str, Any]:
    files = documents(0, 2, count)
    files["motion.json"] = [{**row, "uptime": uptime} for row in files["motion.json"]]
    return files


def by_version(platform: Platform) -> dict[str, list[tuple[str, int]]]:
    """By version of MotionRecord that has rows, records with the number of theirs."""
    found = {}
    for name in sorted(published_snapshots(platform.ledger, "health")):
        if name.startswith("dataset_motionrecord_v"):
            query = f"SELECT recordid, count(*) FROM health.{name} GROUP BY ALL ORDER BY 1"
            if rows := rows_of(platform, query):
                found[name.removeprefix("dataset_motionrecord_")] = rows
    return found


def alerts_of(platform: Platform) -> list[str]:
    with platform.ledger.read() as connection:
        return [
            row.content["title"] for row in connection.execute(select(alerts).where(alerts.c.kind == "new_version"))
        ]


def test_a_breaking_change_opens_a_new_version_by_itself_and_says_so(before: Platform, put: Put, schemas: Path) -> None:
    config = change(schemas, as_text)
    source = health_source(config)
    land(put, "after", samples("long"))
    batch = next_batch(before, source)
    heard = Silent()
    report = run_batch(before, source, config, batch.batch_id, "run-2", heard, hold_when_stopped=lambda: True)
    (said,) = heard.said
    assert "a new version is opened: MotionRecord_v1 → MotionRecord_v2" in said
    assert f"{MOTION}.uptime: double → string (breaking)" in said
    assert alerts_of(before) == ["health: MotionRecord_v2 takes the documents of MotionRecord_v1 from now on"]
    assert report.refused == ()
    assert report.tables.keys() >= {"dataset_motionrecord_v2", "dataset_weatherresult_v1"}
    assert by_version(before) == {"v1": [("before", 20)], "v2": [("after", 3)]}
    assert type_of(before, "uptime") == "double", "what is there stays as it is"
    query = "SELECT DISTINCT dataset FROM health.documents WHERE dataset LIKE 'Motion%' AND recordid = "
    assert rows_of(before, f"{query} 'after'") == [("MotionRecord_v2",)]
    assert rows_of(before, f"{query} 'before'") == [("MotionRecord_v1",)]

    land(put, "later", samples("longer", 4))
    report = look_and_run(before, "run-3", source, config)
    assert by_version(before)["v2"] == [("after", 3), ("later", 4)], "the next batch goes there at once"
    assert len(alerts_of(before)) == 1

    land(put, "before", samples("again", 2))
    look_and_run(before, "run-4", source, config)
    assert by_version(before) == {"v2": [("after", 3), ("before", 2), ("later", 4)]}, "a record is in one version"
    found = balance(before, source)
    assert found.balanced
    assert found.rows["dataset_motionrecord_v2"] == 9
    assert check(before, source).agrees
    assert reconcile(before, source).balanced


def test_a_schema_that_is_changed_back_goes_back_to_its_tables(before: Platform, put: Put, schemas: Path) -> None:
    old = started_anew(schemas)
    config = change(schemas, as_text)
    land(put, "text", samples("long"))
    look_and_run(before, "run-2", health_source(config), config)
    land(put, "number", samples(1.5))
    look_and_run(before, "run-3", health_source(old), old)
    assert by_version(before) == {"v1": [("before", 20), ("number", 3)], "v2": [("text", 3)]}
    land(put, "text", samples(2.5))
    look_and_run(before, "run-4", health_source(old), old)
    assert by_version(before) == {"v1": [("before", 20), ("number", 3), ("text", 3)]}, (
        "replayed, it is where its schema says"
    )


def test_a_second_breaking_change_opens_the_version_after(before: Platform, put: Put, schemas: Path) -> None:
    config = change(schemas, as_text)
    land(put, "second", samples("long"))
    look_and_run(before, "run-2", health_source(config), config)
    config = change(schemas, as_truth)
    land(put, "third", samples(True))
    look_and_run(before, "run-3", health_source(config), config)
    assert by_version(before) == {"v1": [("before", 20)], "v2": [("second", 3)], "v3": [("third", 3)]}
    assert len(alerts_of(before)) == 2


def test_a_name_that_changes_by_its_case_only_breaks_too(before: Platform, put: Put, schemas: Path) -> None:
    def edit(properties: dict[str, Any]) -> None:
        properties["Uptime"] = properties.pop("uptime")

    config = change(schemas, edit)
    files = documents(0, 2, 3)
    files["motion.json"] = [{("Uptime" if name == "uptime" else name): v for name, v in row.items()}
                            for row in files["motion.json"]]  # fmt: skip
    land(put, "after", files)
    look_and_run(before, "run-2", health_source(config), config)
    assert by_version(before) == {"v1": [("before", 20)], "v2": [("after", 3)]}
    assert rows_of(before, 'SELECT count("Uptime") FROM health.dataset_motionrecord_v2') == [(3,)]


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", ["half made", "made", "read", "committed"])
def test_a_run_that_dies_while_a_version_is_opened_is_done_again(
    before: Platform, put: Put, schemas: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    config = change(schemas, as_text)
    source = health_source(config)
    land(put, "after", samples("long"))
    batch = next_batch(before, source)

    def dies(*given: Any, **options: Any) -> Any:
        raise _Killed

    with monkeypatch.context() as patch:
        if moment == "half made":
            patch.setattr(before.lake, "ensure", dies_for(before, "dataset_motionrecord_v2"))
        elif moment == "made":
            patch.setattr(versions, "followed", dies)
        elif moment == "read":
            patch.setattr(batch_run, "commit", dies)
        else:
            patch.setattr(batch_commit, "publish", dies)
        with pytest.raises(_Killed):
            run_batch(before, source, config, batch.batch_id, "run-2", Silent(), hold_when_stopped=lambda: False)
    assert by_version(before) == {"v1": [("before", 20)]}, "nothing of the batch is visible"
    run(before, batch, "run-3", source, config)
    assert by_version(before) == {"v1": [("before", 20)], "v2": [("after", 3)]}
    assert alerts_of(before) == ["health: MotionRecord_v2 takes the documents of MotionRecord_v1 from now on"]
    assert balance(before, source).balanced


def dies_for(platform: Platform, table: str) -> Callable[..., str]:
    ensure = platform.lake.ensure

    def instead(name: TableName, *given: Any, **options: Any) -> str:
        if name.name == table:
            raise _Killed
        return ensure(name, *given, **options)

    return instead


def test_two_runs_that_meet_the_change_open_one_version(before: Platform, put: Put, schemas: Path) -> None:
    config = change(schemas, as_text)
    source = health_source(config)
    tables = {MOTION}
    first = versions.adapt(before, source, config, tables)
    second = versions.adapt(before, source, config, tables)
    assert first is not None
    assert second is not None
    assert first.config == second.config
    assert "were opened meanwhile" in second.because
    assert versions.adapt(before, first.source, first.config, {"dataset_motionrecord_v2"}) is None


def test_on_wish_the_batch_is_held_until_a_person_opens_the_version(
    before: Platform, put: Put, schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = change(schemas, as_text).model_copy(update={"breaking_change": "hold"})
    source = health_source(config)
    land(put, "after", samples("long"))
    batch = next_batch(before, source)
    with pytest.raises(
        SchemaConflict, match=r"uptime: double → string.* MotionRecord_v2\): strandline health schemas --open"
    ):
        run(before, batch, "run-2", source, config)
    assert get_batch(before.ledger, batch.batch_id).state == "held"
    assert rows_of(before, "SELECT recordid FROM health.records") == [("before",)], "nothing of the batch is visible"

    said = command(before, monkeypatch, config, code=3)
    assert f"MotionRecord_v1: breaking\n  {MOTION}.uptime: double → string (breaking)" in said
    assert "opens MotionRecord_v2, unless STRANDLINE_HEALTH_BREAKING_CHANGE=hold; open it now with: strandline" in said
    said = command(before, monkeypatch, config, "--open", code=0)
    assert "from the next batch on, documents go to MotionRecord_v2" in said
    redo(before.ledger, batch.batch_id)
    run(before, batch, "run-3", source, config)
    assert by_version(before) == {"v1": [("before", 20)], "v2": [("after", 3)]}


def test_what_is_open_is_shown_and_can_be_declared(
    before: Platform, put: Put, schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = change(schemas, as_text)
    land(put, "after", samples("long"))
    look_and_run(before, "run-2", health_source(config), config)
    said = command(before, monkeypatch, config, code=0)
    assert "MotionRecord_v1: documents go to MotionRecord_v2, which was opened for a change" in said
    assert "breaking" not in said
    (shown,) = [
        one for one in json.loads(command(before, monkeypatch, config, "--json", code=0)) if one["kind"] == "opened"
    ]
    assert (shown["dataset"], shown["becomes"]) == ("MotionRecord_v1", "MotionRecord_v2")
    assert "declared from the next start on" in command(before, monkeypatch, config, "--open", code=0)
    assert config.schemas is not None
    assert json.loads((config.schemas / "versions.json").read_text()) == {"MotionRecord_v1": "MotionRecord_v2"}

    config = started_anew(config.schemas)
    source = health_source(config)
    assert "dataset_motionrecord_v2" in source.table_names
    assert MOTION not in source.table_names
    land(put, "later", samples("longer"))
    report = look_and_run(before, "run-3", source, config)
    assert report.source == source
    assert by_version(before) == {"v1": [("before", 20)], "v2": [("after", 3), ("later", 3)]}
    assert balance(before, source).balanced

    assert config.schemas is not None
    config = change(config.schemas, as_truth)
    land(put, "last", samples(False))
    look_and_run(before, "run-4", health_source(config), config)
    assert by_version(before)["v3"] == [("last", 3)]
    command(before, monkeypatch, config, "--open", code=0)
    assert config.schemas is not None
    assert json.loads((config.schemas / "versions.json").read_text()) == {"MotionRecord_v1": "MotionRecord_v3"}


def test_a_folder_that_cannot_be_written_declares_nothing_and_says_so(
    before: Platform, put: Put, schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = change(schemas, as_text)
    assert config.schemas is not None
    (config.schemas / "versions.part").mkdir()
    said = command(before, monkeypatch, config, "--open", code=2)
    assert "Open: MotionRecord_v2. The next batches go there." in said
    assert 'with {"MotionRecord_v1": "MotionRecord_v2"}' in said
    land(put, "after", samples("long"))
    look_and_run(before, "run-2", health_source(config), config)
    assert by_version(before)["v2"] == [("after", 3)]


def test_strandline_s_own_schemas_declare_no_version(before: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(before, monkeypatch, HealthConfig(), code=0) == "every table is as its schemas say\n"
    name = TableName("health", MOTION)
    import pyarrow as pa

    have = before.lake.schema(name)
    assert have is not None
    other = pa.schema([pa.field(field.name, pa.string()) if field.name == "uptime" else field for field in have])
    before.lake.ensure(name, other, is_rewritten=True)
    said = command(before, monkeypatch, HealthConfig(), "--open", code=2)
    assert "Open: MotionRecord_v2." in said
    assert "Name a folder of your own (it may be empty) as STRANDLINE_HEALTH_SCHEMAS" in said


def test_the_tables_of_every_version_are_exported(
    before: Platform, put: Put, schemas: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = change(schemas, lambda properties: properties.update(uptime={"type": "string"}, grip={"type": "string"}))
    land(put, "after", samples("long"))
    source = health_source(config)
    look_and_run(before, "run-2", source, config)
    done = export_study(before, source, "tides", tmp_path / "tides.zip")
    assert (done.rows[MOTION], done.rows["dataset_motionrecord_v2"]) == (20, 3)
    with zipfile.ZipFile(tmp_path / "tides.zip") as archive:
        assert "long" in archive.read("dataset_motionrecord_v2.csv").decode()


def test_dagster_shows_the_new_version_with_what_is_known_of_it(before: Platform, put: Put, schemas: Path) -> None:
    config = change(schemas, as_text)
    source = health_source(config)
    land(put, "after", samples("long"))
    batch = next_batch(before, source)
    built = build_source_defs(source, config, before)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(partitions_name(source), [batch.partition])
        defs = dg.Definitions(
            assets=built.assets, asset_checks=built.checks, jobs=[built.job],
            resources={"platform": before, "reporter": LogReporter}, executor=dg.in_process_executor,
        )  # fmt: skip
        result = defs.resolve_job_def("health_ingest").execute_in_process(
            instance=instance, partition_key=batch.partition
        )
        assert result.success
        event = instance.get_latest_materialization_event(dg.AssetKey(["health", "dataset_motionrecord_v2"]))
        assert event is not None
        shown = event.asset_materialization
        assert shown is not None
        assert shown.partition == batch.partition
        assert shown.metadata["dagster/partition_row_count"].value == 3
        columns = {one.name: one.type for one in shown.metadata["dagster/column_schema"].value.columns}
        assert columns["uptime"] == "string"
        evaluations = {(one.asset_key.path[-1], one.check_name): one for one in result.get_asset_check_evaluations()}
        told = evaluations["documents", "new_versions"]
        assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "1 files are in versions that were opened" in (told.description or "")
        assert "MotionRecord_v2" in (told.description or "")
        assert evaluations["documents", "balance"].passed
