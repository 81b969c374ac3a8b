"""QARTOD tests for all casts of a file at once. Arrays in, arrays out.

Manual: U.S. IOOS QARTOD, Real-Time Quality Control of In-situ Temperature and Salinity Data 2.1 (2020),
https://doi.org/10.25923/x02m-m555. The tests are those of the library ioos_qc, cast by cast; a test of this module holds
them against it. They are done here for many casts in one pass, which a call for each cast and parameter is not.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

GOOD, NOT_EVALUATED, SUSPECT, FAIL, MISSING = 1, 2, 3, 4, 9


Values = NDArray[np.float64]
Flags = NDArray[np.int8]
Span = tuple[float, float]


def not_evaluated(values: Values) -> Flags:
    """The flags of a test that is not done: not evaluated, or missing where there is no value."""
    return _where_there(values, NOT_EVALUATED)


def _where_there(values: Values, flag: int) -> Flags:
    flags = np.full(len(values), flag, dtype=np.int8)
    flags[np.isnan(values)] = MISSING
    return flags


def gross_range(values: Values, fail: Span, suspect: Span | None = None) -> Flags:
    """Test 4: fail outside what sensor or sea can give, suspect outside what is usual."""
    flags = np.full(len(values), GOOD, dtype=np.int8)
    if suspect is not None:
        flags[(values < suspect[0]) | (values > suspect[1])] = SUSPECT
    flags[(values < fail[0]) | (values > fail[1])] = FAIL
    flags[np.isnan(values)] = MISSING
    return flags


def spike(values: Values, starts: NDArray[np.bool_], thresholds: Span, apart: NDArray[np.bool_] | None = None) -> Flags:
    """Test 6: the difference of a value from the mean of both neighbours, against a suspect and a fail threshold.

    starts: where a cast begins; its first and last value are not evaluated. apart: where a value is too far from the one
    before it to be compared.
    """
    size = len(values)
    flags = not_evaluated(values)
    if size < 3:
        return flags
    inner = ~(starts[1:-1] | starts[2:])
    if apart is not None:
        inner &= ~(apart[1:-1] | apart[2:])
    difference = np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2)
    seen = inner & ~np.isnan(difference)
    found = flags[1:-1]
    found[seen] = GOOD
    found[seen & (difference > thresholds[0])] = SUSPECT
    found[seen & (difference > thresholds[1])] = FAIL
    return flags


def rate_of_change(
    values: Values, axis: Values, starts: NDArray[np.bool_], most: float, apart: NDArray[np.bool_] | None = None
) -> Flags:
    """Test 7: the change since the value before, divided by the step along the axis (s, or dbar), is suspect above `most`.

    The first value of a cast has none before it and is good, as in ioos_qc.
    """
    flags = _where_there(values, GOOD)
    if len(values) < 2:
        return flags
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.abs(np.diff(values) / np.diff(axis))
    compared = ~starts[1:]
    if apart is not None:
        compared &= ~apart[1:]
    flags[1:][compared & (rate > most)] = SUSPECT
    flags[1:][
        (np.isnan(rate) & ~np.isnan(values[1:]) & compared) | (~compared & ~starts[1:] & ~np.isnan(values[1:]))
    ] = NOT_EVALUATED
    return flags


def flat_line(
    values: Values,
    axis: Values,
    starts: NDArray[np.bool_],
    lengths: Span,
    tolerance: float,
    steps: Values | None = None,
) -> Flags:
    """Test 8: a run that varies by less than the tolerance over the lengths (s, or dbar) is suspect, or fails.

    A length is turned into a number of values by the median step of each cast, as in ioos_qc. steps: those, if they are
    known; see `median_steps`.
    """
    flags = _where_there(values, GOOD)
    if len(values) < 2:
        return flags
    # Runs in which neighbours differ by less than the tolerance are few; only in them is the range looked at.
    near = np.abs(np.diff(values)) < tolerance
    near &= ~starts[1:]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], near, [False]])))
    begins, ends = edges[::2], edges[1::2]
    steps = median_steps(axis, starts) if steps is None else steps
    casts = np.cumsum(starts)[begins] - 1
    for length, flag in zip(lengths, (SUSPECT, FAIL), strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            counts = np.where(steps > 0, np.minimum(length / steps, len(values)), 0).astype(np.int64)
        needed = counts[casts]
        long = (needed >= 1) & (ends - begins >= needed)
        for count in np.unique(needed[long]):
            of_count = long & (needed == count)
            flags[_flat(values, begins[of_count], ends[of_count], int(count), tolerance)] = flag
    return flags


def _flat(
    values: Values, begins: NDArray[np.int64], ends: NDArray[np.int64], count: int, tolerance: float
) -> NDArray[np.int64]:
    """Positions within runs, from begins to ends, of values that differ by less from all of the `count` before them."""
    lengths = ends - begins + 1
    firsts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    within = np.arange(int(lengths.sum())) - np.repeat(firsts, lengths)
    rows = within + np.repeat(begins, lengths)
    window = pd.Series(values[rows]).rolling(count + 1)
    return rows[(within >= count) & ((window.max() - window.min()).to_numpy() < tolerance)]


def median_steps(axis: Values, starts: NDArray[np.bool_]) -> Values:
    """The median of the steps along the axis in each cast; 0 where none is known."""
    firsts = np.flatnonzero(starts)
    steps = np.diff(axis)
    made = np.zeros(len(firsts))
    for number, (first, end) in enumerate(zip(firsts, [*firsts[1:], len(axis)], strict=True)):
        of_cast = steps[first : end - 1]
        of_cast = of_cast[np.isfinite(of_cast)]
        if len(of_cast):
            made[number] = np.abs(np.median(of_cast))
    return made


def density_inversion(
    density: Values, pressure: Values, starts: NDArray[np.bool_], suspect: float, fail: float
) -> Flags:
    """Denser water above lighter: both levels are suspect, or fail, where density decreases downwards by the thresholds.

    density: potential density, kg/m3. suspect, fail: decreases, kg/m3, as positive numbers.
    """
    flags = np.where(np.isnan(density) | np.isnan(pressure), MISSING, GOOD).astype(np.int8)
    if len(density) < 2:
        return flags
    with np.errstate(invalid="ignore"):
        step = np.sign(np.diff(pressure)) * np.diff(density)
        for threshold, flag in ((suspect, SUSPECT), (fail, FAIL)):
            inverted = (step < -threshold) & ~starts[1:]
            flags[:-1][inverted & (flags[:-1] != MISSING)] = flag
            flags[1:][inverted & (flags[1:] != MISSING)] = flag
    return flags


def location(latitude: Values, longitude: Values) -> Flags:
    """Test 3: positions on the globe; longitudes to the east may be counted to 180 or to 360 degrees."""
    flags = np.full(len(latitude), GOOD, dtype=np.int8)
    neither = np.isnan(latitude) & np.isnan(longitude)
    flags[np.isnan(latitude) != np.isnan(longitude)] = FAIL
    with np.errstate(invalid="ignore"):
        flags[(np.abs(latitude) > 90) | (longitude < -180) | (longitude > 360)] = FAIL
    flags[neither] = MISSING
    return flags


def worst(tests: list[Flags], size: int) -> Flags:
    """All tests together: the worst of them; good if one was good and none worse."""
    if not tests:
        return np.full(size, NOT_EVALUATED, dtype=np.int8)
    most = np.full(size, MISSING, dtype=np.int8)
    for flag in (NOT_EVALUATED, GOOD, SUSPECT, FAIL):
        for flags in tests:
            np.copyto(most, np.int8(flag), where=flags == flag)
    return most
