"""A survey's surface held against others of the same place: a golden one that it must agree with, and other engines'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.judge.compare import compare
from pipeline_assets.bathymetry.judge.judged import Judged, not_judged
from pipeline_assets.bathymetry.landed_surface.bag import read_bag
from pipeline_assets.bathymetry.landed_surface.geotiff import read_geotiff
from pipeline_assets.bathymetry.products.landed_folder import LandedHere, landed_here
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.products.stored import SURFACE_FILE, load_surface
from pipeline_assets.bathymetry.products.survey import file_stem
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.bathymetry.vertical_datums import is_declared
from pipeline_assets.landed_file import Refused
from pipeline_assets.product import Making

NOTHING_TO_COMPARE = {
    "regression": "no golden surface is declared for this survey",
    "engines": "there is no surface of another engine of this survey",
}
_GOLDEN = (".bag", ".tif", ".tiff")


def compared(making: Making, surface: Surface, provenance: Provenance) -> list[Judged]:
    """The checks `regression` and `engines`, each where there is something to hold the surface against."""
    config: BathymetryConfig = making.config
    landed = landed_here(making.products["landed_surface"]) if "landed_surface" in making.products else []
    named = making.rows["lines"]["golden"][0].as_py()
    return [
        *_regression(named, landed, surface, making.partition, config),
        *_engines(making, landed, surface, provenance),
    ]


def _regression(
    named: str | None, landed: list[LandedHere], surface: Surface, survey: str, config: BathymetryConfig
) -> Iterator[Judged]:
    if named is not None:
        golden = next((one for one in landed if one.is_golden), None)
        if golden is None:
            yield not_judged(
                "regression", config.agree_share,
                f"survey.json names {named!r} as the golden surface, and none such was read. Land it in the survey's folder, or look "
                "at why it was refused",
            )  # fmt: skip
        else:
            yield _held_against(surface, golden.load()[0], "regression", golden.name, config)
    elif (path := _golden_file(survey, config.goldens)) is not None:
        try:
            golden_surface = _read_golden(path, surface, config)
        except Refused as refused:
            yield not_judged(
                "regression", config.agree_share, f"the golden surface {path.name} cannot be read: {refused.message}"
            )
        else:
            yield _held_against(surface, golden_surface, "regression", path.name, config)


def _golden_file(survey: str, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    return next((path for end in _GOLDEN if (path := folder / f"{file_stem(survey)}{end}").is_file()), None)


def _read_golden(path: Path, like: Surface, config: BathymetryConfig) -> Surface:
    """A golden surface, on the datum of the one that it is for, where it does not say its own."""
    if path.suffix != ".bag":
        return read_geotiff([path], like.vertical_datum, max_cells=config.max_cells)
    # One of several resolutions is brought to these cells.
    found = read_bag(path, config.max_cells, like.grid.cell)
    return found if is_declared(found.vertical_datum) else replace(found, vertical_datum=like.vertical_datum)


def _engines(making: Making, landed: list[LandedHere], surface: Surface, provenance: Provenance) -> Iterator[Judged]:
    """The worst agreement with a surface that another engine made of the survey: what landed ready-made beside its lines, and
    what lies among its products.
    """
    config: BathymetryConfig = making.config
    found = []
    for name, folder in making.products.items():
        if name not in ("surface", "landed_surface") and (folder / SURFACE_FILE).is_file():
            other, made = load_surface(folder)
            if made.engine != provenance.engine:
                found.append(_held_against(surface, other, "engines", f"{name} ({made.engine})", config))
    found += [_held_against(surface, one.load()[0], "engines", one.name, config) for one in landed if not one.is_golden]
    if found:
        # What could not be compared comes first, then what agrees least.
        yield min(found, key=lambda one: (one.passed, not one.not_judged, 0.0 if one.not_judged else one.share))


def _held_against(surface: Surface, other: Surface, check: str, name: str, config: BathymetryConfig) -> Judged:
    judged = compare(
        surface, other, check, share=config.agree_share, same_cells=config.agree_cells_share,
        tolerance_m=config.agree_tolerance_m,
    )  # fmt: skip
    why = f"{name}: {judged.not_judged}" if judged.not_judged else ""
    told = f"not judged: {why}" if why else f"{name}: {judged.message}"
    return replace(judged, message=told, not_judged=why, metadata={"other surface": name, **judged.metadata})
