"""A change of schema through the front door: taken in place, or held with the way to a new version of the dataset."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.examples import documents
from pipeline_assets.health.mapping import OWN_FOLDER
from pipeline_assets.health.source import health_source
from pipeline_assets.operations.balance import balance
from resources.lake.lake import SchemaConflict, TableName
from resources.ledger.batches import get_batch
from resources.ledger.pruning import redo
from resources.platform import Platform
from tests.conftest import Put
from tests.health.front_door import land, look_and_run, run
from tests.running import next_batch, rows_of

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


def test_a_breaking_change_is_held_and_opens_a_new_version(
    before: Platform, put: Put, schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = change(schemas, lambda properties: properties.update(uptime={"type": "string"}))
    source = health_source(config)
    files = documents(0, 2, 3)
    files["motion.json"] = [{**row, "uptime": "long"} for row in files["motion.json"]]
    land(put, "after", files)
    batch = next_batch(before, source)
    with pytest.raises(SchemaConflict, match=r"column uptime was double and is now string.* strandline health schemas"):
        run(before, batch, "run-2", source, config)
    assert get_batch(before.ledger, batch.batch_id).state == "held"
    assert rows_of(before, "SELECT recordid FROM health.records") == [("before",)], "nothing of the batch is visible"

    said = command(before, monkeypatch, config, code=3)
    assert f"MotionRecord_v1: breaking\n  {MOTION}.uptime: double → string (breaking)" in said
    assert "open MotionRecord_v2 with: strandline health schemas --open" in said
    said = command(before, monkeypatch, config, "--open", code=0)
    assert "from the next start on, new documents go to MotionRecord_v2" in said
    assert config.schemas is not None
    assert json.loads((config.schemas / "versions.json").read_text()) == {"MotionRecord_v1": "MotionRecord_v2"}

    config = started_anew(config.schemas)
    source = health_source(config)
    assert {one.name for one in source.tables} >= {"dataset_motionrecord_v2"}
    redo(before.ledger, batch.batch_id)
    run(before, batch, "run-3", source, config)
    assert rows_of(before, "SELECT recordid, uptime FROM health.dataset_motionrecord_v2") == [("after", "long")] * 3
    assert rows_of(before, f"SELECT DISTINCT recordid FROM health.{MOTION}") == [("before",)], "it stays as it is"
    assert "breaking" not in command(before, monkeypatch, config, code=0)

    files = documents(0, 3, 4)
    files["motion.json"] = [{**row, "uptime": "later"} for row in files["motion.json"]]
    land(put, "before", files)
    look_and_run(before, "run-4", source, config)
    assert rows_of(before, f"SELECT * FROM health.{MOTION}") == [], "a record has rows in one version of a dataset"
    counted = rows_of(before, "SELECT recordid, count(*) FROM health.dataset_motionrecord_v2 GROUP BY ALL ORDER BY 1")
    assert counted == [("after", 3), ("before", 4)]
    assert balance(before, source).balanced


def test_a_second_breaking_change_opens_the_version_after(
    before: Platform, put: Put, schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = change(schemas, lambda properties: properties.update(uptime={"type": "string"}))
    command(before, monkeypatch, config, "--open", code=0)
    assert config.schemas is not None
    config = started_anew(config.schemas)
    files = documents(0, 2, 3)
    files["motion.json"] = [{**row, "uptime": "long"} for row in files["motion.json"]]
    land(put, "after", files)
    look_and_run(before, "run-2", health_source(config), config)
    assert config.schemas is not None
    config = change(config.schemas, lambda properties: properties.update(uptime={"type": "boolean"}))
    assert "open MotionRecord_v3" in command(before, monkeypatch, config, code=3)
    command(before, monkeypatch, config, "--open", code=0)
    assert config.schemas is not None
    kept = json.loads((config.schemas / "versions.json").read_text())
    assert kept == {"MotionRecord_v1": "MotionRecord_v3"}


def test_strandline_s_own_schemas_take_no_version(before: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(before, monkeypatch, HealthConfig(), code=0) == "every table is as its schemas say\n"
    name = TableName("health", MOTION)
    import pyarrow as pa

    have = before.lake.schema(name)
    assert have is not None
    other = pa.schema([pa.field(field.name, pa.string()) if field.name == "uptime" else field for field in have])
    before.lake.ensure(name, other, is_rewritten=True)
    said = command(before, monkeypatch, HealthConfig(), "--open", code=2)
    assert "Name a folder of your own (it may be empty) as STRANDLINE_HEALTH_SCHEMAS" in said
