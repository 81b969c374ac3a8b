"""Uncertainty of soundings from what the sensors of a survey are good for, where their files give none.

A part of the model of Hare, Godin & Mayer, Accuracy estimation of Canadian swath (multibeam) and sweep (multi-transducer)
sounding systems, Canadian Hydrographic Service (1995): errors are independent and normal, and beams are straight rays.
Left out for want of data in exchange files: the sonar's own quality of each detection, beam steering, lever arms, and
latencies. So it tells what a system is good for, not how well it did on a day.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

SIGMAS_95 = 1.959963984540054
"""Half of the interval that holds 95 % of a normal distribution, in standard deviations."""
SIGMAS_95_PLANE = 2.447746830680816
"""Radius of the circle that holds 95 % of a normal distribution in the plane, the same in all directions."""


def _sigma(default: float, description: str) -> float:
    field: float = Field(default, ge=0, allow_inf_nan=False, description=f"{description}, one standard deviation")
    return field


class Sensors(BaseModel):
    """What the sensors are good for. The defaults are those of a usual launch: NOAA's Kluster has most of them alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    range_m: float = _sigma(0.02, "range, m")
    beam_angle_deg: float = _sigma(0.05, "angle of a beam, degrees")
    roll_deg: float = _sigma(0.02, "roll, degrees")
    roll_alignment_deg: float = _sigma(0.05, "alignment of sonar and motion sensor in roll, degrees")
    pitch_deg: float = _sigma(0.02, "pitch with its alignment, degrees")
    heading_deg: float = _sigma(0.05, "heading with its alignment, degrees")
    heave_m: float = _sigma(0.05, "heave, m")
    draft_m: float = _sigma(0.10, "dynamic draft, m")
    waterline_m: float = _sigma(0.02, "waterline, m")
    tide_m: float = _sigma(0.10, "tide, or separation of ellipsoid and datum, m")
    sound_speed_m_s: float = _sigma(1.0, "mean sound speed in the water, m/s")
    position_m: float = _sigma(0.5, "position, along each axis, m")


MEAN_SOUND_SPEED_M_S = 1500.0
_NEAREST = 1e-3


def modelled(
    depth: NDArray[np.float64], across: NDArray[np.float64], along: NDArray[np.float64], sensors: Sensors
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vertical and horizontal uncertainty at 95 %, m.

    depth: below the transducer, m, positive; taken from the water's surface, which tells little. across, along: from the
    transducer to the sounding, m.

    A ray leaves the transducer with a known angle and bends where the speed of sound changes; for a mean speed c that is
    wrong by dc, Snell's law gives dz = z (1 - tan²) dc/c and dy = 2 y dc/c.
    """
    z = np.maximum(np.abs(depth), _NEAREST)
    squared = across * across
    slope = squared / (z * z)
    cosine_squared = 1.0 / (1.0 + slope)
    speed = sensors.sound_speed_m_s / MEAN_SOUND_SPEED_M_S
    turn = np.deg2rad(sensors.beam_angle_deg) ** 2 + np.deg2rad(sensors.roll_deg) ** 2
    turn += np.deg2rad(sensors.roll_alignment_deg) ** 2
    pitch, heading = np.deg2rad(sensors.pitch_deg) ** 2, np.deg2rad(sensors.heading_deg) ** 2
    still = sensors.heave_m**2 + sensors.draft_m**2 + sensors.waterline_m**2 + sensors.tide_m**2
    vertical = (
        sensors.range_m**2 * cosine_squared
        + squared * turn
        + along * along * pitch
        + (z * (1.0 - slope) * speed) ** 2
        + still
    )
    horizontal = (
        sensors.range_m**2 * (1.0 - cosine_squared)
        + z * z * (turn + pitch)
        + (squared + along * along) * heading
        + 4.0 * squared * speed**2
        + 2.0 * sensors.position_m**2
    )
    return SIGMAS_95 * np.sqrt(vertical), SIGMAS_95_PLANE * np.sqrt(horizontal / 2.0)
