"""Every check of a surface, with the id under which hydrographers' tools know it, and all of them made by a profile."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pipeline_assets.bathymetry.judge import coverage, fliers, order_checks, sanity
from pipeline_assets.bathymetry.judge.judged import Judged, Mask
from pipeline_assets.bathymetry.judge.profiles import Profile
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Surface


@dataclass(frozen=True)
class CheckInfo:
    """What people should know of a check. id: of QAX where it has the check; ours otherwise, and always the same."""

    name: str
    title: str
    id: str
    description: str


def _own(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://strandline.example/bathymetry/checks/{name}"))


CHECKS: Mapping[str, CheckInfo] = {
    info.name: info
    for info in (
        CheckInfo(
            "tvu", "Total Vertical Uncertainty Check", "b5c0469c-6559-4aea-bf9c-d0b337550e89",
            "The vertical uncertainty of each cell is within what the order of the survey allows.",
        ),
        CheckInfo(
            "thu", "Total Horizontal Uncertainty Check", _own("thu"),
            "The horizontal uncertainty of the soundings is within what the order of the survey allows.",
        ),
        CheckInfo(
            "density", "Density Check", "5e2afd8a-2ced-4de8-80f5-111c459a7175", "Enough cells hold enough soundings.",
        ),
        CheckInfo(
            "resolution", "Resolution Check", "c73119ea-4f79-4001-86e3-11c4cbaaeb2d",
            "Cells are small enough for the features that must be found at their depth.",
        ),
        CheckInfo(
            "holes_and_gaps", "Data Hole and Data Gap Check", "d095f584-a4aa-4f92-b123-336e1e328289",
            "Groups of cells with too few soundings are few, and none is large.",
        ),
        CheckInfo(
            "holidays", "Holiday Check", _own("holidays"), "No empty place among the data is large enough to hide a feature.",
        ),
        CheckInfo(
            "fliers", "Flier Finder Check", "04519264-00ec-4e48-8abc-23cdf3c4913e",
            "No cell stands out from those around it as a flier does.",
        ),
        CheckInfo(
            "uncertainty_sanity", "Uncertainty Sanity Check", _own("uncertainty_sanity"),
            "Every depth has an uncertainty that can be one.",
        ),
        CheckInfo(
            "crs_and_datum", "CRS and Vertical Datum Check", _own("crs_and_datum"),
            "The surface lies where its CRS says, and says which vertical datum it is below.",
        ),
        CheckInfo(
            "bag_structure", "BAG Structure Check", _own("bag_structure"), "The BAG has what its format asks, in order.",
        ),
        CheckInfo("cog", "COG Check", _own("cog"), "The GeoTIFF is cloud-optimized, whole and in order."),
        CheckInfo(
            "regression", "Regression Check", _own("regression"), "The surface agrees with a known one within uncertainties.",
        ),
        CheckInfo("engines", "Engine Comparison", _own("engines"), "The surfaces of two engines agree within uncertainties."),
    )
}  # fmt: skip

_OF_SURFACE: Mapping[str, Callable[[Surface, Profile, Mask | None], Judged]] = {
    "tvu": order_checks.tvu,
    "density": order_checks.density,
    "resolution": order_checks.resolution,
    "holes_and_gaps": coverage.holes_and_gaps,
    "holidays": coverage.holidays,
    "fliers": fliers.fliers,
    "uncertainty_sanity": sanity.uncertainty_sanity,
}


def judge_surface(
    surface: Surface,
    profile: Profile,
    soundings: Soundings | Iterable[Soundings] | None = None,
    positions: tuple[float, float, float, float] | None = None,
    own: Mask | None = None,
) -> list[Judged]:
    """Every check that the profile asks for, in its order; of soundings, when they are given, THU as well.

    soundings: all, or piece by piece. positions: as `sanity.crs_and_datum` has them. own: as `judged.own_depths` has it.
    """
    judged = []
    for name in profile.asked:
        if name == "crs_and_datum":
            judged.append(sanity.crs_and_datum(surface, profile, positions))
        else:
            judged.append(_OF_SURFACE[name](surface, profile, own))
    if soundings is not None and profile.limits.thu_m is not None:
        judged.append(order_checks.thu(soundings, surface.grid, profile))
    return judged


def state_of(judged: Judged, profile: Profile) -> str:
    """What the report calls it: ``pass``, ``fail`` of a blocking check, or ``warning``.

    A blocking check that could not be made fails, as in QAX: it is not shown that the surface keeps the order.
    """
    if judged.passed:
        return "pass"
    return "fail" if judged.name in profile.blocking else "warning"


def blocks(judged: list[Judged], profile: Profile) -> list[Judged]:
    """The findings for which the surface fails its profile."""
    return [one for one in judged if state_of(one, profile) == "fail"]
