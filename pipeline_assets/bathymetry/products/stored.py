"""A surface in one compact file, for the products that are made of it: NumPy's .npz, with a header of JSON. The surfaces of a
survey whose cells grow with depth are parts, a file each, beside the file of all of them brought together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.grid.ladder import Places
from pipeline_assets.bathymetry.grid.together import Together, shared_cell
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.surface import LAYERS as LAYERS
from pipeline_assets.bathymetry.surface import Grid, Surface
from pipeline_assets.landed_file import Refused

SURFACE_FILE = "surface.npz"
PLACES_FILE = "places.npz"
_MOMENTS = ("made_at", "start", "end")


def save_surface(surface: Surface, provenance: Provenance, folder: Path) -> Path:
    """Writes `surface.npz`, of a part `surface_<part>.npz`: the layers, and as `header` the grid, method, parameters, datum and
    provenance in UTF-8."""
    header = {
        "grid": asdict(surface.grid), "method": surface.method, "parameters": dict(surface.parameters),
        "vertical_datum": surface.vertical_datum, "provenance": asdict(provenance),
    }  # fmt: skip
    layers: dict[str, Any] = {name: getattr(surface, name) for name in LAYERS}
    path = folder / _file(provenance.part)
    np.savez_compressed(path, header=_packed(header), **layers)
    return path


def load_surface(folder: Path, part: str = "") -> tuple[Surface, Provenance]:
    """What `save_surface` wrote in a folder."""
    with np.load(folder / _file(part), allow_pickle=False) as stored:
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


def save_parts(
    places: Places, surfaces: Iterable[tuple[int, Surface]], provenance: Provenance, folder: Path
) -> Surface:
    """Writes the surface of each step that has depths, the places, and as `surface.npz` all of them together, which it gives.

    Raises Refused `no_soundings` if none has.
    """
    together, has_any = Together(places, shared_cell(places)), False
    for step, surface in surfaces:
        if not np.isfinite(surface.depth).any():
            continue
        has_any = True
        save_surface(surface, replace(provenance, part=part_name(places.cell(step))), folder)
        together.add(surface)
    if not has_any:
        raise Refused(
            "no_soundings",
            "no sounding is left that can be gridded; expected some that are accepted. Look at the flags of the lines, and at what the "
            "filter leaves out",
        )
    header = {"grid": asdict(places.grid), "ladder": places.ladder, "vertical_datum": places.vertical_datum}
    np.savez_compressed(folder / PLACES_FILE, header=_packed(header), step=places.step)
    whole = together.surface()
    save_surface(whole, provenance, folder)
    return whole


@dataclass(frozen=True)
class Part:
    """The surface of one step of a survey's ladder, or the only one of a survey whose cells are of one size; `step` is then -1."""

    step: int
    surface: Surface
    provenance: Provenance

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"surface_{self.provenance.part}" if self.provenance.part else "surface"


def load_places(folder: Path) -> Places | None:
    """Which step each place has; None for a survey whose cells are of one size."""
    if not (folder / PLACES_FILE).is_file():
        return None
    with np.load(folder / PLACES_FILE, allow_pickle=False) as stored:
        header = json.loads(stored["header"].tobytes())
        step = stored["step"]
    ladder = tuple((float(depth), float(cell)) for depth, cell in header["ladder"])
    return Places(Grid(**header["grid"]), step, ladder, header["vertical_datum"])


def load_parts(folder: Path) -> Iterator[Part]:
    """The surfaces of a survey by their cells, the smallest first, one at a time; a single one where cells are of one size."""
    places = load_places(folder)
    if places is None:
        yield Part(-1, *load_surface(folder))
        return
    for step in places.steps:
        part = part_name(places.cell(step))
        if (folder / _file(part)).is_file():
            yield Part(step, *load_surface(folder, part))


def part_name(cell: float) -> str:
    """What a part of such cells is called, as NOAA names files: `50cm`, `1m`, `16m`."""
    return f"{cell:g}m" if cell >= 1 else f"{cell * 100:g}cm"


def _file(part: str) -> str:
    return f"surface_{part}.npz" if part else SURFACE_FILE


def _packed(header: dict[str, Any]) -> Any:
    return np.frombuffer(json.dumps(header, default=datetime.isoformat, ensure_ascii=False).encode(), np.uint8)
