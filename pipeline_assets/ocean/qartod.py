"""QARTOD tests for all casts of a file at once. Pure numpy.

Manual: U.S. IOOS QARTOD, Real-Time Quality Control of In-situ Temperature and Salinity Data 2.1 (2020),
https://doi.org/10.25923/x02m-m555. The tests are those of the library ioos_qc, cast by cast; a test of this module holds
them against it. They are done here for many casts in one pass, which a call for each cast and parameter is not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GOOD, NOT_EVALUATED, SUSPECT, FAIL, MISSING = 1, 2, 3, 4, 9


Values = NDArray[np.float64]
Flags = NDArray[np.int8]
Span = tuple[float, float]


def not_evaluated(values: Values) -> Flags:
    """The flags of a test that is not done: not evaluated, or missing where there is no value."""
    return np.where(np.isnan(values), MISSING, NOT_EVALUATED).astype(np.int8)


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
    found = np.where(difference > thresholds[1], FAIL, np.where(difference > thresholds[0], SUSPECT, GOOD))
    seen = inner & ~np.isnan(difference)
    flags[1:-1][seen] = found[seen]
    return flags


def rate_of_change(
    values: Values, axis: Values, starts: NDArray[np.bool_], most: float, apart: NDArray[np.bool_] | None = None
) -> Flags:
    """Test 7: the change since the value before, divided by the step along the axis (s, or dbar), is suspect above `most`.

    The first value of a cast has none before it and is good, as in ioos_qc.
    """
    flags = np.where(np.isnan(values), MISSING, GOOD).astype(np.int8)
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


def flat_line(values: Values, axis: Values, starts: NDArray[np.bool_], lengths: Span, tolerance: float) -> Flags:
    """Test 8: a run that varies by less than the tolerance over the lengths (s, or dbar) is suspect, or fails.

    A length is turned into a number of values by the median step of each cast, as in ioos_qc.
    """
    flags = np.where(np.isnan(values), MISSING, GOOD).astype(np.int8)
    firsts = np.flatnonzero(starts)
    counts_by_cast: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for first, end in zip(firsts, [*firsts[1:], len(values)], strict=True):
        steps = np.diff(axis[first:end])
        steps = steps[np.isfinite(steps)]
        step = float(np.abs(np.median(steps))) if len(steps) else 0.0
        if step > 0:
            counts = (int(lengths[0] / step), int(lengths[1] / step))
            counts_by_cast.setdefault(counts, []).append((int(first), int(end)))
    for (suspect_count, fail_count), casts in counts_by_cast.items():
        for needed, flag in ((suspect_count, SUSPECT), (fail_count, FAIL)):
            flat = np.zeros(len(values), dtype=bool)
            for begin, stop in casts:
                flat[begin:stop] = _ends_flat_run(values[begin:stop], needed, tolerance)
            flags[flat & ~np.isnan(values)] = flag
    return flags


def _ends_flat_run(values: Values, count: int, tolerance: float) -> NDArray[np.bool_]:
    """Where a value and the `count` before it all lie within the tolerance of each other."""
    found = np.zeros(len(values), dtype=bool)
    if count < 1 or len(values) <= count:
        return found
    # Runs in which neighbours differ by less than the tolerance are few; only in them is the range looked at.
    near = np.abs(np.diff(values)) < tolerance
    if not near.any():
        return found
    edges = np.flatnonzero(np.diff(np.concatenate([[False], near, [False]])))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin >= count:
            run = np.lib.stride_tricks.sliding_window_view(values[begin : end + 1], count + 1)
            flat = run.max(axis=1) - run.min(axis=1) < tolerance
            found[begin + count : end + 1] = flat
    return found


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
    rank = np.zeros(10, dtype=np.int8)
    for order, flag in enumerate((MISSING, NOT_EVALUATED, GOOD, SUSPECT, FAIL)):
        rank[flag] = order
    order_of = np.array([MISSING, NOT_EVALUATED, GOOD, SUSPECT, FAIL], dtype=np.int8)
    most = rank[tests[0]]
    for flags in tests[1:]:
        most = np.maximum(most, rank[flags])
    return order_of[most]
