"""What every reader gives: a `CruiseFile`, its rows in the order of the file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.landed_file import LandedFile
from pipeline_assets.ocean.findings import Findings

NO_FLAG = -32768
"""In an array of flags: the originator gave none."""

NAT = np.datetime64("NaT", "us")

Axis = Literal["pressure", "time"]

GROUP_PATTERN = (
    r"ocean/(?P<group>[^/]+?)(?:/.+|(?i:[_-](?:nc_|netcdf_)?(?:hy[0-9]?|ct[0-9]?|ctd|bot|bottle|btl|cnv|lt[0-9]?|qc|nc))*"
    r"(?:\.[A-Za-z0-9]{1,8})?(?i:\.(?:gz|bz2|xz))?)"
)
"""The cruise of a key: its folder below `ocean/`; of a loose file, its name without what says the kind of data."""


def group_of(key: str) -> str:
    """The cruise that a key belongs to by its name; empty for a key that is no ocean file's."""
    match = re.fullmatch(GROUP_PATTERN, key, re.DOTALL)
    return match["group"] if match else ""


@dataclass(eq=False)
class Parameter:
    """One measured quantity: a column of the file.

    values: float64, one for each row; NaN where there is none (a fill value, or not measured).
    flags: int16, what the originator says of each value; NO_FLAG where it says nothing. None without such a column.
    text: for each row what stands there where it is no number, else None; None for a column of numbers.
    present: rows in which the parameter has a place at all; None: in every row. Casts of one file may differ.
    standard_name: CF standard name, where it is known.
    flag_scheme: what the flags mean: `woce_ctd`, `woce_sample`, or what the file says.
    """

    name: str
    unit: str
    values: NDArray[np.float64]
    flags: NDArray[np.int16] | None = None
    text: NDArray[Any] | None = None
    present: NDArray[np.bool_] | None = None
    standard_name: str | None = None
    flag_scheme: str = ""


@dataclass(eq=False)
class Cast:
    """One lowering of instruments, one mooring's series, or one profile. Texts are as in the file, empty if unknown.

    latitude, longitude: degrees, as in the file; NaN if unknown. time: UTC; NaT if unknown. bottom_depth_m: of the sea
    floor, m. member: the file of the archive it came from. headers: what else the file says of it, as "KEY = value" lines.
    """

    station: str = ""
    number: str = ""
    expocode: str = ""
    section: str = ""
    time: np.datetime64 = NAT
    latitude: float = np.nan
    longitude: float = np.nan
    bottom_depth_m: float = np.nan
    member: str = ""
    headers: str = ""


@dataclass(eq=False)
class CruiseFile:
    """One file's observations, column by column.

    kind: what the file is, such as `exchange_bottle`. axis: what its rows go along within a cast.
    cast_index: int32, for each row the cast in `casts` that it belongs to.
    pressure: float64, dbar; NaN if unknown.
    sample, bottle: texts for each row; None if the file has none. bottle_flags: as `Parameter.flags`.
    time, latitude, longitude: for each row, where they change within a cast; else None.
    stamp: the file's own first line; comments: what people wrote in it.
    score, score_possible: points of compliance with the CF conventions (NetCDF), and how many there are to have.
    """

    key: str
    sha256: str
    size_bytes: int
    kind: str
    casts: list[Cast]
    cast_index: NDArray[np.int32]
    pressure: NDArray[np.float64]
    parameters: list[Parameter]
    axis: Axis = "pressure"
    sample: NDArray[Any] | None = None
    bottle: NDArray[Any] | None = None
    bottle_flags: NDArray[np.int16] | None = None
    time: NDArray[np.datetime64] | None = None
    latitude: NDArray[np.float64] | None = None
    longitude: NDArray[np.float64] | None = None
    stamp: str = ""
    comments: str = ""
    score: int | None = None
    score_possible: int | None = None
    findings: Findings = field(default_factory=Findings)

    @property
    def rows(self) -> int:
        return len(self.cast_index)

    @property
    def is_samples(self) -> bool:
        """Whether rows are water samples, whose order in the file means nothing, rather than levels."""
        return self.axis == "pressure" and (self.sample is not None or self.bottle is not None)

    def where(self, row: int) -> str:
        """A row in words: its number among the data rows (from 1), its station and cast."""
        cast = self.casts[self.cast_index[row]]
        member = f"{cast.member}, " if cast.member else ""
        return f"{member}row {row + 1} (station {cast.station or '?'}, cast {cast.number or '?'})"

    def named(self, *standard_names: str) -> list[Parameter]:
        """The parameters with one of these standard names, in the order of the names."""
        return [one for name in standard_names for one in self.parameters if one.standard_name == name]


