"""Schemas are built where readers are forked from, not in each reader."""

from __future__ import annotations

import subprocess
import sys

from pipeline_assets.batch_run import preload_for
from pipeline_assets.ocean.source import OCEAN

_IN_FORK_SERVER = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
from pipeline_assets import columns
from pipeline_assets.ocean import schema
before = columns._arrow_of_model.cache_info().misses
for name in ("Observations", "Levels", "Casts", "Files", "ParameterStats", "Findings"):
    columns.arrow_schema(getattr(schema, name))
print("dagster" in sys.modules, columns._arrow_of_model.cache_info().misses - before)
"""


def test_what_readers_import_builds_all_schemas_of_the_source() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IN_FORK_SERVER, *preload_for(OCEAN, 1)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "0"]
