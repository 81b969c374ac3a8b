"""The report of the checks, as the file that AusSeabed asks for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.judge.profiles import Profile
from pipeline_assets.bathymetry.judge.qajson import as_text, report
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.surface import Surface


def write_qa_report(
    surface: Surface,
    judged: Sequence[Judged],
    profile: Profile,
    provenance: Provenance,
    files: Sequence[str],
    path: Path,
    *,
    start: datetime,
    end: datetime,
) -> Path:
    """QAJSON of all checks. files: those of the surface that were judged. start, end: of judging."""
    parameters: dict[str, int | float | str] = {
        "survey": provenance.survey, "engine": f"{provenance.engine} {provenance.version}", "method": surface.method,
        "cell (m)": surface.grid.cell, "crs": surface.grid.crs, "vertical datum": surface.vertical_datum,
    }  # fmt: skip
    document = report(judged, profile, surface.grid, files, start=start, end=end, parameters=parameters)
    path.write_text(as_text(document), encoding="utf-8")
    return path
