"""Ways to land archives of the health source and to run them, for tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pipeline_assets.batch_report import BatchReport
from pipeline_assets.batch_run import run_batch
from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.examples import annotations_for, archive_of, documents
from pipeline_assets.health.source import HEALTH
from pipeline_assets.sidecars import sidecar_of
from pipeline_assets.source import FileSource
from resources.ledger.batches import Batch
from resources.platform import Platform
from tests.conftest import Put
from tests.running import Silent, next_batch, rows_of

DATA = Path(os.environ["STRANDLINE_TEST_DATA"]) / "health" if os.environ.get("STRANDLINE_TEST_DATA") else None
NO_DATA = "STRANDLINE_TEST_DATA does not name a folder with health/ in it"
KEPT = {"dataset_archivemetadata_v1": 1, "dataset_archivemetadata_v1_files": 3, "dataset_audiolevelrecord_v1": 5,
        "dataset_motionrecord_v1": 20, "dataset_weatherresult_v1": 1}  # fmt: skip
"""Rows of an archive of `land`, by table."""


def land(put: Put, name: str, files: dict[str, Any] | None = None, content: bytes | None = None, **said: Any) -> str:
    """Land an archive with a sidecar, as made up by the examples but for what is given. Its key."""
    key = f"health/tides/{name}.zip"
    put(sidecar_of(key), json.dumps(annotations_for(name, 1) | said))
    put(key, content if content is not None else archive_of(files if files is not None else documents(0, 1, 20)))
    return key


def look_and_run(
    platform: Platform, run_id: str = "run-1", source: FileSource = HEALTH, config: HealthConfig | None = None
) -> BatchReport:
    return run(platform, next_batch(platform, source), run_id, source, config)


def run(
    platform: Platform, batch: Batch, run_id: str, source: FileSource = HEALTH, config: HealthConfig | None = None
) -> BatchReport:
    config = config or HealthConfig()
    return run_batch(platform, source, config, batch.batch_id, run_id, Silent(), hold_when_stopped=lambda: True)


def counts(platform: Platform, recordid: str = "") -> dict[str, int]:
    """Rows of every dataset's table that has some, as SQL shows them."""
    tables = [table.name for table in HEALTH.tables if table.dataset]
    where = f"WHERE recordid = '{recordid}'" if recordid else ""
    query = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM health.\"{name}\" {where}" for name in tables)
    return {name: rows for name, rows in rows_of(platform, query) if rows}
