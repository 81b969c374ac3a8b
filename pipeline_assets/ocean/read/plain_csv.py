"""Plain CSV with a line of column names, such as ERDDAP gives -> `CruiseFile`. The settings say which column is what."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.ocean.config import CsvColumns, OceanConfig
from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.parameters import standard_name_of
from pipeline_assets.ocean.read.cruise_file import NAT, Axis, Cast, CruiseFile, Parameter, identity, stem
from pipeline_assets.ocean.read.delimited import (
    Ragged,
    as_numbers,
    as_texts,
    check_columns,
    even,
    parse_texts,
    without_fills,
)
from pipeline_assets.ocean.read.exchange_columns import read_flags
from pipeline_assets.ocean.read.text import begin_of, normalised

KIND = "csv"
_ROLES = ("time", "latitude", "longitude", "pressure", "depth", "station", "cast", "expocode")
_COMMENTS = ("#", "%")
_NOTED = re.compile(
    r"[#%]\s*(?:start |cast )?(time|latitude|longitude)\s*(?:\(utc\))?\s*[,:=]\s*([^,]+)", re.IGNORECASE
)
"""What a comment says of the whole file, such as a Castaway's "% Start latitude,-36.2"."""
_ERAS = ((1e8, 5e9, "s"), (1e11, 5e12, "ms"), (1e14, 5e15, "us"))
"""Numbers that can be a time since 1970, and their unit."""


def recognise_csv(head: bytes) -> bool:
    """Whether a file that begins with these bytes is text with a line of names, commas between them, whatever its name."""
    if b"\0" in head or any(byte < 9 or 13 < byte < 32 for byte in head):
        return False
    lines = begin_of(head).split("\n")
    for line in lines:
        if line.strip() and not line.lstrip().startswith(_COMMENTS):
            cells = [cell.strip().strip('"') for cell in line.split(",")]
            named = [cell for cell in cells if cell and not _is_number(cell)]
            return len(cells) >= 2 and len(named) >= 2 and not line.lstrip().startswith(("{", "[", "<", "*"))
    return len(lines) > 2  # comments that go on beyond what is looked at


def read_csv(file: LandedFile, config: OceanConfig) -> CruiseFile:
    """All rows of the file. Refused: `wrong_encoding`, `no_columns`, `unknown_columns`, `column_alignment`, `no_data`."""
    content = file.read_bytes()
    findings = Findings()
    text = normalised(content, findings)
    comments, names, units, body, first_line = _cut(text, findings)
    roles = _roles(names, config.csv_columns)
    if not {"time", "pressure", "depth"} & roles.keys():
        raise Refused(
            "unknown_columns",
            f"none of the columns {', '.join(names[:12])} is a time, pressure or depth. Name them so, or say which they are "
            "by STRANDLINE_OCEAN_CSV_COLUMNS.",
        )
    try:
        columns = parse_texts(body, len(names))
    except Ragged:
        columns = parse_texts(even(body, len(names), first_line, findings), len(names))
    rows = len(columns[0])
    if not rows:
        raise Refused("no_data", "the file has column names and no rows. Send it with its data.")
    parameters = _parameters(names, units, columns, roles, config.csv_columns, findings)
    if not parameters:
        wanted = ", ".join(config.csv_columns.parameters) or "any with numbers"
        raise Refused(
            "unknown_columns", f"no column is a measured quantity (wanted: {wanted}). Columns: {', '.join(names[:12])}."
        )
    return _assembled(file, content, comments, columns, parameters, roles, findings)


def _assembled(
    file: LandedFile, content: bytes, comments: str, columns: Sequence[pa.Array], parameters: list[Parameter],
    roles: Mapping[str, int], findings: Findings,
) -> CruiseFile:  # fmt: skip
    rows = len(columns[0])
    place = {
        name: _numbers(columns, roles, name, rows, findings) for name in ("latitude", "longitude", "pressure", "depth")
    }
    time = _times(_moments(columns, roles), findings) if "time" in roles else np.full(rows, NAT)
    noted = _noted(comments)
    for name in ("latitude", "longitude"):
        if name not in roles and name in noted:
            place[name], _ = as_numbers(pa.array([noted[name]] * rows, pa.string()))
    at_once = _times(pa.array([noted["time"]]), findings)[0] if "time" not in roles and "time" in noted else NAT
    texts = {
        name: as_texts(columns[roles[name]]) if name in roles else None for name in ("station", "cast", "expocode")
    }
    index, first = _casts(texts, rows)
    axis = _axis(index, time, place)
    latitude, longitude = place["latitude"], place["longitude"]
    casts = [
        Cast(
            station=_of(texts["station"], at) or stem(file.key), number=_of(texts["cast"], at),
            expocode=_of(texts["expocode"], at), time=time[at] if np.isnat(at_once) else at_once, latitude=latitude[at], longitude=longitude[at],
        )
        for at in first
    ]  # fmt: skip
    moves = {
        name: bool(np.any(~np.isclose(values, values[first][index], rtol=0, atol=1e-9, equal_nan=True)))
        for name, values in (("latitude", latitude), ("longitude", longitude))
    }
    return CruiseFile(
        **identity(file, content), kind=KIND, casts=casts, cast_index=index, pressure=_pressure(place, rows),
        parameters=parameters, axis=axis, time=time,
        latitude=latitude if any(moves.values()) else None, longitude=longitude if any(moves.values()) else None,
        comments=comments, findings=findings,
    )  # fmt: skip


