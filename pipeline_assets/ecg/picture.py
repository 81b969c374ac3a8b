"""A recording as a cardiologist reads it: an ECG strip on graph paper."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ecg.beats import heart_rate_bpm
from pipeline_assets.ecg.read import Recording

# ECG paper at 25 mm/s and 10 mm/mV: small squares of 1 mm, large ones of 5 mm.
# Kligfield P et al. Recommendations for the standardization and interpretation of the electrocardiogram, part I.
# Circulation 115:1306-1324 (2007), https://doi.org/10.1161/CIRCULATIONAHA.106.180200
SMALL_SQUARE = (0.04, 0.1)
LARGE_SQUARE = (0.2, 0.5)
PAPER, SMALL_LINES, LARGE_LINES, TRACE, MARK = "#fffafa", "#f8dcdc", "#eeb4b4", "#1a1a1a", "#c0392b"


def strip_png(recording: Recording, beats_by_lead: Mapping[str, NDArray[np.int64]], *, seconds: float = 10.0) -> bytes:
    """PNG of the first lead's first `seconds`, its R peaks marked.

    beats_by_lead: R peaks as sample indices by the lead's name, as `beats.find_beats` gives them.
    """
    from matplotlib.figure import Figure

    lead = recording.leads[0]
    signal_mv = recording.signal_mv[0]
    beats = beats_by_lead.get(lead, np.empty(0, dtype=np.int64))
    shown = min(len(signal_mv), math.ceil(seconds * recording.fs_hz))

    low, high = voltage_limits(signal_mv[:shown])
    figure = Figure(figsize=(11, strip_height(shown / recording.fs_hz, high - low)), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    draw_paper(axes, shown / recording.fs_hz, low, high)
    axes.plot(np.arange(shown) / recording.fs_hz, signal_mv[:shown], color=TRACE, linewidth=0.9, zorder=3)
    mark_beats(axes, beats[beats < shown], signal_mv, recording.fs_hz)
    axes.set_title(title(recording, heart_rate_bpm(beats, recording.fs_hz)), loc="left", fontsize=10)
    axes.set_xlabel("time (s)")
    axes.set_ylabel(f"lead {lead} (mV)")
    return palette_png(figure)


def recording_png(recording: Recording, tables: Mapping[str, Any]) -> bytes:
    """The strip of a recording whose rows are derived already, as `derive.tables` gives them."""
    beats = tables["beats"]
    of_first_lead = np.asarray(beats["lead"]) == recording.leads[0]
    r_peaks = np.asarray(beats["sample"], dtype=np.int64)[np.broadcast_to(of_first_lead, len(beats["sample"]))]
    return strip_png(recording, {recording.leads[0]: r_peaks})


def palette_png(figure: Any) -> bytes:
    """The figure as a PNG of 256 colours: enough for a strip, and a third of the size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = io.BytesIO()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(picture, format="PNG", optimize=True)
    return picture.getvalue()


def title(recording: Recording, heart_rate: float) -> str:
    """The key (its end, when it is long) and the heart rate."""
    key = recording.key if len(recording.key) <= 90 else "…" + recording.key[-89:]
    rate = "heart rate unknown" if math.isnan(heart_rate) else f"{heart_rate:.0f} beats/min"
    # A dollar sign would start a formula.
    return f"{key}   ·   {rate}".replace("$", r"\$")


def voltage_limits(signal_mv: NDArray[np.float64]) -> tuple[float, float]:
    """Lowest and highest voltage of the paper, mV: whole large squares with room for the marks."""
    large = LARGE_SQUARE[1]
    return (
        math.floor(np.nanmin(signal_mv) / large - 0.3) * large,
        math.ceil(np.nanmax(signal_mv) / large + 0.3) * large,
    )


def strip_height(width_s: float, height_mv: float) -> float:
    """Height of the picture, inches, at which the squares of the paper come out square, within reason."""
    squares_across, squares_up = width_s / SMALL_SQUARE[0], height_mv / SMALL_SQUARE[1]
    return min(max(10.4 * squares_up / squares_across + 0.8, 2.0), 5.0)


def draw_paper(axes: Any, width_s: float, low: float, high: float) -> None:
    """Limits of the axes (s and mV) and the two grids of ECG paper."""
    from matplotlib.ticker import MultipleLocator, NullLocator

    axes.set_xlim(0, width_s)
    axes.set_ylim(low, high)
    axes.set_facecolor(PAPER)
    for axis, size, large, small in zip(
        (axes.xaxis, axes.yaxis), (width_s, high - low), LARGE_SQUARE, SMALL_SQUARE, strict=True
    ):
        # Squares that would be finer than the picture's dots are left out.
        if size <= 100 * large:
            axis.set_minor_locator(MultipleLocator(small) if size <= 300 * small else NullLocator())
            axis.set_major_locator(MultipleLocator(large))
            axis.set_major_formatter(_every(2 * large if axis is axes.yaxis else 5 * large))
    axes.grid(which="minor", color=SMALL_LINES, linewidth=0.4)
    axes.grid(which="major", color=LARGE_LINES, linewidth=0.7)
    axes.tick_params(which="both", length=0, labelsize=8)


def _every(step: float) -> Any:
    """A formatter that labels the ticks at whole multiples of `step` and leaves the others bare."""

    def label(value: float, _position: int) -> str:
        multiple = value / step
        return f"{value:g}" if abs(multiple - round(multiple)) < 1e-6 else ""

    return label


def mark_beats(axes: Any, beats: NDArray[np.int64], signal_mv: NDArray[np.float64], fs_hz: float) -> None:
    """A small triangle at each R peak, outside the trace: above it, or below where the beat peaks downwards."""
    upward = signal_mv[beats] >= np.median(signal_mv)
    gap = 0.04 * np.diff(axes.get_ylim())[0]
    for chosen, marker, shift in ((beats[upward], "v", gap), (beats[~upward], "^", -gap)):
        axes.plot(chosen / fs_hz, signal_mv[chosen] + shift, marker, color=MARK, markersize=4, zorder=4, clip_on=False)
