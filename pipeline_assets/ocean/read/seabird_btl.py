"""Sea-Bird bottle summary (.btl) -> `CruiseFile`: one row for each statistic of each bottle.

A bottle has two to four lines: means, standard deviations and, if asked for, minima and maxima. The values of the means have
the columns' own names; those of the others are parameters such as T090C_sdev, and blank where a column was computed from the
means. All rows of a bottle lie at its mean pressure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.parameters import seabird_standard_name
from pipeline_assets.ocean.read.cruise_file import NAT, CruiseFile, Parameter, identity
from pipeline_assets.ocean.read.seabird_header import Column, cast_of, header_of, pressure_of, time_of, unique
from pipeline_assets.ocean.read.text import normalised

KIND = "seabird_btl"
MEAN = "avg"
_WIDTH = 11
_STATISTIC = re.compile(r"\((avg|sdev|min|max)\)\s*$", re.IGNORECASE)
_TOUCHING = re.compile(r"(?<=\S)(?=Sbeox)")
_DATE = re.compile(
    r"\s*([A-Za-z]{3}\s+[0-9]{1,2}\s+[0-9]{4}|[0-9]{1,2}\s+[A-Za-z]{3}\s+[0-9]{4}|[0-9]{4}-[0-9]{2}-[0-9]{2})"
)
_CLOCK = re.compile(r"\s*([0-9]{1,2}:[0-9]{2}:[0-9]{2})")
_NOT_DATA = frozenset({"bottle", "btl_posn", "btl_sn", "btl_id", "date", "time", "position", "s/n"})


@dataclass
class _Line:
    bottle: int
    statistic: str
    values: list[float]


def read_btl(file: LandedFile, config: OceanConfig) -> CruiseFile:
    """All statistics of all bottles. Refused: `wrong_encoding`, `no_columns`, `column_alignment`, `no_pressure`, `no_data`."""
    content = file.read_bytes()
    findings = Findings()
    lines = normalised(content, findings).decode("utf-8").split("\n")
    names_at = next(
        (number for number, line in enumerate(lines) if line.strip() and line.lstrip()[0] not in "*#"), None
    )
    if names_at is None or not lines[names_at].split()[0].lower().startswith(("bottle", "btl")):
        raise Refused(
            "no_columns",
            "after the header there is no line of column names that begins with Bottle. Send the .btl whole.",
        )
    header = header_of(lines[:names_at], findings)
    columns = [
        Column(name, "", "") for name in _TOUCHING.sub(" ", lines[names_at]).split() if name.lower() not in _NOT_DATA
    ]
    unique(columns, findings)
    found, numbers, times = _lines(lines[names_at + 1 :], len(columns), names_at + 2)
    if not found:
        raise Refused("no_data", "the file has column names and no bottles. Send it with its bottles.")
    cast = cast_of(header, file.key, findings)
    parameters, mean_of = _parameters(columns, found)
    pressure = pressure_of(parameters, cast.latitude, findings)
    if pressure is None:
        raise Refused(
            "no_pressure",
            "no column says how deep the bottles closed; expected pressure (such as PrDM) or depth (DepSM) among "
            f"{', '.join(column.name for column in columns[:12])}. Make the summary with it.",
        )
    if np.isnat(cast.time):
        cast.time = next((time for time in times if not np.isnat(time)), NAT)
    bottle = np.array([numbers[line.bottle] for line in found], dtype=object)
    return CruiseFile(
        **identity(file, content), kind=KIND, casts=[cast], cast_index=np.zeros(len(found), dtype=np.int32),
        pressure=pressure[mean_of], parameters=parameters, sample=bottle, bottle=bottle,
        time=np.array([times[line.bottle] for line in found], dtype="datetime64[us]"),
        stamp=lines[0].strip(), comments="\n".join(header.comments), findings=findings,
    )  # fmt: skip


def _lines(lines: list[str], columns: int, first_line: int) -> tuple[list[_Line], list[str], list[np.datetime64]]:
    """The lines of statistics, and of each bottle its number and time."""
    found: list[_Line] = []
    numbers: list[str] = []
    dates: list[str] = []
    clocks: list[str] = []
    wrong: list[int] = []
    for number, line in enumerate(lines, start=first_line):
        statistic = _STATISTIC.search(line)
        if statistic is None:
            if line.strip() and numbers:
                wrong.append(number)  # before the first bottle, it is the second line of column names
            continue
        name = statistic[1].lower()
        body = line[: statistic.start()]
        if name == MEAN:
            head = body.split()
            numbers.append(head[0] if head else "")
            date = re.search(_DATE.pattern.removeprefix(r"\s*"), body)
            dates.append(" ".join(date[1].split()) if date else "")
            clocks.append("")
            body = body[date.end() :] if date else " ".join(head[1:])
        clock = _CLOCK.match(body)
        if clock and numbers:
            clocks[-1] = clock[1]
            body = body[clock.end() :]
        values = _numbers(body, columns, name)
        if values is None or not numbers:
            wrong.append(number)
            continue
        found.append(_Line(len(numbers) - 1, name, values))
    if wrong:
        places = ", ".join(f"line {number}" for number in wrong[:5])
        raise Refused(
            "column_alignment", f"{len(wrong)} lines do not have the {columns} values that the columns name: {places}. "
            "Make the summary again.", location=places,
        )  # fmt: skip
    return found, numbers, [time_of(f"{date} {clock or '00:00:00'}") for date, clock in zip(dates, clocks, strict=True)]


def _numbers(body: str, columns: int, statistic: str) -> list[float] | None:
    cells = body.split()
    if len(cells) == columns:
        return _floats(cells)
    # Values are set right in eleven characters: a long one touches the one before it, and a blank one shows by its place.
    body = body.rstrip().rjust(_WIDTH * columns)
    begin = len(body) - _WIDTH * columns
    cells = [body[begin + _WIDTH * at : begin + _WIDTH * (at + 1)] for at in range(columns)]
    has_blanks = statistic != MEAN and len(body.split()) < columns
    if body[:begin].strip() or any(cell != cell.rstrip() and (cell.strip() or not has_blanks) for cell in cells):
        return None
    return _floats([cell if cell.strip() else "nan" for cell in cells])


def _floats(cells: list[str]) -> list[float] | None:
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return None


def _parameters(columns: list[Column], found: list[_Line]) -> tuple[list[Parameter], NDArray[np.int64]]:
    """One parameter for each column and statistic; and for each row the row of its bottle's means."""
    rows = len(found)
    table = np.array([line.values for line in found], dtype=np.float64)
    statistics = np.array([line.statistic for line in found])
    bottles = np.array([line.bottle for line in found])
    means = {line.bottle: row for row, line in enumerate(found) if line.statistic == MEAN}
    made = []
    for statistic in dict.fromkeys(statistics.tolist()):
        present = statistics == statistic
        for number, column in enumerate(columns):
            values = np.where(present, table[:, number], np.nan)
            name = column.name if statistic == MEAN else f"{column.name}_{statistic}"
            standard = seabird_standard_name(column.name) if statistic == MEAN else None
            made.append(
                Parameter(name, column.unit, values, present=None if present.all() else present, standard_name=standard)
            )
    return made, np.array([means.get(bottle, row) for row, bottle in enumerate(bottles)], dtype=np.int64).reshape(rows)
