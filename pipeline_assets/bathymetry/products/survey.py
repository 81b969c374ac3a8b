"""What the products of a survey have in common: how its files are called, what it declares, where it comes from."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from importlib.metadata import version

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_assets.bathymetry.products.provenance import Provenance

ENGINE = "strandline open"
_LONGEST_NAME = 80

LINE_COLUMNS = (
    "source_key", "survey", "line", "sha256", "crs", "vertical_datum", "s44_order", "cell_m", "cells_by_depth", "golden", "cube", "soundings", "accepted",
    "pings", "time_min",
    "time_max", "longitude_west", "longitude_east", "latitude_min", "latitude_max",
)  # fmt: skip
"""Of the table `lines`, what products need."""


def file_stem(survey: str) -> str:
    """What a survey's files are called: its name, or, where file systems may not have that, the like of it with a hash."""
    stem = re.sub(r"[^\w.+-]", "_", survey, flags=re.ASCII).lstrip(".")[:_LONGEST_NAME]
    return stem if stem == survey else f"{stem}-{hashlib.sha256(survey.encode()).hexdigest()[:8]}".lstrip("-")


def provenance_of(survey: str, lines: pa.Table, order: str, made_at: datetime) -> Provenance:
    """lines: rows of the table `lines`. made_at: rounded to a second, as files hold it."""
    start, end = pc.min(lines["time_min"]).as_py(), pc.max(lines["time_max"]).as_py()
    return Provenance(
        survey=file_stem(survey),
        profile=order,
        engine=ENGINE,
        version=version("strandline"),
        made_at=made_at.astimezone(UTC).replace(microsecond=0),
        inputs=dict(zip(lines["source_key"].to_pylist(), lines["sha256"].to_pylist(), strict=True)),
        start=start,
        end=end,
        abstract=f"Gridded bathymetry of the survey {survey}",
    )


def positions_of(lines: pa.Table) -> tuple[float, float, float, float] | None:
    """West, south, east and north of all lines, degrees; None where a line does not know its own."""
    west, south = pc.min(lines["longitude_west"]).as_py(), pc.min(lines["latitude_min"]).as_py()
    east, north = pc.max(lines["longitude_east"]).as_py(), pc.max(lines["latitude_max"]).as_py()
    if None in (west, south, east, north):
        return None
    return west, south, east, north
