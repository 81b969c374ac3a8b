"""A cruise file as an oceanographer looks at it first: where the stations are, and what temperature and salinity do."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ocean.extent import POLAR_LATITUDE, extent_of, wrapped
from pipeline_assets.ocean.read.cruise_file import CruiseFile

_STATION, _WATER, _GRID = "#b03a2e", "#eef4f8", "#c9d6df"
_MOST_POINTS = 20_000


def station_map_png(file: CruiseFile, tables: Mapping[str, Any]) -> bytes:
    """PNG of a file: a map of its stations, across the dateline or around a pole if need be, and its profiles."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), dpi=80, layout="constrained")
    levels = tables["levels"]
    around_pole = tables["files"]["around_pole"]
    axes = figure.add_subplot(1, 3, 1, projection="polar" if around_pole else None)
    _draw_map(axes, file, around_pole)
    along = np.asarray(levels["pressure_dbar"], dtype=np.float64)
    if file.axis == "time":
        along = np.asarray(levels["time"].tz_localize(None), dtype="datetime64[us]").astype(np.int64) / 8.64e10
        along = along - (np.nanmin(along) if len(along) else 0)
    for place, (column, label, colour) in enumerate(
        (("temperature_c", "temperature (°C)", "#c0392b"), ("practical_salinity", "practical salinity", "#1f618d")),
        start=2,
    ):
        _draw_profile(
            figure.add_subplot(1, 3, place), np.asarray(levels[column]), along, label, colour, file.axis == "time"
        )
    figure.suptitle(_title(file), fontsize=10, x=0.01, ha="left")
    return _palette_png(figure)


def _title(file: CruiseFile) -> str:
    key = file.key if len(file.key) <= 80 else "…" + file.key[-79:]
    return f"{key}   ·   {file.rows:,} observations, {len(file.casts):,} casts".replace("$", r"\$")


def _draw_map(axes: Any, file: CruiseFile, around_pole: str) -> None:
    latitude = np.array([cast.latitude for cast in file.casts], dtype=np.float64)
    longitude = wrapped(np.array([cast.longitude for cast in file.casts], dtype=np.float64))
    with np.errstate(invalid="ignore"):
        known = (np.abs(latitude) <= 90) & np.isfinite(longitude)
    latitude, longitude = latitude[known], longitude[known]
    axes.set_title(f"{len(latitude)} stations" if len(latitude) else "no positions", fontsize=9)
    if not len(latitude):
        return
    if around_pole:
        axes.plot(np.radians(longitude), 90 - np.abs(latitude), ".-", color=_STATION, linewidth=0.4, markersize=4)
        axes.set_rlim(0, max(90 - POLAR_LATITUDE, float((90 - np.abs(latitude)).max())))
        axes.tick_params(labelsize=6)
        return
    extent = extent_of(latitude, longitude)
    if extent.crosses_dateline:
        longitude = np.where(longitude < 0, longitude + 360, longitude)
    axes.plot(longitude, latitude, ".-", color=_STATION, linewidth=0.4, markersize=4)
    axes.set_facecolor(_WATER)
    axes.grid(color=_GRID, linewidth=0.5)
    axes.margins(0.15)
    middle = float(np.cos(np.radians(np.clip(latitude.mean(), -80, 80))))
    axes.set_aspect(1 / middle, adjustable="datalim")
    axes.xaxis.set_major_formatter(lambda value, _: f"{(value + 180) % 360 - 180:g}°")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}°")
    axes.tick_params(labelsize=7)


def _draw_profile(
    axes: Any, values: NDArray[np.float64], along: NDArray[np.float64], label: str, colour: str, is_time: bool
) -> None:
    known = np.flatnonzero(~np.isnan(values) & ~np.isnan(along))
    known = known[:: max(1, -(-len(known) // _MOST_POINTS))]
    if is_time:
        axes.plot(along[known], values[known], color=colour, linewidth=0.5)
        axes.set_xlabel("days", fontsize=8)
        axes.set_ylabel(label, fontsize=8)
    else:
        axes.plot(values[known], along[known], ".", color=colour, markersize=1.2, alpha=0.5)
        axes.invert_yaxis()
        axes.set_xlabel(label, fontsize=8)
        axes.set_ylabel("pressure (dbar)", fontsize=8)
    if not len(known):
        axes.set_title("no values", fontsize=9)
    axes.grid(color=_GRID, linewidth=0.4)
    axes.tick_params(labelsize=7)


def _palette_png(figure: Any) -> bytes:
    """The figure as a PNG of 64 colours, small enough for the event log."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = io.BytesIO()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image.quantize(64, dither=Image.Dither.NONE).save(picture, format="PNG", optimize=True)
    return picture.getvalue()
