"""WHP-Exchange bottle file -> `CruiseFile`: one row for each water sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.read import exchange_columns as columns_of
from pipeline_assets.ocean.read.cruise_file import Cast, CruiseFile, identity, joined
from pipeline_assets.ocean.read.delimited import as_numbers, as_texts, without_fills
from pipeline_assets.ocean.read.exchange_lines import ExchangeText, cut, recognises, split_casts
from pipeline_assets.ocean.read.text import begin_of, normalised

KIND = "exchange_bottle"
FILL_TEXTS = frozenset({"-999", "-999.0", "-9", "nan"})


def recognise_bottle(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a WHP-Exchange bottle file, whatever its name."""
    return recognises(begin_of(head), "BOTTLE")


def read_bottle(file: LandedFile, config: OceanConfig) -> CruiseFile:
    """All samples of the file.

    Refused: `wrong_encoding`, `wrong_magic_number`, `no_columns`, `unit_alignment`, `column_alignment`, `no_keys`,
    `no_data`.
    """
    content = file.read_bytes()
    findings = Findings()
    text = normalised(content, findings)
    parts = [_part(cut(piece, "BOTTLE", closed, line), file.key) for piece, closed, line in split_casts(text, "BOTTLE")]
    base = CruiseFile(
        **identity(file, content), kind=KIND, casts=[], cast_index=np.empty(0, np.int32), pressure=np.empty(0),
        parameters=[], findings=findings,
    )  # fmt: skip
    if not parts:
        raise Refused("wrong_magic_number", "the file has no line that begins with BOTTLE. Send a WHP-Exchange file.")
    for part in parts:
        findings.update(part.findings)
    base.stamp, base.comments = parts[0].stamp, "\n".join(part.comments for part in parts)
    whole = joined(parts, base)
    if whole.rows == 0:
        raise Refused("no_data", "the file has a header and no data rows. Send it with its data.")
    return whole


def _part(text: ExchangeText, key: str) -> CruiseFile:
    findings, names = text.findings, text.names
    if "STNNBR" not in names and "CASTNO" not in names:
        raise Refused(
            "no_keys",
            f"none of the columns STNNBR and CASTNO is there, so no sample has a place. Columns: {', '.join(names[:12])}. "
            "Send a WHP-Exchange bottle file with its key columns.",
        )
    columns = columns_of.parse(text.body, names, text.first_line, findings)
    rows = len(columns[0])
    keys = {name: _key(names, columns, name, rows) for name in ("EXPOCODE", "STNNBR", "CASTNO", "SAMPNO", "BTLNBR")}
    section = next((_key(names, columns, name, rows) for name in ("SECT_ID", "SECT", "SECTID") if name in names), None)
    index, casts = _casts(names, columns, keys, section, findings, rows)

    def where(row: int) -> str:
        return (
            f"row {row + 1} (station {keys['STNNBR'][row]}, cast {keys['CASTNO'][row]}, sample {keys['SAMPNO'][row]})"
        )

    found = columns_of.parameters(
        names, text.units, columns, leave_out=columns_of.KEYS | columns_of.PLACE, scheme="woce_sample",
        findings=findings, where=where,
    )  # fmt: skip
    pressure = columns_of.pressure_of(found)
    if pressure is None:
        findings.add("no_pressure", "error", "no column says how deep a sample was taken (CTDPRS)")
    bottle_flags = None
    if f"BTLNBR{columns_of.FLAG}" in names:
        at = names.index(f"BTLNBR{columns_of.FLAG}")
        bottle_flags = columns_of.read_flags(columns[at], "BTLNBR", findings, where)
    _check_keys(names, keys, findings, where)
    return CruiseFile(
        key=key, sha256="", size_bytes=0, kind=KIND, casts=casts, cast_index=index,
        pressure=np.full(rows, np.nan) if pressure is None else pressure.values,
        parameters=found,
        sample=keys["SAMPNO"] if "SAMPNO" in names else None,
        bottle=keys["BTLNBR"] if "BTLNBR" in names else None,
        bottle_flags=bottle_flags, stamp=text.stamp, comments="\n".join(text.comments), findings=findings,
    )  # fmt: skip


