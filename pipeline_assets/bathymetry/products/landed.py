"""Surfaces that land ready-made, as products: kept like the one that is made here, and held against their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pipeline_assets.bathymetry.judge.checks import judge_surface
from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.judge.profiles import SURFACE_CHECKS, Profile, profile_of
from pipeline_assets.bathymetry.landed_rows import FromRows, from_rows
from pipeline_assets.bathymetry.products.described import described
from pipeline_assets.bathymetry.products.gridding import rows_together, surface_row
from pipeline_assets.bathymetry.products.landed_folder import LandedHere, landed_here, write_told
from pipeline_assets.bathymetry.products.pictures import hillshade_png
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.products.quality import rows_of, table_of, worst, write_findings
from pipeline_assets.bathymetry.products.stored import save_surface
from pipeline_assets.bathymetry.products.survey import file_stem
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.bathymetry.vertical_datums import VERTICAL_DATUMS, short_name
from pipeline_assets.product import Finding, Making, ProductResult

JUDGED = (*SURFACE_CHECKS, "bag_structure", "cog")
"""The checks that a surface can be put to of which nothing but its files is there."""
UNKNOWN_VERSION = "unknown"


def make_landed_surface(making: Making) -> ProductResult:
    """A folder for each surface with `surface.npz` and its relief; a row of each for SQL."""
    found = from_rows(making.rows["landed_surfaces"], making.rows["landed_cells"])
    made_at = datetime.now(UTC).replace(microsecond=0)
    picture, rows, kept = b"", [], []
    for one in found:
        provenance = _provenance(one, making.partition, made_at)
        folder = making.folder / provenance.survey
        folder.mkdir()
        save_surface(one.surface, provenance, folder)
        relief = hillshade_png(one.surface)
        (folder / f"{provenance.survey}_relief.png").write_bytes(relief)
        picture = picture or relief
        rows.append(surface_row(one.surface, provenance, making.partition, 0, one.name))
        kept.append((one, provenance.survey))
    write_told(making.folder, kept)
    first = found[0]
    return ProductResult(
        markdown=_surfaces_table(found),
        picture=picture,
        metadata={"surfaces": len(found), "shown": first.name, **described(first.surface)},
        rows={"surfaces": rows_together(rows)},
    )


def _provenance(one: FromRows, survey: str, made_at: datetime) -> Provenance:
    return Provenance(
        survey=file_stem(one.name), profile=one.order, engine=one.surface.method, version=UNKNOWN_VERSION, made_at=made_at,
        inputs=one.files, abstract=f"Surface that landed ready-made with the survey {survey}",
    )  # fmt: skip


def _surfaces_table(found: Sequence[FromRows]) -> str:
    told = ["| surface | cells | cell (m) | depths (m) | uncertainty (m) | datum |", "|---|--:|--:|--:|--:|---|"]
    for one in found:
        said = described(one.surface)
        depths = f"{said.get('depth least (m)')} to {said.get('depth greatest (m)')}"
        uncertain = said.get("uncertainty median (m, 95 %)", "none")
        name = one.name.replace("|", "\\|") + (" (golden)" if one.is_golden else "")
        told.append(
            f"| {name} | {said['cells with a depth']:,} | {one.surface.grid.cell:g} | {depths} | {uncertain} | "
            f"{one.surface.vertical_datum} |"
        )
    return "\n".join(told)


def make_landed_checks(making: Making) -> ProductResult:
    """Judges each surface by the profile of the survey's order, with what was found of its files when they were read."""
    landed = landed_here(making.products["landed_surface"])
    judged_of: list[tuple[LandedHere, Profile, list[Judged]]] = []
    rows, told = [], []
    picture = b""
    for one in landed:
        started = datetime.now(UTC)
        surface, provenance = one.load()
        profile = profile_of(provenance.profile)
        judged = [_with_datums(found, surface, one) for found in judge_surface(surface, profile)] + _of_files(
            one.checks
        )
        folder = making.folder / provenance.survey
        folder.mkdir()
        files = [key.rsplit("/", 1)[-1] for key in one.files]
        results = write_findings(surface, judged, provenance, files, folder, started)
        rows.append(rows_of(results, making.partition, profile.name, surface.method, one.name))
        told += [f"**{one.name}**, {profile.title}", table_of(results)]
        picture = picture or (folder / f"{provenance.survey}_uncertainties.png").read_bytes()
        judged_of.append((one, profile, judged))
    states = [state for row in rows for state in row["state"]]
    return ProductResult(
        markdown="\n\n".join(told),
        picture=picture,
        metadata={
            "surfaces": len(landed), "passed": states.count("pass"), "warnings": states.count("warning"),
            "failed": states.count("fail"),
        },
        checks={name: _worst(name, judged_of) for name in JUDGED},
        rows={"check_results": rows_together(rows)},
    )  # fmt: skip


def _with_datums(judged: Judged, surface: Surface, one: LandedHere) -> Judged:
    """The check of CRS and datum fails where a file says another vertical datum than what is declared of the survey."""
    datum = short_name(surface.vertical_datum)
    others = [
        own for own in one.datums if short_name(own) != datum and {short_name(own), datum} <= VERTICAL_DATUMS.keys()
    ]
    if judged.name != "crs_and_datum" or not others:
        return judged
    problem = f"The file says that its depths are below {others[0]}, and {datum} is declared of the survey. Correct the one or the other."
    message = problem if judged.passed else f"{judged.message} {problem}"
    problems = int(judged.metadata.get("problems", 0)) + 1
    return replace(judged, passed=False, share=0.0, message=message, metadata={**judged.metadata, "problems": problems})


def _of_files(checks: Sequence[Judged]) -> list[Judged]:
    """One finding for each check of files, the first that did not pass where a surface is several files."""
    by_name: dict[str, Judged] = {}
    for check in checks:
        if check.name not in by_name or by_name[check.name].passed:
            by_name[check.name] = check
    return list(by_name.values())


def _worst(name: str, judged_of: Sequence[tuple[LandedHere, Profile, list[Judged]]]) -> Finding:
    """The finding of all surfaces, by name where there are several."""
    finding = worst(name, [(one.name, profile, judged) for one, profile, some in judged_of for judged in some])
    why = {"bag_structure": "no BAG landed", "cog": "no GeoTIFF landed"}
    return finding or Finding(True, why.get(name, f"{judged_of[0][1].title} does not ask for it"))
