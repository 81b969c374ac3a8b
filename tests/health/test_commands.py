"""Archives landed, drained and queried as a person does it, and what Dagster is told of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline_assets.health.examples import archive_of, documents, write_examples
from pipeline_assets.health.source import HEALTH
from resources.landing.folder import FolderStore
from tests.conftest import putter
from tests.crash.sessions import own_environment
from tests.health.front_door import DATA, KEPT

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_land_drain_and_sql(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = {
        **own_environment(), "STRANDLINE_HOME": str(home), "STRANDLINE_WORKERS": "1", "STRANDLINE_SETTLE_SECONDS": "0.05",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }  # fmt: skip

    def strandline(*arguments: str, code: int = 0) -> Any:
        command = [sys.executable, "-m", "cli.main", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    (example,) = write_examples(tmp_path / "examples", good=1, samples=20, broken=False)
    sidecar = example.path.with_name(f"{example.path.name}.metadata.json")
    strandline("land", "health", str(example.path), "--metadata-file", str(sidecar), "--key", "tides/r1.zip")
    rows = [{"uptime": 1.5, "timestamp": 0.5, "stepPath": "Game/walk"}]
    strange = archive_of(documents(0, 1, 3) | {"metadata.json": metadata_naming_a_schema(), "motion.json": rows})
    put = putter(FolderStore(home / "landing"), tmp_path)
    put("health/strange.zip.metadata.json", json.dumps(json.loads(sidecar.read_text()) | {"recordid": "strange"}))
    put("health/strange.zip", strange)
    files, motion, audio = 4, KEPT["dataset_motionrecord_v1"], 10
    if DATA is not None:
        name = "health/OCJByUtSrVTYtqObYp7XZV_J-mtbSpelling.zip"
        beside = DATA / "archive/OCJByUtSrVTYtqObYp7XZV_J.s3-object-metadata.json"
        put(f"{name}.metadata.json", beside.read_bytes())
        put(name, (DATA / "archive/OCJByUtSrVTYtqObYp7XZV_J-mtbSpelling.zip").read_bytes())
        files, motion, audio = files + 2, motion + 4, audio + 8
    drained = json.loads(strandline("drain", "--source", "health", "--json"))
    assert drained["states"] == {"committed": files}, drained
    query = """SELECT (SELECT count(*) FROM health.dataset_motionrecord_v1) AS motion,
                      (SELECT count(*) FROM health.dataset_audiolevelrecord_v1) AS audio"""
    assert json.loads(strandline("sql", query, "--format", "json")) == [{"motion": motion, "audio": audio}]

    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        check = dg.AssetCheckKey(dg.AssetKey(["health", "documents"]), "unmapped_schemas")
        (record,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=2)
        event = record.event
        assert event is not None
        evaluation = event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
        assert (evaluation.passed, evaluation.severity.value) == (False, "WARN")
        assert evaluation.metadata["files"].value == 1
        assert "1 files of 1 records have a schema of no dataset" in evaluation.description
        for name, materialized in (
            ("dataset_motionrecord_v1", True),
            ("dataset_3drotation_v1", False),
            ("3DRotation_v1", True),
        ):
            found = instance.get_latest_materialization_event(dg.AssetKey(["health", name]))
            assert (found is not None) == materialized, name


def metadata_naming_a_schema() -> dict[str, Any]:
    """A metadata.json that names, for one file, a schema of no dataset."""
    metadata: dict[str, Any] = documents(0, 1, 3)["metadata.json"]
    schema = "https://sage-bionetworks.github.io/mobile-client-json/schemas/v1/DistanceRecord.json"
    for file in metadata["files"]:
        if file["filename"] == "motion.json":
            file["jsonSchema"] = schema
    return metadata


def test_every_table_s_columns_come_from_fields_of_its_dataset() -> None:
    from pipeline_assets.lineage import column_lineage

    for table in HEALTH.tables:
        lineage = column_lineage(HEALTH, table)
        assert all(lineage.values()), table.name
        if table.dataset:
            origins = {origin.table for found in lineage.values() for origin in found}
            assert origins == {table.dataset, "raw_files"}
    steps = next(table for table in HEALTH.tables if table.name == "dataset_sharedschema_v1_stepHistory")
    found = {name: [str(one) for one in origins] for name, origins in column_lineage(HEALTH, steps).items()}
    assert found["score"] == ["sharedSchema_v1.stepHistory.score"]
    assert found["id"] == found["index"] == ["sharedSchema_v1.stepHistory"]
    assert found["recordid"] == ["file"]