def _noted(comments: str) -> dict[str, str]:
    """Time and place in comments, the first of each."""
    found = [match for line in comments.split("\n") if (match := _NOTED.match(line.strip()))]
    return {match[1].lower(): match[2].strip() for match in reversed(found)}


def _of(texts: NDArray[Any] | None, at: int) -> str:
    return "" if texts is None else str(texts[at])[:100]


def _cut(text: bytes, findings: Findings) -> tuple[str, list[str], list[str], bytes, int]:
    """Comments, names, units (of ERDDAP's second line, or in brackets behind the names), rows, and their first line."""
    comments: list[str] = []
    at, number = 0, 1
    names: list[str] = []
    while at < len(text):
        line, at, number = _line(text, at), _after(text, at), number + 1
        if line.lstrip().startswith(_COMMENTS):
            comments.append(line)
        elif line.strip(" ,"):
            names = [name.strip() for name in next(csv.reader([line]))]
            break
    while names and not names[-1]:
        names.pop()
    check_columns(names)
    bare, units = zip(*(_unit(name) for name in names), strict=True)
    second = next(csv.reader([_line(text, at)]), [])
    third = next(csv.reader([_line(text, _after(text, at))]), [])
    if len(second) >= len(names) and not any(map(_is_number, second)) and any(map(_is_number, third)):
        units = tuple(cell.strip() for cell in second[: len(names)])
        at, number = _after(text, at), number + 1
    seen: dict[str, int] = {}
    unique = []
    for name in bare:
        times = seen[name] = seen.get(name, 0) + 1
        findings.add("duplicate_parameter", "warning", "the column comes twice", parameter=name, count=int(times > 1))
        unique.append(name if times == 1 else f"{name}_{times}")
    return "\n".join(comments)[:20_000], unique, list(units), text[at:], number


def _line(text: bytes, at: int) -> str:
    end = text.find(b"\n", at)
    return text[at : end if end >= 0 else len(text)].decode("utf-8")[:100_000]


def _after(text: bytes, at: int) -> int:
    end = text.find(b"\n", at)
    return end + 1 if end >= 0 else len(text)


def _unit(name: str) -> tuple[str, str]:
    """'temp [degC]' and 'temp (degC)' -> name and unit."""
    for begin, end in ("[]", "()"):
        if name.endswith(end) and begin in name:
            bare, _, unit = name[:-1].rpartition(begin)
            if bare.strip():
                return bare.strip(), unit.strip()
    return name, ""


def _roles(names: Sequence[str], wanted: CsvColumns) -> dict[str, int]:
    lower = [name.lower() for name in names]
    roles = {
        role: lower.index(found)
        for role in _ROLES
        if (found := next((name.lower() for name in getattr(wanted, role) if name.lower() in lower), None)) is not None
    }
    return {**roles, "date": lower.index("date")} if roles.keys() >= {"time"} and "date" in lower else roles


def _parameters(
    names: Sequence[str], units: Sequence[str], columns: Sequence[pa.Array], roles: Mapping[str, int], wanted: CsvColumns,
    findings: Findings,
) -> list[Parameter]:  # fmt: skip
    lower = {name.lower(): number for number, name in enumerate(names)}
    chosen = {name.lower(): unit for name, unit in wanted.parameters.items()}
    flag_columns = {name.lower(): flag.lower() for name, flag in wanted.flags.items()}
    times = {name.lower() for name in wanted.time}
    flags_of: dict[int, int] = {}
    for number, (name, unit) in enumerate(zip(names, units, strict=True)):
        usual = (f"{name}_flag_w".lower(), f"{name} [{unit}]_flag_w".lower())
        at = next((lower[one] for one in (flag_columns.get(name.lower(), ""), *usual) if one in lower), None)
        if name and at is not None:
            flags_of[number] = at
    made = []
    for number, name in enumerate(names):
        key = name.lower()
        is_asked = key in chosen
        is_other = number in roles.values() or key in times or number in flags_of.values()
        if not name or (not is_asked and (chosen or is_other)):
            continue
        values, text = as_numbers(columns[number])
        values = without_fills(values)
        if text is not None and not is_asked and np.isnan(values).all():
            continue  # a column of words
        flag_at = flags_of.get(number)
        flags = None if flag_at is None else read_flags(columns[flag_at], name, findings, lambda row: f"row {row + 1}")
        if text is not None:
            odd = np.array([one is not None for one in text])
            findings.add_rows(
                "not_a_number", "warning", "a value is no number; kept as text", odd, lambda row: f"row {row + 1}", parameter=name
            )  # fmt: skip
        made.append(
            Parameter(name, chosen.get(key) or units[number], values, flags, text, None, standard_name_of(name))
        )
    for role in ("pressure", "depth"):
        if role in roles and not any(one.name == names[roles[role]] for one in made) and not chosen:
            values = without_fills(as_numbers(columns[roles[role]])[0])
            standard = "sea_water_pressure" if role == "pressure" else "depth"
            made.append(Parameter(names[roles[role]], units[roles[role]], values, standard_name=standard))
    return [one for one in made if len(one.values)]


