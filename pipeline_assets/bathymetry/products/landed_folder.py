"""The folder of the product `landed_surface`: a surface in a folder each, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.landed_rows import FromRows, check_of, check_told
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.products.stored import load_surface
from pipeline_assets.bathymetry.surface import Surface

LANDED_FILE = "landed.json"


@dataclass(frozen=True)
class LandedHere:
    """A surface that landed, as the product keeps it. checks: of its files' own order. datums: as its files call theirs."""

    name: str
    folder: Path
    is_golden: bool
    files: tuple[str, ...]
    datums: tuple[str, ...]
    checks: tuple[Judged, ...]

    def load(self) -> tuple[Surface, Provenance]:
        return load_surface(self.folder)


def write_told(folder: Path, surfaces: Sequence[tuple[FromRows, str]]) -> None:
    """What `landed_here` reads. surfaces: each with the name of its folder."""
    told = [
        {
            "name": one.name, "folder": at, "is_golden": one.is_golden, "files": sorted(one.files), "datums": one.datums,
            "checks": [check_told(check) for check in one.checks],
        }
        for one, at in surfaces
    ]  # fmt: skip
    text = json.dumps({"surfaces": told}, ensure_ascii=False, indent=1)
    (folder / LANDED_FILE).write_text(text + "\n", encoding="utf-8")


def landed_here(folder: Path) -> list[LandedHere]:
    """The surfaces of the product, by name."""
    told = json.loads((folder / LANDED_FILE).read_text(encoding="utf-8"))
    return [
        LandedHere(
            one["name"], folder / one["folder"], one["is_golden"], tuple(one["files"]), tuple(one["datums"]),
            tuple(check_of(check) for check in one["checks"]),
        )
        for one in told["surfaces"]
    ]  # fmt: skip
