"""How the lines of a survey lie to the surface of all of them, gathered piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.soundings import Soundings


@dataclass
class LineFit:
    """For each line: soundings, accepted by its file, filtered, held against the surface; sum and sum of squares of how far
    these lie off, m.
    """

    _of: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def add(self, soundings: Soundings, far: NDArray[np.bool_], off: NDArray[np.float64]) -> None:
        """far: what the filter rejects of them. off: how much deeper each is than the surface, m; NaN where that has none."""
        known = soundings.accepted & ~far & np.isfinite(off)
        count = len(soundings.lines)
        of_lines = [
            np.bincount(soundings.line[rows], weights, minlength=count)
            for rows, weights in (
                (slice(None), None), (soundings.accepted, None), (far, None), (known, None), (known, off[known]),
                (known, off[known] ** 2),
            )
        ]  # fmt: skip
        for name, values in zip(soundings.lines, np.stack(of_lines, axis=1).astype(np.float64), strict=True):
            self._of[name] = self._of.get(name, 0.0) + values

    def figures(self) -> dict[str, str | int | float]:
        """Of all lines, for the asset's page."""
        whole, accepted, far = np.sum([*self._of.values(), np.zeros(6)], axis=0)[:3].astype(np.int64).tolist()
        return {"soundings": whole, "accepted by the files": accepted, "filtered out": far, "kept": accepted - far}

    def as_markdown(self) -> str:
        """A row a line. The mean of how far its soundings lie from the surface of all lines shows a tide or draft that is wrong."""
        told = ["| line | soundings | kept | filtered | mean off (m) | std (m) |", "|---|--:|--:|--:|--:|--:|"]
        for name, (whole, accepted, far, number, total, square) in sorted(self._of.items()):
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = np.float64(total) / number
                spread = np.sqrt(np.maximum(np.float64(square) / number - mean**2, 0.0))
            shown = name.replace("|", "\\|")
            told.append(
                f"| {shown} | {int(whole):,} | {int(accepted - far):,} | {int(far):,} | {mean:+.3f} | {spread:.3f} |"
            )
        return "\n".join(told)
