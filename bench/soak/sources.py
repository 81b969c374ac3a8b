"""Five toy sources of different shapes, and their one kind of content: a line that says which delivery it is, then values.

``bench.soak.location`` is the code location that Dagster loads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from pipeline_assets.aggregate import Aggregate
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.source import FileSource, Groups, NoConfig, Reader, Records, Table

MARK = b"soak,"
Parsed = tuple[int, list[float]]


class Readings(pa.DataFrameModel):
    """What an instrument read."""

    source_key: Series[str] = pa.Field(description="key in the landing store")
    delivery: Series[np.int64] = pa.Field(ge=0, description="number of the delivery that the reading came with")
    n: Series[np.int64] = pa.Field(ge=0, description="number of the reading in its file")
    value: Series[np.float64] = pa.Field(ge=0, description="reading")

    class Config:
        strict = True


class Files(pa.DataFrameModel):
    """One row per file."""

    source_key: Series[str] = pa.Field(description="key in the landing store")
    delivery: Series[np.int64] = pa.Field(ge=0, description="number of the delivery that the file is")
    readings: Series[np.int64] = pa.Field(description="readings in the file", metadata={"from": ["readings.n"]})

    class Config:
        strict = True


class ByValue(pa.DataFrameModel):
    """One row for each value that was ever read."""

    value: Series[np.float64] = pa.Field(description="reading")
    readings: Series[np.int64] = pa.Field(gt=0, description="how often it was read")

    class Config:
        strict = True


def parse(content: bytes) -> Parsed:
    """Delivery and values of a file. Raises ValueError."""
    head, *lines = content.decode("ascii").splitlines()
    return int(head.removeprefix(MARK.decode())), [float(line) for line in lines if not line.startswith("@")]


def _recognise(head: bytes) -> bool:
    return head.startswith(MARK)


def _read(file: LandedFile, config: NoConfig) -> Parsed:
    try:
        delivery, values = parse(file.read_bytes())
        for name in sorted(file.companions):
            values += parse(file.companions[name].read_bytes())[1]
        return delivery, values
    except ValueError as error:
        raise Refused("not_a_number", str(error)) from error


def _read_rows(file: LandedFile, config: NoConfig) -> pd.DataFrame:
    delivery, values = _read(file, config)
    return pd.DataFrame({"delivery": np.int64(delivery), "n": np.arange(len(values)), "value": values})


def _derive(parsed: Parsed, config: NoConfig) -> dict[str, object]:
    delivery, values = parsed
    return {
        "readings": {"delivery": delivery, "n": np.arange(len(values)), "value": np.array(values)},
        "files": {"delivery": [delivery], "readings": [len(values)]},
    }


def _by_value(rows: pd.DataFrame, config: NoConfig) -> pd.DataFrame:
    return rows.groupby("value").agg(readings=("n", "size")).reset_index()


def _name_of(key: str) -> str | None:
    path = PurePosixPath(key)
    return str(path.with_suffix("")) if path.suffix in {".hdr", ".part"} else None


def _primary(names: Collection[str]) -> str | None:
    return next((name for name in sorted(names) if name.endswith(".hdr")), None)


def _needs(name: str, head: Callable[[], bytes]) -> list[str]:
    return [line[1:] for line in head().decode("ascii").splitlines() if line.startswith("@")]


def _alone(key: str) -> bool:
    return False


COUNTED = FileSource(
    name="counted",
    description="Files of readings, with an aggregate over all of them.",
    owners=("team:bench",),
    readers=(Reader("soak_csv", "file of readings", _recognise, _read),),
    tables=(Table("readings", Readings), Table("files", Files, derived_from=("readings",))),
    derive=_derive,
    aggregates=(Aggregate("by_value", ByValue, of="readings", keys=("value",), columns=("n",), compute=_by_value),),
)
PLAIN = dataclasses.replace(
    COUNTED,
    name="plain",
    description="Files of readings, one table.",
    readers=(Reader("soak_csv", "file of readings", _recognise, _read_rows),),
    tables=(Table("readings", Readings),),
    derive=None,
    aggregates=(),
)
PAIRED = dataclasses.replace(
    COUNTED,
    name="paired",
    description="Readings in two files: a header, and the part that it names.",
    aggregates=(),
    records=Records(_name_of, _primary, _needs, _alone, wanted="a header (.hdr) of the same name"),
)
SURVEYS = dataclasses.replace(
    COUNTED,
    name="surveys",
    description="Files of readings that belong together by their folder.",
    aggregates=(),
    groups=Groups(r"surveys/(?P<group>[^/]+)/.+", quiet_seconds=5.0, wanted="surveys/<survey>/<file>"),
)
POSTED = dataclasses.replace(
    COUNTED,
    name="posted",
    description="Files of readings of which each overwriting is a delivery of its own, and equal bytes count once.",
    aggregates=(),
    overwrite="new",
    equal_bytes="duplicate",
)

SOAKED: tuple[FileSource, ...] = (PLAIN, COUNTED, PAIRED, SURVEYS, POSTED)
