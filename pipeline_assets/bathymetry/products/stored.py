"""A surface in one compact file, for the products that are made of it: NumPy's .npz, with a header of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.surface import LAYERS as LAYERS
from pipeline_assets.bathymetry.surface import Grid, Surface

SURFACE_FILE = "surface.npz"
_MOMENTS = ("made_at", "start", "end")


def save_surface(surface: Surface, provenance: Provenance, folder: Path) -> Path:
    """Writes `surface.npz`: the layers, and as `header` the grid, method, parameters, datum and provenance in UTF-8."""
    header = {
        "grid": asdict(surface.grid), "method": surface.method, "parameters": dict(surface.parameters),
        "vertical_datum": surface.vertical_datum, "provenance": asdict(provenance),
    }  # fmt: skip
    said = np.frombuffer(json.dumps(header, default=datetime.isoformat, ensure_ascii=False).encode(), np.uint8)
    layers: dict[str, Any] = {name: getattr(surface, name) for name in LAYERS}
    path = folder / SURFACE_FILE
    np.savez_compressed(path, header=said, **layers)
    return path


def load_surface(folder: Path) -> tuple[Surface, Provenance]:
    """What `save_surface` wrote in a folder."""
    with np.load(folder / SURFACE_FILE, allow_pickle=False) as stored:
        header = json.loads(stored["header"].tobytes())
        layers = {name: stored[name] for name in LAYERS}
    told = header["provenance"]
    for name in _MOMENTS:
        told[name] = None if told[name] is None else datetime.fromisoformat(told[name])
    told["commands"] = tuple(told["commands"])
    surface = Surface(
        grid=Grid(**header["grid"]), method=header["method"], parameters=header["parameters"],
        vertical_datum=header["vertical_datum"], **layers,
    )  # fmt: skip
    return surface, Provenance(**told)
