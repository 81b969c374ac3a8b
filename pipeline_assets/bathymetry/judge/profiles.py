"""How strictly a surface is judged, by profile: an order of survey, and what its users ask beyond it. Data.

The numbers of the orders are in s44.py. What is checked, and which findings are more than a warning, follows AusSeabed's QAX
(its specifications of the IHO orders and HIPP) and, for NOAA, QC Tools (https://www.hydroffice.org/manuals/qctools).
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline_assets.bathymetry.s44 import Order, order_of

SURFACE_CHECKS = (
    "tvu", "density", "resolution", "holes_and_gaps", "holidays", "fliers", "uncertainty_sanity", "crs_and_datum",
)  # fmt: skip
"""The checks that need nothing but a surface."""

_SOUND = frozenset({"uncertainty_sanity", "crs_and_datum"})


@dataclass(frozen=True)
class Profile:
    """What a surface is held against.

    order: its name in s44.py. blocking: checks that fail a surface; the others warn.
    without: checks that this profile does not ask for.
    thu_share, resolution_share: least share of soundings, and of cells, that keep the order's limits.
    hole_cells: a group of cells with too few soundings is a hole if it holds a full block of so many cells by as many; a
    smaller one is a gap. AusSeabed's Finder Grid Checks ask 3 since May 2024, and 2 before.
    hole_share, gap_share: most area of holes, and of gaps, as shares of the surface. sparse: below so many soundings a cell
    counts as empty, in an order that asks no density.
    holidays: which empty places among the data count, "full_coverage" (a square of empty cells), "object_detection" (a row
    or column of them) or "all_holes".
    holiday_area_max: larger ones are no holidays, in multiples of the smallest.
    """

    name: str
    title: str
    order: str
    blocking: frozenset[str]
    without: frozenset[str] = frozenset()
    thu_share: float = 0.95
    resolution_share: float = 1.0
    hole_cells: int = 3
    hole_share: float = 0.0
    gap_share: float = 0.02
    sparse: int = 5
    holidays: str = "full_coverage"
    holiday_area_max: int = 1000

    @property
    def limits(self) -> Order:
        return order_of(self.order)

    @property
    def asked(self) -> tuple[str, ...]:
        """The checks of a surface that this profile asks for."""
        return tuple(name for name in SURFACE_CHECKS if name not in self.without)


_NO_FEATURES = frozenset({"density", "resolution", "holes_and_gaps", "holidays"})

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "exclusive", "IHO S-44 Exclusive Order", "exclusive", _SOUND | {"tvu", "thu", "density", "resolution"},
            holidays="object_detection",
        ),
        Profile(
            "special", "IHO S-44 Special Order", "special", _SOUND | {"tvu", "thu", "density", "resolution"},
            holidays="object_detection",
        ),
        Profile("1a", "IHO S-44 Order 1a", "1a", _SOUND | {"tvu", "thu", "density"}),
        Profile(
            "1b", "IHO S-44 Order 1b", "1b", _SOUND | {"tvu", "thu"},
            without=frozenset({"density", "holes_and_gaps", "holidays"}),
        ),
        Profile("2", "IHO S-44 Order 2", "2", _SOUND | {"tvu", "thu"}, without=_NO_FEATURES),
        Profile("hipp1", "HIPP 1", "hipp1", _SOUND | {"tvu", "density", "resolution", "holes_and_gaps"}),
        Profile("hipp2", "HIPP 2", "hipp2", _SOUND | {"tvu", "density", "resolution", "holes_and_gaps"}),
        Profile("hipp_passage", "HIPP Passage", "hipp_passage", _SOUND | {"tvu"}, without=frozenset({"density"})),
        Profile("noaa", "NOAA hydrographic surveys", "noaa", _SOUND | {"tvu", "thu", "density", "holidays"}),
    )
}  # fmt: skip
"""Every profile by its name."""


def profile_of(name: str) -> Profile:
    """The profile of a name. Raises ValueError that lists the names."""
    if name not in PROFILES:
        raise ValueError(f"no profile is called {name!r}; expected one of: {', '.join(PROFILES)}")
    return PROFILES[name]
