"""The header of Sea-Bird text files (.cnv, .btl): where and when, and which columns there are.

Format: SBE Data Processing manual, revision 7.26.8 (2017), section "File Formats".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.parameters import PRESSURE, seabird_standard_name
from pipeline_assets.ocean.read.cruise_file import NAT, Cast, Parameter, stem

DBAR_A_PSI = 0.6894757293
_COLUMN = re.compile(r"#\s*name\s+([0-9]+)\s*=\s*([^:]*)(?::\s*(.*))?")
_SETTING = re.compile(r"[#*]+\s*([^=:]{1,60}?)\s*[=:]\s*(.*)")
_WRAPPED = re.compile(r"\*\s+\*\*")
"""What people typed, inside of what the instrument uploaded."""
_UNIT = re.compile(r".*\[([^\]]*)\]")
_DEGREES = re.compile(
    r"([NSEW])?\s*(-?[0-9]+(?:\.[0-9]*)?)\s*(?:[^0-9NSEWnsew.]+\s*([0-9]+(?:\.[0-9]*)?))?"
    r"\s*(?:[^0-9NSEWnsew.]+([0-9]+(?:\.[0-9]*)?))?[^0-9NSEWnsew]*\s*([NSEW])?\s*",
    re.IGNORECASE,
)
_TIMES = (
    "%b %d %Y %H:%M:%S", "%b %d %Y  %H:%M:%S", "%d %b %Y %H:%M:%S", "%b %d %Y %H:%M", "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d-%b-%Y %H:%M:%S", "%b-%d-%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S",
)  # fmt: skip
_LONGEST_LINE = 10_000
_MOST_COLUMNS = 1_000


@dataclass
class Column:
    """One column: Sea-Bird's short name, made unique, what it means, and its unit."""

    name: str
    meaning: str
    unit: str


@dataclass
class Header:
    """What a header says. settings: the last value of each "key = value" line by its key in lower case."""

    settings: dict[str, str] = field(default_factory=dict)
    columns: list[Column] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


def header_of(lines: Sequence[str], findings: Findings) -> Header:
    """The header in the lines that begin with * and #."""
    header = Header()
    for line in lines:
        line = _WRAPPED.sub("**", line.strip()[:_LONGEST_LINE])
        column = _COLUMN.match(line)
        if column and len(header.columns) < _MOST_COLUMNS:
            header.columns.append(_column(column[2].strip(), (column[3] or "").strip()))
            continue
        if line.startswith("**"):
            header.comments.append(line.lstrip("* "))
        setting = _SETTING.match(line)
        if setting:
            key = " ".join(setting[1].lower().split())
            if not header.settings.get(key):
                header.settings[key] = setting[2].strip()
    unique(header.columns, findings)
    return header


def _column(name: str, meaning: str) -> Column:
    unit = _UNIT.match(meaning)
    return Column(name or "unnamed", meaning, unit[1].strip() if unit else "")


def unique(columns: list[Column], findings: Findings) -> None:
    """Number the columns whose name came before: scan, scan_2."""
    seen: dict[str, int] = {}
    for column in columns:
        times = seen[column.name] = seen.get(column.name, 0) + 1
        if times > 1:
            findings.add(
                "duplicate_parameter", "info", f"the column comes twice; the second is called {column.name}_{times}",
                parameter=column.name,
            )  # fmt: skip
            column.name = f"{column.name}_{times}"


def cast_of(header: Header, key: str, findings: Findings) -> Cast:
    """Where and when, from what the instrument noted (NMEA) or people typed."""
    latitude, longitude = (
        degrees(
            _first(header.settings, f"nmea {name}", name, f"start {name}", f"station {name}", short), name, findings
        )
        for name, short in (("latitude", "lat"), ("longitude", "lon"))
    )
    time: np.datetime64 = NAT
    for name in ("nmea utc (time)", "nmea utc(time)", "start_time", "system utc", "system upload time", "cast", "date"):
        time = time_of(header.settings.get(name, ""))
        if not np.isnat(time):
            break
    else:
        findings.add("no_date", "warning", "the header says no time that can be read")
    station = _first(header.settings, "station", "station id", "station name", "station number", "stn", "stationid")
    depth = re.match(
        r"\s*([0-9]+(?:\.[0-9]+)?)", _first(header.settings, "depth", "water depth", "bottom depth", "sounding")
    )
    return Cast(
        station=station[:100] or stem(key),
        number=_first(header.settings, "cast number", "cast no", "castno", "cast #")[:40],
        expocode=_first(header.settings, "expocode")[:40],
        time=time, latitude=latitude, longitude=longitude,
        bottom_depth_m=float(depth[1]) if depth else np.nan,
        headers="\n".join(header.comments)[:20_000],
    )  # fmt: skip


def _first(settings: dict[str, str], *names: str) -> str:
    return next((settings[name] for name in names if settings.get(name)), "")


def degrees(text: str, name: str, findings: Findings) -> float:
    """Degrees of texts such as "39 16.23 N", "N 39 16.23", "39° 16' 13.8\\" N" and "-39.27"; NaN for others."""
    if not text:
        return float("nan")
    found = _DEGREES.fullmatch(text.strip())
    if found is None:
        findings.add("bad_header_value", "warning", f"the {name} cannot be read", parameter=name, places=[text[:60]])
        return float("nan")
    value = abs(float(found[2])) + float(found[3] or 0) / 60 + float(found[4] or 0) / 3600
    side = (found[1] or found[5] or "").upper()
    return -value if side in {"S", "W"} or found[2].startswith("-") else value


def time_of(text: str) -> np.datetime64:
    """The time in a text such as "Jul 12 2013  12:59:28 [NMEA time, header]"; NaT if there is none."""
    plain = " ".join(text.split("[")[0].split())
    for form in _TIMES:
        try:
            return np.datetime64(datetime.strptime(plain, form), "us")
        except ValueError:
            continue
    return NAT


def pressure_of(found: Sequence[Parameter], latitude: float, findings: Findings) -> NDArray[np.float64] | None:
    """Pressure in dbar from the column of pressure, or of depth; None if there is neither."""
    for one in found:
        if one.standard_name == PRESSURE:
            return one.values * DBAR_A_PSI if is_psi(one) else one.values
    for one in found:
        if one.standard_name == "depth":
            import gsw

            metres = one.values * 0.3048 if one.name.lower().startswith(("depfm", "depf")) else one.values
            findings.add("pressure_from_depth", "info", "pressure follows from depth, by TEOS-10", parameter=one.name)
            pressure: NDArray[np.float64] = gsw.p_from_z(-metres, latitude if np.isfinite(latitude) else 45.0)
            return pressure
    return None


def is_psi(one: Parameter) -> bool:
    """Whether a column of pressure is in pounds per square inch."""
    return "psi" in one.unit.lower() or (not one.unit and one.name in {"prE", "prDE", "prSE"})


def parameter(column: Column, values: NDArray[np.float64]) -> Parameter:
    return Parameter(column.name, column.unit, values, standard_name=seabird_standard_name(column.name))