def _key(names: tuple[str, ...], columns: list[pa.Array], name: str, rows: int) -> NDArray[Any]:
    if name not in names:
        return np.full(rows, "", dtype=object)
    texts = as_texts(columns[names.index(name)])
    empty = np.isin(texts.astype(str), list(FILL_TEXTS)) if rows else np.zeros(0, dtype=bool)
    return np.where(empty, "", texts)


def _casts(
    names: tuple[str, ...],
    columns: list[pa.Array],
    keys: dict[str, NDArray[Any]],
    section: NDArray[Any] | None,
    findings: Findings,
    rows: int,
) -> tuple[NDArray[np.int32], list[Cast]]:
    """For each row its cast, and the casts in the order in which they come first."""
    numbers: dict[tuple[str, str, str], int] = {}
    index = np.array(
        [
            numbers.setdefault(key, len(numbers))
            for key in zip(keys["EXPOCODE"], keys["STNNBR"], keys["CASTNO"], strict=True)
        ],
        dtype=np.int32,
    )
    first = np.full(len(numbers), -1)
    first[index[::-1]] = np.arange(rows)[::-1]
    dates, clocks = _key(names, columns, "DATE", rows), _key(names, columns, "TIME", rows)
    place = {name: _place(names, columns, name, rows) for name in ("LATITUDE", "LONGITUDE", "DEPTH")}
    times = columns_of.times(list(dates[first]), list(clocks[first]), findings)
    casts = [
        Cast(
            station=str(station), number=str(number), expocode=str(expocode),
            section="" if section is None else str(section[at]), time=time,
            latitude=float(place["LATITUDE"][at]), longitude=float(place["LONGITUDE"][at]),
            bottom_depth_m=float(place["DEPTH"][at]),
        )
        for (expocode, station, number), at, time in zip(numbers, first, times, strict=True)
    ]  # fmt: skip
    for name in ("LATITUDE", "LONGITUDE"):
        values = place[name]
        differs = np.zeros(rows, dtype=bool)
        if rows:
            differs = ~np.isclose(values, values[first][index], rtol=0, atol=1e-6, equal_nan=True)
        findings.add_rows(
            "inconsistent_coordinate", "info", "rows of one cast have different positions; the first counts for the cast", differs,
            lambda row: f"row {row + 1}", parameter=name,
        )  # fmt: skip
    return index, casts


def _place(names: tuple[str, ...], columns: list[pa.Array], name: str, rows: int) -> NDArray[np.float64]:
    if name not in names:
        return np.full(rows, np.nan)
    return without_fills(as_numbers(columns[names.index(name)])[0])


def _check_keys(names: tuple[str, ...], keys: dict[str, NDArray[Any]], findings: Findings, where: Any) -> None:
    for name in ("EXPOCODE", "STNNBR", "CASTNO"):
        if name not in names:
            findings.add("missing_key_column", "error", "a key column is missing", parameter=name)
        else:
            missing = np.array([not text for text in keys[name]], dtype=bool)
            findings.add_rows(
                "partial_key", "error", "a row has no value in a key column", missing, where, parameter=name
            )
    sample = "SAMPNO" if "SAMPNO" in names else "BTLNBR"
    if sample not in names:
        findings.add("missing_key_column", "error", "neither SAMPNO nor BTLNBR is there", parameter="SAMPNO")
        return
    seen: set[tuple[str, ...]] = set()
    double = np.zeros(len(keys[sample]), dtype=bool)
    of_row = zip(keys["EXPOCODE"], keys["STNNBR"], keys["CASTNO"], keys["SAMPNO"], keys["BTLNBR"], strict=True)
    for row, key in enumerate(of_row):
        double[row] = key in seen
        seen.add(key)
    findings.add_rows("duplicate_key", "error", "two rows have the same station, cast and sample", double, where)
