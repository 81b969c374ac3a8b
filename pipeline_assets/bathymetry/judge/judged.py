"""What a check found in a surface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.surface import Surface

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """The outcome of one check.

    share: of what was judged, the part that is as it should be, 0 to 1; NaN when nothing was judged.
    threshold: the least share with which the check passes.
    failing: the cells that are not as they should be, of shape (rows, columns); None when the check is not about cells.
    not_judged: why the check could not be made, such as a layer that the surface does not have; empty when it was made.
    """

    name: str
    passed: bool
    share: float
    threshold: float
    failing: Mask | None
    message: str
    metadata: Mapping[str, int | float | str] = field(default_factory=dict)
    not_judged: str = ""


def own_depths(surface: Surface, own: Mask | None) -> Mask:
    """The cells with a depth that are judged. own: those that belong to this surface, where it has others beside them so that
    nobody takes its edge for the end of the data; None: all."""
    known: Mask = np.isfinite(surface.depth)
    return known if own is None else known & own


def not_judged(name: str, threshold: float, why: str) -> Judged:
    """A check that could not be made does not pass: nobody should take it for one that was."""
    return Judged(name, False, float("nan"), threshold, None, f"not judged: {why}", {}, why)


def by_cells(
    name: str,
    threshold: float,
    judged: Mask,
    failing: Mask,
    what: str,
    metadata: Mapping[str, int | float | str] | None = None,
) -> Judged:
    """Passes when at least the share `threshold` of the judged cells is not failing. what: is said of failing cells."""
    of, bad = int(np.count_nonzero(judged)), int(np.count_nonzero(failing & judged))
    if not of:
        return not_judged(
            name, threshold, "no cell has a value to judge. Look at the surface's extent and its soundings"
        )
    share = 1.0 - bad / of
    return Judged(
        name,
        # As a whole number of cells, so that 19 of 20 cells are 95 %.
        bad <= (1.0 - threshold) * of + 1e-9 * of,
        share,
        threshold,
        failing & judged,
        f"{bad:,} of {of:,} cells {what}; {share:.2%} are as they should be, {threshold:.2%} must be",
        {"cells": of, "failing cells": bad, **(metadata or {})},
    )


def by_rules(name: str, problems: Sequence[str], metadata: Mapping[str, int | float | str] | None = None) -> Judged:
    """Passes when there are no problems, each a sentence that says what was expected and what to do."""
    return Judged(
        name,
        not problems,
        0.0 if problems else 1.0,
        1.0,
        None,
        " ".join(problems) if problems else "as it should be",
        {"problems": len(problems), **(metadata or {})},
    )


def has_density(surface: Surface) -> bool:
    """Whether the surface knows its soundings per cell: a landed one may come without, and has none anywhere."""
    return bool(np.any(surface.density[np.isfinite(surface.depth)] > 0))
