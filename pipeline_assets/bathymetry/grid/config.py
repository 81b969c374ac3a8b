"""What the gridding engine can be told."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline_assets.bathymetry.s44 import order_of

Method = Literal["cube", "weighted_mean", "median", "shoalest", "mean"]
Disambiguation = Literal["density", "prior", "locale", "density_locale"]

CALDER_INNER_M, CALDER_OUTER_M = 5.0, 10.0
"""Between these distances the published CUBE looks for a node to be guided by, m."""

HALF_DIAGONAL = 0.7072
"""Of a cell of edge 1, with a little more, so that a sounding in its corner is captured."""


class CubeParameters(BaseModel):
    """Parameters of CUBE, by default those that CARIS HIPS calls Default, with two exceptions: see `capture_min_m` and
    `locale_radius_cells`.

    Sources: Calder and Mayer, Automatic processing of high-rate, high-density multibeam echosounder data, Geochemistry
    Geophysics Geosystems 4(6), 2003, https://doi.org/10.1029/2002GC000486; monitoring after West and Harrison, Bayesian
    Forecasting and Dynamic Models, 2nd edition, 1997, 11.5.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    queue_length: int = Field(
        11, ge=1, le=101, description="soundings of the median queue before a node; an odd number"
    )
    quotient_limit: float = Field(
        255.0, gt=0, description="outlier quotient from which a sounding of the queue is thrown away"
    )
    discount: float = Field(1.0, gt=0, le=1, description="discount factor of the evolution noise; 1: none")
    estimate_offset: float = Field(
        4.0, gt=0, description="offset from the estimate that counts as a change, standard deviations"
    )
    bayes_factor_threshold: float = Field(
        0.135, gt=0, lt=1, description="Bayes factor below which a sounding does not belong to a hypothesis"
    )
    run_length: int = Field(
        5, ge=1, description="length of a run of doubtful soundings after which the next begins a hypothesis"
    )
    distance_exponent: float = Field(
        2.0, gt=0, description="exponent with which a sounding's variance grows by distance"
    )
    capture_scale: float = Field(
        0.05, gt=0, le=1, description="how far from a node soundings are taken, share of their depth"
    )
    capture_min_m: float | None = Field(
        None,
        gt=0,
        description="the least such distance, m; by default 0.5 m and no less than half a cell's diagonal, because below that "
        "soundings in a cell's corner would be lost",
    )
    horizontal_error_scale: float = Field(
        2.95, ge=0, description="standard deviations of position that are added to a sounding's distance"
    )
    disambiguation: Disambiguation = Field(
        "density_locale",
        description="which of a node's hypotheses is taken: density (also called prior), the one with most soundings; locale, "
        "the one closest to its surroundings; density_locale, locale where density decides weakly",
    )
    density_strength_cutoff: float = Field(
        2.0,
        ge=0,
        le=5,
        description="strength (0 certain, 5 none) above which density_locale asks the surroundings",
    )
    locale_strength_max: float = Field(
        2.5, ge=0, le=5, description="strength up to which a node counts among surroundings"
    )
    locale_radius_cells: int | None = Field(
        None,
        ge=1,
        le=100,
        description="how far surroundings reach, cells; by default from 5 to 10 m, as published",
    )
    uncertainty: Literal["posterior", "sample", "greater"] = Field(
        "posterior",
        description="what is given as uncertainty: CUBE's own, 1.96 standard deviations of the soundings, or the greater",
    )

    @field_validator("queue_length")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("the median queue needs an odd length")
        return value

    def capture_min(self, cell: float) -> float:
        """The least capture distance on cells of this edge, m."""
        return self.capture_min_m if self.capture_min_m is not None else max(0.5, HALF_DIAGONAL * cell)

    def locale_rings(self, cell: float) -> tuple[int, int]:
        """The first and last ring of cells around a node that count as its surroundings."""
        if self.locale_radius_cells is not None:
            return 1, self.locale_radius_cells
        return max(1, int(CALDER_INNER_M / cell)), max(1, int(CALDER_OUTER_M / cell))


Ladder = tuple[tuple[float, float], ...]
"""Pairs of the depth down to which (m) and the edge of a cell (m), both rising."""

LADDERS: Mapping[str, Ladder] = {
    "noaa_complete_coverage": ((20.0, 1.0), (40.0, 2.0), (80.0, 4.0), (160.0, 8.0), (320.0, 16.0)),
    "noaa_object_detection": ((20.0, 0.5), (40.0, 1.0), (80.0, 4.0), (160.0, 8.0), (320.0, 16.0)),
}
"""NOAA's, of surfaces of variable resolution (Hydrographic Surveys Specifications and Deliverables, 5.2.2; in QC Tools' manual, Holiday
Finder). Their ranges do not overlap; those of several surfaces of one resolution each (0-20, 18-40, 36-80, ...) do."""


def check_ladder(ladder: Ladder) -> Ladder:
    """Raises ValueError unless depths and cells rise and all cells fit into the largest."""
    depths, cells = [depth for depth, _ in ladder], [cell for _, cell in ladder]
    for values in (depths, cells):
        if any(not 0 < value < math.inf for value in values) or any(
            more <= less for less, more in itertools.pairwise(values)
        ):
            raise ValueError("depths and cells must be above 0, and each greater than the one before")
    if cells and any(abs(cells[-1] / cell - round(cells[-1] / cell)) > 1e-9 for cell in cells):
        raise ValueError("the largest cell must be a whole multiple of each")
    return ladder


class GridConfig(BaseModel):
    """How a survey's soundings become a surface."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = Field("cube", description="cube, weighted_mean, median, shoalest or mean")
    cell_m: float = Field(1.0, gt=0, description="edge of a cell, m")
    ladder: Ladder = Field(
        (),
        description="cells that grow with depth: pairs of the depth down to which (m) and the edge of a cell (m), both rising; "
        "one surface a pair. Empty: cell_m everywhere",
    )
    order: str = Field(
        "1a",
        description="S-44 order whose vertical uncertainty bounds how far a sounding counts, and stands for one that is unknown",
    )
    cube: CubeParameters = Field(
        default_factory=lambda: CubeParameters.model_validate({}), description="parameters of CUBE"
    )
    threads: int = Field(2, ge=1, le=64, description="threads that grid; the surface does not depend on their number")
    tile_cells: int = Field(256, ge=8, le=4096, description="edge of a tile, cells; the surface does not depend on it")
    max_cells: int = Field(
        100_000_000,
        ge=1,
        description="most cells of a surface, each some 40 bytes while it is made; guards against a sounding far off",
    )

    @field_validator("order")
    @classmethod
    def _known(cls, value: str) -> str:
        return order_of(value).name

    @field_validator("ladder")
    @classmethod
    def _rising(cls, value: Ladder) -> Ladder:
        return check_ladder(value)

    def described(self, cell: float) -> dict[str, float | str]:
        """The parameters that a surface of this method came from, by name."""
        said: dict[str, float | str] = {"cell_m": cell, "order": self.order}
        if self.method == "cube":
            said |= {name: value for name, value in self.cube.model_dump().items() if value is not None}
            said["capture_min_m"] = self.cube.capture_min(cell)
            first, last = self.cube.locale_rings(cell)
            said |= {"locale_first_ring_cells": first, "locale_last_ring_cells": last}
            said.pop("locale_radius_cells", None)
        return said
