"""WHP-Exchange CTD text -> `CruiseFile`: one cast, or several that follow each other; one row for each level.

A cruise's casts come by the hundred with equal columns, so the rows of equal casts are read in one go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.read import exchange_columns as columns_of
from pipeline_assets.ocean.read.cruise_file import Cast, CruiseFile, identity, joined
from pipeline_assets.ocean.read.exchange_lines import ExchangeText, cut, recognises, split_casts
from pipeline_assets.ocean.read.rows_ahead import RowsAhead
from pipeline_assets.ocean.read.text import begin_of, normalised

KIND = "exchange_ctd"
_PLACE_HEADERS = {
    "EXPOCODE",
    "SECT_ID",
    "SECT",
    "SECTID",
    "STNNBR",
    "CASTNO",
    "DATE",
    "TIME",
    "LATITUDE",
    "LONGITUDE",
    "DEPTH",
}
_DEGREES = re.compile(r"\s*(-?[0-9]+(?:\.[0-9]*)?)(?:\s+([0-9]+(?:\.[0-9]*)?))?\s*([NSEW])?\s*", re.IGNORECASE)


@dataclass
class Member:
    """One CTD text of a file: its cast and its parts. place: what to call it in messages."""

    text: ExchangeText
    cast: Cast
    place: str


def recognise_ctd(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a WHP-Exchange CTD file, whatever its name."""
    return recognises(begin_of(head), "CTD")


def read_ctd(file: LandedFile, config: OceanConfig) -> CruiseFile:
    """All levels of the casts in the file.

    Refused: `wrong_encoding`, `wrong_magic_number`, `no_columns`, `unit_alignment`, `column_alignment`, `no_pressure`.
    """
    content = file.read_bytes()
    findings = Findings()
    members = members_of(content, "", findings)
    base = CruiseFile(
        **identity(file, content), kind=KIND, casts=[], cast_index=np.empty(0, np.int32), pressure=np.empty(0),
        parameters=[], findings=findings,
    )  # fmt: skip
    return read_members(members, base)


def members_of(content: bytes, place: str, findings: Findings) -> list[Member]:
    """The casts of one text. place: the member of an archive that it is; empty for a file of its own."""
    own = Findings()
    made = []
    for number, (piece, closed, line) in enumerate(split_casts(normalised(content, own), "CTD"), start=1):
        text = cut(piece, "CTD", closed, line)
        called = place if number == 1 else f"{place or 'cast'} ({number})"
        made.append(Member(text, _cast(text, place, own), called))
    findings.update(own, place)
    if not made:
        raise Refused("wrong_magic_number", "the file has no line that begins with CTD. Send a WHP-Exchange file.")
    return made


def rows_ahead() -> RowsAhead:
    """For casts that come one after the other; see `read_members`."""
    return RowsAhead(columns_of.KEYS)


def read_members(members: Sequence[Member], base: CruiseFile, rows: RowsAhead | None = None) -> CruiseFile:
    """The rows of all casts in the order of the casts, in `base`'s name. rows: was given all of them already."""
    if rows is None and len(members) > 1:
        with rows_ahead() as rows:
            for member in members:
                rows.add(member.text)
            return read_members(members, base, rows)
    for member in members:
        base.findings.update(member.text.findings, member.place)
    whole = None if rows is None else _read_alike(members, base, rows)
    if whole is None:
        whole = joined([_read_one(member, base) for member in members], base)
    return _finished(whole, members)


def _finished(whole: CruiseFile, members: Sequence[Member]) -> CruiseFile:
    whole.stamp = members[0].text.stamp
    whole.comments = "\n".join(members[0].text.comments)
    rows = np.bincount(whole.cast_index, minlength=len(whole.casts))
    empty = [whole.casts[number] for number in np.flatnonzero(rows == 0)]
    whole.findings.add(
        "empty_cast", "warning", "a cast has a header and no data", count=len(empty),
        places=[cast.member or f"station {cast.station}, cast {cast.number}" for cast in empty],
    )  # fmt: skip
    if not len(whole.cast_index):
        raise Refused("no_data", "none of the casts has a data row. Send them with their data.")
    seen: dict[tuple[str, str, str], int] = {}
    for cast in whole.casts:
        key = (cast.expocode, cast.station, cast.number)
        seen[key] = seen.get(key, 0) + 1
    again = [key for key, times in seen.items() if times > 1 and any(key)]
    whole.findings.add(
        "duplicate_cast", "warning", "two casts have the same station and cast number", count=len(again),
        places=[f"station {station}, cast {number}" for _, station, number in again],
    )  # fmt: skip
    whole.findings.add(
        "several_expocodes", "warning", "casts of one file have different expocodes", count=len({key[0] for key in seen}) - 1
    )  # fmt: skip
    return whole


