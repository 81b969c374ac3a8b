"""The accepted soundings of a survey as GSF (Generic Sensor Format 3), a file for each line, from which it can be gridded again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.products.provenance import Provenance, utc
from pipeline_assets.bathymetry.soundings import Soundings

_DEPTH, _ACROSS, _ALONG, _VERTICAL, _HORIZONTAL = 1, 2, 3, 19, 20
_PER_M = 10_000.0
"""Depths and offsets are kept to a tenth of a millimetre, beyond which their rounding would show in a surface."""
_MOST_BEAMS = 65_535
NO_TIMES = (
    "The times of the pings are not those of acquisition, which are not known: they count milliseconds from 1970-01-01, "
    "in the order of the pings."
)


def write_gsf(
    soundings: Soundings,
    provenance: Provenance,
    folder: Path,
    times: NDArray[np.float64] | None = None,
    names: Mapping[str, str] | None = None,
) -> dict[str, Path]:
    """A GSF file for each line that has accepted soundings, by the line's name.

    times: of each sounding, seconds since 1970, NaN where unknown; a ping has that of its first. names: of the files by line, as
    `file_names` gives them, where these lines are not all. A ping lies at the mean of its soundings,
    heading north; across and along are where each lies from there, to the east and to the north, m on the ellipsoid.
    """
    accepted = np.flatnonzero(soundings.accepted)
    lon, lat = _lonlat(soundings.crs, soundings.x[accepted], soundings.y[accepted])
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise ValueError(f"soundings lie outside of what {soundings.crs} can project; look at their CRS")
    written: dict[str, Path] = {}
    names = names or file_names(soundings.lines)
    for number, line in enumerate(soundings.lines):
        here = np.flatnonzero(soundings.line[accepted] == number)
        if here.size:
            path, which = folder / names[line], accepted[here]
            known = times if times is not None and np.isfinite(times[which]).all() else None
            _write_line(path, soundings, provenance, which, lon[here], lat[here], known)
            written[line] = path
    return written


def file_names(lines: tuple[str, ...]) -> dict[str, str]:
    """A file name for each line, of letters that every file system has, no two alike."""
    names: dict[str, str] = {}
    for line in lines:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", line.rsplit("/", 1)[-1]).removesuffix(".gsf").strip("._") or "line"
        name, again = f"{stem}.gsf", 1
        while name.lower() in {taken.lower() for taken in names.values()}:
            again += 1
            name = f"{stem}_{again}.gsf"
        names[line] = name
    return names


def _lonlat(
    crs: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from pyproj import Transformer

    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    return np.asarray(lon), np.asarray(lat)


def _write_line(
    path: Path,
    soundings: Soundings,
    provenance: Provenance,
    which: NDArray[np.intp],
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    times: NDArray[np.float64] | None,
) -> None:
    from GSFU import gsf

    _, first, counts = np.unique(soundings.ping[which], return_index=True, return_counts=True)
    if counts.max() > _MOST_BEAMS:
        raise ValueError(f"{path.name}: a ping has {counts.max():,} soundings; GSF holds {_MOST_BEAMS:,}")
    order = np.argsort(soundings.ping[which], kind="stable")
    depth, across, along, positions = _beams(soundings.depth[which][order], lon[order], lat[order], counts)
    uncertain = {
        label: values[which][order]
        for label, values in (("VerticalError_m", soundings.tvu), ("HorizontalError_m", soundings.thu))
        if np.isfinite(values[which]).all()
    }
    scales = _scales(depth, uncertain)
    out = gsf(str(path))
    out.OpenFiletoWrite()
    try:
        out.write_header()
        out.write_history(
            {
                "HistoryTime": provenance.made_at, "HostName": "", "OperatorName": "",
                "CommandLine": _ascii(f"{provenance.engine} {provenance.version}"),
                "Comment": _ascii(f"accepted soundings of {provenance.survey}, made {utc(provenance.made_at)}"),
            }
        )  # fmt: skip
        datum = f"Depths are below: {soundings.vertical_datum}. CRS of processing: {soundings.crs}."
        for text in (datum, *(() if times is not None else (NO_TIMES,))):
            out.write_comment({"CommentTime": provenance.made_at, "Comment": _ascii(text)})
        end = 0
        for number, count in enumerate(counts.tolist()):
            begin, end = end, end + count
            beams: dict[str, Any] = {
                "Depth_m": depth[begin:end], "AcrossTrack_m": across[begin:end], "AlongTrack_m": along[begin:end],
                **{label: values[begin:end] for label, values in uncertain.items()},
            }  # fmt: skip
            when = number / 1000.0 if times is None else float(times[which[first[number]]])
            out.write_swath_bathymetry_ping(
                {
                    "PingTime": when, "Longitude_deg": positions[number, 0], "Latitude_deg": positions[number, 1],
                    "NumberBeams": count, "CenterBeam": count // 2, "Heading_deg": 0.0, "Pitch_deg": 0.0, "Roll_deg": 0.0,
                    "Heave_m": 0.0, "TideCorrector_m": 0.0, "DepthCorrector_m": 0.0, "Beams": beams,
                },
                scale_factors=scales,
            )  # fmt: skip
    finally:
        out.closeFile()


def _beams(
    depth: NDArray[np.float64], lon: NDArray[np.float64], lat: NDArray[np.float64], counts: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Depths, offsets to the east and north, m, and the positions of the pings, degrees, as GSF will round them."""
    from pyproj import Geod

    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    # Beside the date line the mean of longitudes would lie on the other side of the earth.
    turned = lon[np.repeat(starts, counts)] + (lon - lon[np.repeat(starts, counts)] + 180.0) % 360.0 - 180.0
    positions = np.stack([np.add.reduceat(turned, starts) / counts, np.add.reduceat(lat, starts) / counts], axis=1)
    positions[:, 0] = (positions[:, 0] + 180.0) % 360.0 - 180.0
    positions = np.round(positions, 7)
    azimuth, _, distance = Geod(ellps="WGS84").inv(
        np.repeat(positions[:, 0], counts), np.repeat(positions[:, 1], counts), lon, lat
    )
    radians = np.radians(azimuth)
    return depth, np.asarray(distance) * np.sin(radians), np.asarray(distance) * np.cos(radians), positions


def _scales(
    depth: NDArray[np.float64], uncertain: Mapping[str, NDArray[np.float64]]
) -> dict[int, tuple[float, float, int, bool]]:
    """Multiplier, offset, bytes and whether signed, of each array. A depth above the datum needs an offset."""
    offset = float(np.ceil(max(0.0, -float(depth.min()))))
    scales = {
        _DEPTH: (_PER_M, offset, 4, False),
        _ACROSS: (_PER_M, 0.0, 4, True),
        _ALONG: (_PER_M, 0.0, 4, True),
    }
    for label, number in (("VerticalError_m", _VERTICAL), ("HorizontalError_m", _HORIZONTAL)):
        if label in uncertain:
            # Two bytes: to the millimetre below 65 m.
            scales[number] = (1000.0 if float(uncertain[label].max()) < 65.0 else 10.0, 0.0, 2, False)
    return scales


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()