def identity(file: LandedFile, content: bytes) -> dict[str, Any]:
    """What every cruise file says of the file it was read from."""
    return {"key": file.key, "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}


def stem(key: str) -> str:
    """The name of a file without its endings."""
    return PurePosixPath(key).name.split(".")[0]


def spread(values: NDArray[Any], rows: int, at: slice, fill: Any) -> NDArray[Any]:
    """An array of `rows` values, these in one place and `fill` elsewhere."""
    whole = np.full(rows, fill, dtype=values.dtype)
    whole[at] = values
    return whole


def joined(parts: Sequence[CruiseFile], base: CruiseFile) -> CruiseFile:
    """The rows of several parts of one file, such as members of an archive, one after the other, in `base`'s name."""
    starts = np.cumsum([0, *(part.rows for part in parts)])
    rows = int(starts[-1])
    columns: dict[tuple[str, str], Parameter] = {}
    for part, start in zip(parts, starts, strict=False):
        at = slice(int(start), int(start) + part.rows)
        seen: dict[tuple[str, str], int] = {}
        for one in part.parameters:
            times = seen[one.name, one.unit] = seen.get((one.name, one.unit), 0) + 1
            name = one.name if times == 1 else f"{one.name}_{times}"
            whole = columns.setdefault(
                (name, one.unit),
                Parameter(
                    name, one.unit, np.full(rows, np.nan), present=np.zeros(rows, dtype=bool),
                    standard_name=one.standard_name, flag_scheme=one.flag_scheme,
                ),
            )  # fmt: skip
            assert whole.present is not None
            whole.values[at] = one.values
            whole.present[at] = True if one.present is None else one.present
            if one.flags is not None:
                if whole.flags is None:
                    whole.flags = np.full(rows, NO_FLAG, dtype=np.int16)
                whole.flags[at] = one.flags
            if one.text is not None:
                if whole.text is None:
                    whole.text = np.full(rows, None, dtype=object)
                whole.text[at] = one.text
    base.casts = [cast for part in parts for cast in part.casts]
    offsets = np.cumsum([0, *(len(part.casts) for part in parts)])
    base.cast_index = _together(
        [part.cast_index + offset for part, offset in zip(parts, offsets, strict=False)], np.int32
    )
    base.pressure = _together([part.pressure for part in parts], np.float64)
    base.parameters = list(columns.values())
    for one in base.parameters:
        if one.present is not None and one.present.all():
            one.present = None
    base.sample = _optional([part.sample for part in parts], parts, None)
    base.bottle = _optional([part.bottle for part in parts], parts, None)
    base.bottle_flags = _optional([part.bottle_flags for part in parts], parts, NO_FLAG, np.int16)
    base.time = _per_row([part.time for part in parts], parts, "time", "datetime64[us]")
    base.latitude = _per_row([part.latitude for part in parts], parts, "latitude", np.float64)
    base.longitude = _per_row([part.longitude for part in parts], parts, "longitude", np.float64)
    if parts and all(part.axis == "time" for part in parts):
        base.axis = "time"
    return base


def _together(arrays: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate(arrays).astype(dtype, copy=False) if arrays else np.empty(0, dtype=dtype)


def _optional(arrays: list[Any], parts: Sequence[CruiseFile], fill: Any, dtype: Any = object) -> Any:
    if all(array is None for array in arrays):
        return None
    return np.concatenate(
        [np.full(part.rows, fill, dtype=dtype) if one is None else one for one, part in zip(arrays, parts, strict=True)]
    )


def _per_row(arrays: list[Any], parts: Sequence[CruiseFile], name: str, dtype: Any) -> Any:
    """Values for each row where some parts have them; the others' are those of their casts."""
    if all(array is None for array in arrays):
        return None
    made = []
    for one, part in zip(arrays, parts, strict=True):
        made.append(
            np.array([getattr(cast, name) for cast in part.casts], dtype=dtype)[part.cast_index] if one is None else one
        )
    return np.concatenate(made)
