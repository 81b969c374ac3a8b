"""Columns of an Exchange file -> `Parameter`s with their flags, and the keys of each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline_assets.landed_file import Refused
from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.parameters import standard_name_of
from pipeline_assets.ocean.read.cruise_file import NAT, NO_FLAG, Parameter
from pipeline_assets.ocean.read.delimited import Ragged, as_numbers, even, parse_fast, parse_texts, without_fills

FLAG = "_FLAG_W"
KEYS = frozenset(
    {"EXPOCODE", "SECT_ID", "SECT", "SECTID", "STNNBR", "CASTNO", "SAMPNO", "BTLNBR", "DATE", "TIME"}
)  # fmt: skip
"""Columns that say which row it is; they are texts."""
PLACE = frozenset({"LATITUDE", "LONGITUDE", "DEPTH"})
PRESSURE = ("CTDPRS", "CTDPRES", "PRES", "PRESSURE", "PRS", "REVPRS")
Where = Callable[[int], str]


def parse(body: bytes, names: Sequence[str], first_line: int, findings: Findings) -> list[pa.Array]:
    """The columns of the rows, numbers where they are, else texts. Refused `column_alignment`."""
    texts = {number for number, name in enumerate(names) if name in KEYS}
    try:
        return parse_fast(body, len(names), texts)
    except Ragged:
        pass
    try:
        return parse_texts(body, len(names))
    except Ragged:
        pass
    try:
        return parse_texts(even(body, len(names), first_line, findings), len(names))
    except Ragged as error:
        raise Refused("column_alignment", f"its rows cannot be told apart: {str(error)[:200]}.") from error


def unique_names(names: Sequence[str], units: Sequence[str], findings: Findings) -> list[str]:
    """The names with those numbered that come twice with one unit; a flag column follows the column before it."""
    seen: dict[tuple[str, str], int] = {}
    made: list[str] = []
    last: dict[str, str] = {}
    for name, unit in zip(names, units, strict=True):
        if name.endswith(FLAG):
            base = last.get(name.removesuffix(FLAG), name.removesuffix(FLAG))
            flagged = f"{base}{FLAG}"
            if flagged in made:
                findings.add("duplicate_parameter", "warning", "a flag column comes twice", parameter=name)
                flagged = f"{flagged}_{made.count(flagged) + 1}"
            made.append(flagged)
            continue
        times = seen[name, unit] = seen.get((name, unit), 0) + 1
        if times > 1:
            findings.add(
                "duplicate_parameter", "warning", f"the column comes twice; the second is called {name}_{times}", parameter=name
            )  # fmt: skip
        unique = name if times == 1 else f"{name}_{times}"
        if times == 1 and unique in made:  # the same name with another unit
            unique = f"{name}_{sum(other == name for other, _ in seen)}"
            findings.add(
                "name_with_two_units", "info", f"two columns of this name have different units; the second is called {unique}",
                parameter=name,
            )  # fmt: skip
        last[name] = unique
        made.append(unique)
    return made


def parameters(
    names: Sequence[str],
    units: Sequence[str],
    columns: Sequence[pa.Array],
    *,
    leave_out: frozenset[str],
    scheme: str,
    findings: Findings,
    where: Where,
) -> list[Parameter]:
    """All columns but the keys, each with its flags. Notes what is undefined, unnamed, without its partner, or no number."""
    unique = unique_names(names, units, findings)
    positions = {name: number for number, name in enumerate(unique)}
    found: list[Parameter] = []
    undefined: list[str] = []
    for number, (name, original, unit) in enumerate(zip(unique, names, units, strict=True)):
        if original in leave_out or (original.endswith(FLAG) and original.removesuffix(FLAG) in leave_out):
            continue
        if not original:
            _note_unnamed(number, columns[number], findings)
            continue
        if original.endswith(FLAG):
            if name.removesuffix(FLAG) in positions:
                continue  # read with the column it belongs to
            findings.add("orphan_flag", "warning", "a column of flags has no column of values", parameter=original)
        values, text = as_numbers(columns[number])
        values = without_fills(values)
        flags = None
        flag_at = positions.get(f"{name}{FLAG}")
        if flag_at is not None and not original.endswith(FLAG):
            flags = read_flags(columns[flag_at], f"{name}", findings, where)
            if units[flag_at]:
                findings.add("flag_unit", "info", f"a column of flags has a unit ({units[flag_at]})", parameter=name)
        standard_name = standard_name_of(original)
        if standard_name is None and not original.endswith(FLAG):
            undefined.append(name)
        if text is not None:
            _note_texts(name, values, text, findings, where)
        found.append(
            Parameter(name, unit, values, flags, text, None, standard_name, scheme if flags is not None else "")
        )
    note_undefined(undefined, findings)
    return found


def read_flags(column: pa.Array, name: str, findings: Findings, where: Where) -> NDArray[np.int16]:
    """Flags as int16, NO_FLAG where there is none or no whole number. Which of them are legal is for `flags.py` to say."""
    values, text = as_numbers(column)
    whole = np.isfinite(values) & (np.abs(values) < 32_000) & (values == np.floor(values))
    odd = np.isfinite(values) & ~whole
    if text is not None:
        odd = odd | np.array([one is not None for one in text])
    findings.add_rows("unreadable_flag", "warning", "a flag is no whole number; left out", odd, where, parameter=name)
    flags: NDArray[np.int16] = np.where(whole, np.nan_to_num(values), NO_FLAG).astype(np.int16)
    return flags


def note_undefined(names: Sequence[str], findings: Findings) -> None:
    """One finding for all names that nothing is known of."""
    findings.add(
        "undefined_parameter", "info", "names without a CF standard name known here; kept as they are", count=len(names),
        places=[", ".join(names)],
    )  # fmt: skip


def _note_unnamed(number: int, column: pa.Array, findings: Findings) -> None:
    values, text = as_numbers(column)
    held = int(np.isfinite(values).sum()) + (0 if text is None else sum(one is not None for one in text))
    if held:
        findings.add(
            "unnamed_column", "warning", "a column without a name holds values; left out", count=held,
            places=[f"column {number + 1}"],
        )  # fmt: skip


def _note_texts(name: str, values: NDArray[np.float64], text: NDArray[Any], findings: Findings, where: Where) -> None:
    is_text = np.array([one is not None for one in text])
    if np.isfinite(values).sum() >= is_text.sum():  # a column of numbers, then
        findings.add_rows(
            "not_a_number", "warning", "a value is no number; kept as text", is_text, lambda row: f"{where(row)}: {str(text[row])[:40]}",
            parameter=name,
        )  # fmt: skip


def pressure_of(found: Sequence[Parameter]) -> Parameter | None:
    """The column that says how deep."""
    for name in PRESSURE:
        for one in found:
            if one.name == name:
                return one
    return None


def times(dates: Sequence[str], clocks: Sequence[str], findings: Findings) -> list[np.datetime64]:
    """DATE and TIME as UTC; NaT where the date is unknown, midnight where only the time of day is."""
    made: dict[tuple[str, str], np.datetime64] = {}
    counts = {"bad_date": 0, "no_date": 0, "bad_time": 0, "no_time": 0}
    out = []
    for date, clock in zip(dates, clocks, strict=True):
        if (date, clock) not in made:
            made[date, clock] = _time(date, clock, counts)
        out.append(made[date, clock])
    findings.add("no_date", "warning", "DATE is missing", count=counts["no_date"])
    findings.add("bad_date", "warning", "DATE is no YYYYMMDD; the time is unknown", count=counts["bad_date"])
    findings.add("no_time", "info", "TIME is missing; midnight stands for it", count=counts["no_time"])
    findings.add("bad_time", "warning", "TIME is no HHMM; midnight stands for it", count=counts["bad_time"])
    return out


def _time(date: str, clock: str, counts: dict[str, int]) -> np.datetime64:
    digits = date.split(".")[0].replace("-", "" if date.count("-") == 2 else "-").replace("/", "")
    if digits in {"", "-999", "-9", "-9999"}:
        counts["no_date"] += 1
        return NAT
    try:
        day = np.datetime64(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if len(digits) == 8 else "no date", "us")
    except ValueError:
        counts["bad_date"] += 1
        return NAT
    if not digits.isdigit() or not "1700" <= digits[:4] <= "2200":
        counts["bad_date"] += 1
        return NAT
    hands = clock.split(".")[0].replace(":", "")
    if hands in {"", "-999", "-9", "-9999"}:
        counts["no_time"] += 1
        return day
    seconds = 0
    if len(hands) in (5, 6) and hands.isdigit():
        seconds, hands = int(hands[-2:]), hands[:-2]
    if not hands.isdigit() or len(hands) > 4 or int(hands[-2:]) > 59 or int(hands) > 2400 or seconds > 60:
        counts["bad_time"] += 1
        return day
    padded = hands.zfill(4)
    return day + np.timedelta64(int(padded[:-2]) * 3600 + int(padded[-2:]) * 60 + seconds, "s")
