"""The report of a surface's checks as QAJSON 0.1.4 (github.com/ausseabed/qajson), which QAX reads and AusSeabed asks for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline_assets.bathymetry.judge.checks import CHECKS, state_of
from pipeline_assets.bathymetry.judge.geojson import failing_cells
from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.judge.profiles import Profile
from pipeline_assets.bathymetry.surface import Grid

VERSION = "0.1.4"


def report(
    judged: Sequence[Judged],
    profile: Profile,
    grid: Grid,
    files: Sequence[str],
    *,
    start: datetime,
    end: datetime,
    parameters: Mapping[str, int | float | str] | None = None,
) -> dict[str, Any]:
    """The document. files: the surface's files that the checks were of. parameters: said of every check, as its inputs."""
    said = [{"name": name, "value": value} for name, value in {"profile": profile.name, **(parameters or {})}.items()]
    return {
        "qa": {
            "version": VERSION,
            "raw_data": {"checks": []},
            "survey_products": {"checks": [_check(one, profile, grid, files, said, start, end) for one in judged]},
            "chart_adequacy": {"checks": []},
        }
    }


def _check(
    judged: Judged,
    profile: Profile,
    grid: Grid,
    files: Sequence[str],
    parameters: list[dict[str, Any]],
    start: datetime,
    end: datetime,
) -> dict[str, Any]:
    info = CHECKS[judged.name]
    execution = {"start": _time(start), "end": _time(end), "status": "aborted" if judged.not_judged else "completed"}
    if judged.not_judged:
        execution["error"] = judged.not_judged
    outputs: dict[str, Any] = {
        "execution": execution,
        "messages": [judged.message],
        "check_state": state_of(judged, profile),
        "data": {"summary": {name: _number(value) for name, value in judged.metadata.items()}},
    }
    if not judged.not_judged:
        outputs["percentage"] = round(100.0 * judged.share, 4)
    if judged.failing is not None:
        outputs["count"] = int(judged.failing.sum())
        outputs["data"]["map"] = failing_cells(grid, judged.failing)
    threshold = {"name": "threshold", "value": judged.threshold}
    return {
        "info": {
            "id": info.id, "name": info.title, "description": info.description, "version": "1",
            "group": {"id": "strandline", "name": "Strandline", "description": "Checks of gridded bathymetry"},
        },
        "inputs": {
            "files": [{"path": path, "file_type": "Survey DTMs"} for path in files],
            "params": [*parameters, threshold],
        },
        "outputs": outputs,
    }  # fmt: skip


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _number(value: int | float | str) -> int | float | str | None:
    """JSON knows neither NaN nor infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_text(document: Mapping[str, Any]) -> str:
    """As it is written to a file. Raises ValueError where a number is not finite."""
    return json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1) + "\n"