def _numbers(
    columns: Sequence[pa.Array], roles: Mapping[str, int], name: str, rows: int, findings: Findings
) -> NDArray[np.float64]:
    if name not in roles:
        return np.full(rows, np.nan)
    values, text = as_numbers(columns[roles[name]])
    if text is not None:
        odd = np.array([one is not None for one in text])
        findings.add_rows(
            "not_a_number",
            "warning",
            "a value is no number; left out",
            odd,
            lambda row: f"row {row + 1}",
            parameter=name,
        )
    return without_fills(values)


def _moments(columns: Sequence[pa.Array], roles: Mapping[str, int]) -> pa.Array:
    """The column of times; of dates and times of day (also 20130322 and 2205, as Exchange has them) both together."""
    if "date" not in roles or roles["date"] == roles["time"]:
        return columns[roles["time"]]
    dates, clocks = (as_texts(columns[roles[name]]).tolist() for name in ("date", "time"))
    return pa.array(
        [f"{_dashed(date.strip())}T{_with_colon(clock.strip())}" for date, clock in zip(dates, clocks, strict=True)]
    )


def _dashed(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else date


def _with_colon(clock: str) -> str:
    return f"{clock.zfill(4)[:2]}:{clock.zfill(4)[2:]}" if len(clock) <= 4 and clock.isdigit() else clock


def _times(column: pa.Array, findings: Findings) -> NDArray[np.datetime64]:
    import pandas as pd

    values, text = as_numbers(column)
    unit: Any
    if text is None and not np.isnan(values).all():
        middle = float(np.nanmedian(values))
        unit = next((unit for low, high, unit in _ERAS if low <= middle <= high), None)
        if unit is None:
            findings.add("bad_time", "warning", "times are numbers that are no seconds since 1970", count=len(values))
            return np.full(len(values), NAT)
        parsed = pd.to_datetime(pd.Series(values), unit=unit, utc=True, errors="coerce")
    else:
        parsed = pd.to_datetime(pd.Series(as_texts(column)), utc=True, errors="coerce", format="ISO8601")
    made: NDArray[np.datetime64] = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    findings.add_rows("bad_time", "warning", "a time cannot be read", np.isnat(made), lambda row: f"row {row + 1}")
    return made


def _casts(texts: Mapping[str, NDArray[Any] | None], rows: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """For each row its cast, and for each cast its first row."""
    keys = [one for one in texts.values() if one is not None]
    if not keys:
        return np.zeros(rows, dtype=np.int32), np.zeros(1, dtype=np.int64)
    numbers: dict[tuple[Any, ...], int] = {}
    index = np.array([numbers.setdefault(key, len(numbers)) for key in zip(*keys, strict=True)], dtype=np.int32)
    first = np.zeros(len(numbers), dtype=np.int64)
    first[index[::-1]] = np.arange(rows)[::-1]
    return index, first


def _axis(index: NDArray[np.int32], time: NDArray[np.datetime64], place: Mapping[str, NDArray[np.float64]]) -> Axis:
    """Along time if the depth hardly changes within a cast while the time does."""
    if len(index) < 2 or np.isnat(time).all():
        return "pressure"
    within = index[1:] == index[:-1]
    for name in ("pressure", "depth"):
        values = place[name]
        if not np.isnan(values).all():
            with np.errstate(invalid="ignore"):
                if (within & (np.diff(values) != 0) & ~np.isnan(np.diff(values))).any():
                    return "pressure"
    return "time"


def _pressure(place: Mapping[str, NDArray[np.float64]], rows: int) -> NDArray[np.float64]:
    if not np.isnan(place["pressure"]).all():
        return place["pressure"]
    if np.isnan(place["depth"]).all():
        return np.full(rows, np.nan)
    import gsw

    depth, latitude = place["depth"], place["latitude"]
    with np.errstate(invalid="ignore"):
        sensible = np.where((np.abs(depth) < 12_000), np.abs(depth), np.nan)
        known = np.where(np.abs(latitude) <= 90, latitude, 45.0)
    made: NDArray[np.float64] = gsw.p_from_z(-sensible, known)
    return made


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
