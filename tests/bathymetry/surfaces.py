"""Small surfaces for tests of checks and products."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Grid, Surface

CRS, WEST, NORTH = "EPSG:32755", 500_000.0, 5_800_000.0
NAN = float("nan")
PROVENANCE = Provenance(
    survey="S1", profile="1a", engine="open", version="1.0", made_at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
    inputs={"bathymetry/S1/L1.gsf": "ab" * 32}, start=datetime(2026, 2, 1, tzinfo=UTC), end=datetime(2026, 2, 3, tzinfo=UTC),
    attribution="A Survey Office", licence="CC-BY-4.0", contact="A Hydrographer", abstract="A survey & its <surface>",
)  # fmt: skip


def surface(
    depth: ArrayLike,
    *,
    uncertainty: ArrayLike = 0.1,
    density: ArrayLike = 10,
    cell: float = 1.0,
    **other: Any,
) -> Surface:
    """A surface of these depths; the rest is there where a depth is."""
    depths = np.asarray(depth, dtype=np.float32)
    known = np.isfinite(depths)
    grid = Grid(other.pop("west", WEST), other.pop("north", NORTH), cell, *depths.shape, other.pop("crs", CRS))

    def where(values: ArrayLike, missing: float, kind: type) -> Any:
        return np.where(known, np.broadcast_to(np.asarray(values, dtype=np.float64), depths.shape), missing).astype(
            kind
        )

    return Surface(
        grid, depths, where(uncertainty, NAN, np.float32), where(0.05, NAN, np.float32), depths - np.float32(0.2),
        where(density, 0, np.int32), where(1, 0, np.int32), other.pop("method", "cube"),
        other.pop("parameters", {"queue_length": 11.0, "capture_scale": 0.05, "order": "1a"}), other.pop("vertical_datum", "MSL"),
    )  # fmt: skip


def hills(rows: int = 60, columns: int = 80, seed: int = 1, **more: Any) -> Surface:
    """Some 15 m of water over gentle hills, with one corner empty and an uncertainty that varies."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    depth = 15.0 + 1.5 * np.sin(x / 9.0) * np.cos(y / 11.0) + rng.normal(0.0, 0.01, (rows, columns))
    depth[: rows // 4, : columns // 4] = NAN
    return surface(
        depth,
        uncertainty=0.1 + 0.02 * rng.random((rows, columns)),
        density=rng.integers(8, 30, (rows, columns)),
        **more,
    )


def lines(count: int = 3, pings: int = 40, beams: int = 50, seed: int = 3, **more: Any) -> Soundings:
    """Soundings on parallel lines; one in twenty is rejected, and an outlier."""
    rng = np.random.default_rng(seed)
    line, ping, beam = (part.ravel() for part in np.meshgrid(range(count), range(pings), range(beams), indexing="ij"))
    x = WEST + 5.0 + beam + 20.0 * line + rng.normal(0.0, 0.1, line.size)
    y = NORTH - 5.0 - ping + rng.normal(0.0, 0.1, line.size)
    depth = 15.0 + 0.01 * (x - WEST) + rng.normal(0.0, 0.05, line.size)
    accepted = rng.random(line.size) > 0.05
    depth[~accepted] += 8.0
    return Soundings(
        x, y, depth, np.full(line.size, more.pop("tvu", 0.2)), np.full(line.size, more.pop("thu", 0.5)), accepted,
        line.astype(np.int32), ping.astype(np.int64) * 3 + 7, beam.astype(np.int32), more.pop("crs", CRS),
        more.pop("vertical_datum", "MSL"), more.pop("lines", tuple(f"S1/line {number + 1}.gsf" for number in range(count))),
    )  # fmt: skip
