"""Sea-Bird converted data (.cnv, also .ros and .hdr with data) -> `CruiseFile`: one cast, one row for each scan or bin."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.read.cruise_file import CruiseFile, identity
from pipeline_assets.ocean.read.exchange_columns import note_undefined
from pipeline_assets.ocean.read.seabird_header import Header, cast_of, header_of, parameter, pressure_of
from pipeline_assets.ocean.read.text import normalised

KIND = "seabird_cnv"
END = re.compile(rb"(?m)^[ \t]*\*END\*[^\n]*\n?")
_WIDTH = 11
"""Characters of a value: values may touch when one is that long."""
_PLAIN = re.compile(rb"[-+0-9.eE\s]*")


def read_cnv(file: LandedFile, config: OceanConfig) -> CruiseFile:
    """The scans of the file. Refused: `wrong_encoding`, `binary_cnv`, `no_columns`, `column_alignment`, `no_pressure`,
    `no_data`."""
    content = file.read_bytes()
    findings = Findings()
    header_end = content.find(b"*END*")
    if re.search(rb"(?mi)^#\s*file_type\s*=\s*binary", content[:header_end] if header_end >= 0 else content):
        raise Refused(
            "binary_cnv", "the data are binary (file_type = binary). Convert the cast again with ASCII as the format."
        )
    text = normalised(content, findings)
    end = END.search(text)
    if end is None:
        raise Refused(
            "no_columns", "the header has no *END* line, so its data cannot be found. Send the file again whole."
        )
    header = header_of(text[: end.start()].decode("utf-8").split("\n"), findings)
    if not header.columns:
        raise Refused("no_columns", "the header names no columns (# name 0 = ...). Send a converted file (.cnv).")
    values = _values(text[end.end() :], len(header.columns), text.count(b"\n", 0, end.end()) + 1, findings)
    _check_counts(header, values, findings)
    bad = _number(header.settings.get("bad_flag", ""))
    if np.isfinite(bad):
        values[np.isclose(values, bad, rtol=1e-6, atol=0)] = np.nan
    cast = cast_of(header, file.key, findings)
    found = [parameter(column, values[:, number].copy()) for number, column in enumerate(header.columns)]
    note_undefined([one.name for one in found if one.standard_name is None], findings)
    pressure = pressure_of(found, cast.latitude, findings)
    if pressure is None:
        raise Refused(
            "no_pressure",
            f"no column says how deep the scans are; expected pressure (such as prDM) or depth (depSM) among "
            f"{', '.join(column.name for column in header.columns[:12])}. Convert the cast with it.",
        )
    return CruiseFile(
        **identity(file, content), kind=KIND, casts=[cast], cast_index=np.zeros(len(values), dtype=np.int32),
        pressure=pressure, parameters=found, stamp=text[: text.find(b"\n")].decode("utf-8").strip(),
        comments="\n".join(header.comments), findings=findings,
    )  # fmt: skip


def _values(body: bytes, columns: int, first_line: int, findings: Findings) -> NDArray[np.float64]:
    """The numbers, rows x columns."""
    body = body.strip(b"\x1a")
    if not body.strip():
        raise Refused("no_data", "the file has a header and no data. Send it with its scans.")
    if _PLAIN.fullmatch(body):
        lines = body.count(b"\n") + (not body.endswith(b"\n"))
        try:
            numbers = np.array(body.split(), dtype=np.float64)
        except ValueError:
            numbers = np.empty(0)
        if len(numbers) and len(numbers) % columns == 0 and len(numbers) // columns <= lines:
            return numbers.reshape(-1, columns)
    return _fixed_width(body, columns, first_line, findings)


def _fixed_width(body: bytes, columns: int, first_line: int, findings: Findings) -> NDArray[np.float64]:
    """Row by row: cut at blanks, or, where values touch, every eleven characters."""
    rows: list[list[float]] = []
    wrong: list[int] = []
    odd = 0
    for number, line in enumerate(body.decode("utf-8").split("\n"), start=first_line):
        if not line.strip():
            continue
        cells = line.replace(",", " ").replace(";", " ").split()
        if len(cells) != columns:
            cells = [line[at : at + _WIDTH].strip() for at in range(0, len(line.rstrip()), _WIDTH)]
        if len(cells) != columns:
            wrong.append(number)
            continue
        row = [_number(cell) for cell in cells]
        odd += sum(np.isnan(value) and cell.lower() != "nan" for value, cell in zip(row, cells, strict=True))
        rows.append(row)
    if wrong:
        places = ", ".join(f"line {number}" for number in wrong[:5])
        raise Refused(
            "column_alignment",
            f"{len(wrong)} rows do not have the {columns} values that the header names: {places}. Send the file again whole.",
            location=places,
        )
    findings.add("not_a_number", "warning", "a value is no number; left out", count=odd)
    return np.array(rows, dtype=np.float64).reshape(-1, columns)


def _number(text: str) -> float:
    try:
        return float(text) if "_" not in text else float("nan")
    except ValueError:
        return float("nan")


def _check_counts(header: Header, values: NDArray[np.float64], findings: Findings) -> None:
    for name, found in (("nquan", values.shape[1]), ("nvalues", values.shape[0])):
        said = _number(header.settings.get(name, ""))
        if np.isfinite(said) and said > 0 and int(said) != found:
            findings.add(
                "header_count", "warning", f"the header says {name} = {int(said)}, and there are {found}: the file may be cut",
                parameter=name,
            )  # fmt: skip
