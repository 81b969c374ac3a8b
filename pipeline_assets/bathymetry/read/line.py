"""What every reader gives: a `SurveyLine`, the soundings of one file in the order of their acquisition."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import BathymetryConfig, Declared, survey_of
from pipeline_assets.bathymetry.grid.caris import CarisGridding
from pipeline_assets.bathymetry.positions import check_sign
from pipeline_assets.landed_file import Refused

MOST_DEPTH_M = 12_000.0
"""Deeper than any sea, and higher than heights above an ellipsoid are."""


@dataclass(eq=False)
class SurveyLine:
    """The soundings of one file. Arrays of equal length, without a NaN but in `tvu`, `thu` and without a time where NaT.

    x, y: easting, northing in `crs`, m. depth: m, positive down, below `vertical_datum`. tvu, thu: at 95 %, m.
    flag: as in the file, 0 where it says nothing. ping, beam: numbers within the file, from 0 if it gives none.
    uncertainty_from: `file`, `model`, `declared` or `none`: where tvu and thu come from.
    pings_ignored: rejected as a whole by the file. pings_left_out: without a position or without depths, so not read.
    """

    key: str
    kind: str
    sha256: str
    size_bytes: int
    declared: Declared
    crs: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    depth: NDArray[np.float64]
    tvu: NDArray[np.float64]
    thu: NDArray[np.float64]
    accepted: NDArray[np.bool_]
    flag: NDArray[np.int32]
    ping: NDArray[np.int64]
    beam: NDArray[np.int32]
    time: NDArray[np.datetime64] | None = None
    uncertainty_from: str = "none"
    pings: int = 0
    pings_ignored: int = 0
    pings_left_out: int = 0
    system: str = ""
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def survey(self) -> str:
        return survey_of(self.key)

    @property
    def line(self) -> str:
        return line_of(self.key)


@dataclass(frozen=True)
class DeclaredSurvey:
    """A `survey.json` that could be read."""

    key: str
    declared: Declared


@dataclass(frozen=True)
class DeclaredCube:
    """How CARIS gridded, or is told to, from a file of its own."""

    key: str
    gridding: CarisGridding


def line_of(key: str) -> str:
    """The name of a line: its file's, below the survey's folder."""
    survey = survey_of(key)
    return key.removeprefix(f"bathymetry/{survey}/") if survey else PurePosixPath(key).name


def identity(data: bytes | memoryview) -> tuple[str, int]:
    """SHA-256 and size of a file."""
    return hashlib.sha256(data).hexdigest(), len(data)


def checked(line: SurveyLine, positive: str, config: BathymetryConfig) -> SurveyLine:
    """The line, if its soundings can be such. Raises Refused."""
    if not len(line.depth):
        raise Refused(
            "no_soundings", "the file has no soundings with a position and a depth. Send a line that has some."
        )
    check_sign(line.depth, line.accepted, positive, line.declared, config)
    beyond = line.accepted & (np.abs(line.depth) > MOST_DEPTH_M)
    if beyond.any():
        at = int(np.argmax(beyond))
        raise Refused(
            "impossible_depth",
            f"{int(beyond.sum())} accepted soundings are deeper than {MOST_DEPTH_M:,.0f} m, the first {line.depth[at]:,.0f} m. "
            "Send metres, and reject what is no depth.",
            location=f"sounding {at}",
        )
    return line


def only(line: SurveyLine, rows: NDArray[np.bool_]) -> SurveyLine:
    """The line, of which these soundings alone stay."""
    for name in ("x", "y", "depth", "tvu", "thu", "accepted", "flag", "ping", "beam", "time"):
        if (values := getattr(line, name)) is not None:
            setattr(line, name, values[rows])
    return line


def check_count(soundings: int, config: BathymetryConfig) -> None:
    """Refused `too_many_soundings` for more than one file may have."""
    if soundings > config.max_soundings:
        raise Refused(
            "too_many_soundings",
            f"the file says that it has {soundings:,} soundings; at most {config.max_soundings:,}. Split it, or raise "
            "STRANDLINE_BATHYMETRY_MAX_SOUNDINGS.",
        )
