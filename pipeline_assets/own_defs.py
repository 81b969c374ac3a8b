"""What a source has in Dagster beyond what follows from its declaration: a folder's `assets.py` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg


@dataclass(frozen=True)
class OwnDefs:
    """Assets that are made apart from the batches, with their jobs and schedules."""

    assets: tuple[dg.AssetsDefinition, ...]
    jobs: tuple[Any, ...]
    schedules: tuple[dg.ScheduleDefinition, ...] = ()