def _read_alike(members: Sequence[Member], base: CruiseFile, rows: RowsAhead) -> CruiseFile | None:
    """All casts in one go, if their rows are well formed and have equal columns; else None."""
    columns = rows.columns()
    if columns is None:
        return None
    base.casts = [member.cast for member in members]
    base.cast_index = np.repeat(np.arange(len(members), dtype=np.int32), rows.counts)
    first = members[0].text
    _fill(base, first.names, first.units, columns, np.cumsum([0, *rows.counts]), members)
    return base


def _read_one(member: Member, base: CruiseFile) -> CruiseFile:
    text = member.text
    own = Findings()
    try:
        columns = columns_of.parse(text.body, text.names, text.first_line, own)
    except Refused as refused:
        location = f"{member.place}: {refused.location}" if member.place else refused.location
        raise Refused(refused.error_class, refused.message, location=location) from refused
    part = CruiseFile(
        key=base.key, sha256="", size_bytes=0, kind=KIND, casts=[member.cast],
        cast_index=np.zeros(len(columns[0]), dtype=np.int32), pressure=np.empty(0), parameters=[], findings=own,
    )  # fmt: skip
    _fill(part, text.names, text.units, columns, np.array([0, len(columns[0])]), [member])
    base.findings.update(own, member.place)
    return part


def _fill(
    part: CruiseFile,
    names: Sequence[str],
    units: Sequence[str],
    columns: list[pa.Array],
    starts: np.ndarray,
    members: Sequence[Member],
) -> None:
    def where(row: int) -> str:
        number = int(np.searchsorted(starts, row, side="right")) - 1
        member = members[number]
        place = member.place or f"station {member.cast.station}, cast {member.cast.number}"
        return f"{place} row {row - int(starts[number]) + 1}"

    part.parameters = columns_of.parameters(
        names, units, columns, leave_out=columns_of.KEYS, scheme="woce_ctd", findings=part.findings, where=where
    )
    pressure = columns_of.pressure_of(part.parameters)
    if pressure is None:
        raise Refused(
            "no_pressure",
            f"no column says how deep the levels are; expected CTDPRS among {', '.join(names[:12])}. Send the cast with it.",
            location=members[0].place,
        )
    part.pressure = pressure.values


def _cast(text: ExchangeText, place: str, findings: Findings) -> Cast:
    headers = text.headers
    time = columns_of.times([headers.get("DATE", "")], [headers.get("TIME", "")], findings)[0]
    section = next((headers[name] for name in ("SECT_ID", "SECT", "SECTID") if headers.get(name)), "")
    if "SECT_ID" not in headers and section:
        findings.add("header_alias", "info", "the section stands under SECT instead of SECT_ID", parameter="SECT_ID")
    for name in ("EXPOCODE", "STNNBR", "CASTNO"):
        if not headers.get(name):
            findings.add("missing_key", "error", f"the header does not say {name}", parameter=name)
    latitude, longitude = (_degrees(headers.get(name, ""), name, findings) for name in ("LATITUDE", "LONGITUDE"))
    return Cast(
        station=headers.get("STNNBR", ""), number=headers.get("CASTNO", ""), expocode=headers.get("EXPOCODE", ""),
        section=section, time=time, latitude=latitude, longitude=longitude,
        bottom_depth_m=_number(headers.get("DEPTH", ""), "DEPTH", findings), member=place,
        headers="\n".join(f"{key} = {value}" for key, value in headers.items() if key not in _PLACE_HEADERS),
    )  # fmt: skip


def _number(text: str, name: str, findings: Findings) -> float:
    if not text or text in {"-999", "-999.0", "-9"}:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        findings.add("bad_header_value", "warning", "a header is no number", parameter=name, places=[text[:40]])
        return float("nan")
    return float("nan") if value in (-999.0, -9999.0) or not np.isfinite(value) else value


def _degrees(text: str, name: str, findings: Findings) -> float:
    """Degrees, be they decimal or degrees and minutes with a letter."""
    found = _DEGREES.fullmatch(text)
    if found is None or (found[2] is None and found[3] is None):
        return _number(text.strip(), name, findings)
    value = abs(float(found[1])) + float(found[2] or 0) / 60
    findings.add(
        "degrees_minutes", "info", "a position is no decimal number; read as degrees and minutes", parameter=name
    )
    return -value if (found[3] or "").upper() in {"S", "W"} or found[1].startswith("-") else value
