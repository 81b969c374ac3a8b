"""The QARTOD tests of a file: which are done for which parameter, with which limits, in which order of rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ocean import qartod
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.extent import wrapped
from pipeline_assets.ocean.limits import Climatology, Limits
from pipeline_assets.ocean.read.cruise_file import CruiseFile, Parameter

TESTS = ("gross_range", "climatology", "spike", "rate_of_change", "flat_line")
_EARTH_RADIUS_M = 6_371_000.0
_LONGEST_BETWEEN_CASTS_S = 86_400 * 30.0


@dataclass(eq=False)
class Order:
    """Rows as the tests go along them: cast by cast, and within a cast along pressure or time.

    rows: positions in the file; None if they stand in that order already. starts: where a cast begins.
    along: pressure (dbar) or time (s) of each. apart: where the step from the one before is too long for neighbours.
    """

    rows: NDArray[np.int64] | None
    starts: NDArray[np.bool_]
    along: NDArray[np.float64]
    apart: NDArray[np.bool_] | None

    @cached_property
    def steps(self) -> NDArray[np.float64]:
        """The median step of each cast."""
        return qartod.median_steps(self.along, self.starts)

    def sorted(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values if self.rows is None else values[self.rows]

    def back(self, flags: NDArray[np.int8]) -> NDArray[np.int8]:
        if self.rows is None:
            return flags
        placed = np.empty_like(flags)
        placed[self.rows] = flags
        return placed


def order_of(file: CruiseFile, time: NDArray[np.datetime64], config: OceanConfig) -> Order:
    """How the tests go along a file's rows. Samples go down by pressure; levels and series as they stand."""
    along = file.pressure
    if file.axis == "time":
        along = np.where(np.isnat(time), np.nan, time.astype("datetime64[us]").astype(np.int64) / 1e6)
    index = file.cast_index
    rows: NDArray[np.int64] | None = None
    if file.is_samples:
        rows = np.lexsort((along, index))
    elif np.any(index[1:] < index[:-1]):
        rows = np.argsort(index, kind="stable")
    if rows is not None:
        index, along = index[rows], along[rows]
    starts = np.ones(len(index), dtype=bool)
    starts[1:] = index[1:] != index[:-1]
    apart = None
    if file.axis == "pressure":
        apart = np.zeros(len(index), dtype=bool)
        apart[1:] = ~(np.abs(np.diff(along)) <= config.neighbour_max_dbar)
    return Order(rows, starts, along, apart)


def judge_parameter(
    file: CruiseFile, parameter: Parameter, order: Order, months: NDArray[np.int64] | None, config: OceanConfig
) -> dict[str, NDArray[np.int8]]:
    """The flags of each test of `TESTS` for every row of one parameter."""
    limits = config.limits_of(parameter.standard_name, parameter.name)
    climatology = [one for one in config.climatology if one.parameter in (parameter.name, parameter.standard_name)]
    values = parameter.values
    undone = qartod.not_evaluated(values)
    flags = dict.fromkeys(TESTS, undone)
    if climatology and months is not None:
        flags["climatology"] = _climatology(values, file.pressure, months, climatology)
    if limits is None:
        return flags
    if limits.gross_fail is not None:
        flags["gross_range"] = qartod.gross_range(values, limits.gross_fail, limits.gross_suspect)
    return flags | _along(order, values, limits, file.axis == "time")


def _along(order: Order, values: NDArray[np.float64], limits: Limits, is_time: bool) -> dict[str, NDArray[np.int8]]:
    made = {}
    ordered = order.sorted(values)
    rate = limits.rate_per_s if is_time else limits.rate_per_dbar
    flat = limits.flat_s if is_time else limits.flat_dbar
    if limits.spike is not None:
        made["spike"] = order.back(qartod.spike(ordered, order.starts, limits.spike, order.apart))
    if rate is not None:
        made["rate_of_change"] = order.back(
            qartod.rate_of_change(ordered, order.along, order.starts, rate, order.apart)
        )
    if flat is not None:
        made["flat_line"] = order.back(
            qartod.flat_line(ordered, order.along, order.starts, flat, limits.flat_tolerance, order.steps)
        )
    return made


def _climatology(
    values: NDArray[np.float64], pressure: NDArray[np.float64], months: NDArray[np.int64], ranges: list[Climatology]
) -> NDArray[np.int8]:
    """Test 5: suspect outside the range of month and pressure; not evaluated where none is given."""
    flags = qartod.not_evaluated(values)
    there = ~np.isnan(values)
    for one in ranges:
        with np.errstate(invalid="ignore"):
            held = there & (pressure >= one.pressure_dbar[0]) & (pressure <= one.pressure_dbar[1])
            if one.months:
                held &= np.isin(months, one.months)
            inside = (values >= one.low) & (values <= one.high)
        flags[held & inside & (flags != qartod.SUSPECT)] = qartod.GOOD
        flags[held & ~inside] = qartod.SUSPECT
    return flags


def months_of(time: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """1 to 12; 0 where the time is unknown."""
    months = time.astype("datetime64[M]").astype(np.int64) % 12 + 1
    return np.where(np.isnat(time), 0, months)


def judge_positions(file: CruiseFile, config: OceanConfig) -> NDArray[np.int8]:
    """The location test of each cast: on the globe, and no faster from the cast before than a ship sails."""
    latitude = np.array([cast.latitude for cast in file.casts], dtype=np.float64)
    longitude = np.array([cast.longitude for cast in file.casts], dtype=np.float64)
    flags = qartod.location(latitude, longitude)
    time = np.array([cast.time for cast in file.casts], dtype="datetime64[us]")
    known = np.flatnonzero((flags == qartod.GOOD) & ~np.isnat(time))
    order = known[np.argsort(time[known], kind="stable")]
    if len(order) < 2:
        return flags
    seconds: Any = np.diff(time[order].astype(np.int64)) / 1e6
    metres = great_circle_m(latitude[order], longitude[order])
    # Times are often given to the minute, and casts of one station share a position: a kilometre is no speed.
    fast = (metres > 1_000 + config.speed_max_m_s * np.maximum(seconds, 60.0)) & (seconds < _LONGEST_BETWEEN_CASTS_S)
    flags[order[1:][fast]] = qartod.SUSPECT
    return flags


def judge_times(file: CruiseFile, config: OceanConfig, now: np.datetime64) -> NDArray[np.int8]:
    """The time test of each cast: fails before ships measured the deep sea, and after `now`."""
    time = np.array([cast.time for cast in file.casts], dtype="datetime64[us]")
    flags = np.full(len(time), qartod.GOOD, dtype=np.int8)
    flags[(time < np.datetime64(config.time_from)) | (time > now + np.timedelta64(1, "D"))] = qartod.FAIL
    flags[np.isnat(time)] = qartod.MISSING
    return flags


def great_circle_m(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance of each position from the one before, m, on a sphere."""
    phi, lam = np.radians(latitude), np.radians(wrapped(longitude))
    half = np.sin(np.diff(phi) / 2) ** 2 + np.cos(phi[:-1]) * np.cos(phi[1:]) * np.sin(np.diff(lam) / 2) ** 2
    return 2 * _EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
