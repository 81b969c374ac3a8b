"""A small source for tests: CSV files of readings. A file may also ask its reader to misbehave."""

from __future__ import annotations

import csv
import io
import logging
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from pipeline_assets.aggregate import Aggregate
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.source import FileSource, NoConfig, Reader, Table


class Readings(pa.DataFrameModel):
    """What the instrument read."""

    n: Series[np.int32] = pa.Field(ge=0, description="number of the reading in its file")
    value: Series[np.float64] = pa.Field(le=1000, description="reading", metadata={"unit": "mm"})

    class Config:
        strict = True


class ByValue(pa.DataFrameModel):
    """One row for each value that was ever read."""

    value: Series[np.float64] = pa.Field(description="reading", metadata={"unit": "mm"})
    readings: Series[np.int64] = pa.Field(gt=0, description="how often it was read")
    latest: Series[np.int32] = pa.Field(description="highest number of such a reading in its file")

    class Config:
        strict = True


class Files(pa.DataFrameModel):
    """One row per file."""

    source_key: Series[str] = pa.Field(description="key in the landing store")
    readings: Series[np.int32] = pa.Field(description="readings in the file", metadata={"from": ["readings.n"]})

    class Config:
        strict = True


UNEQUAL = -1e308
"""A value for which derive gives columns of unequal length."""


def recognise(head: bytes) -> bool:
    return head.startswith(b"toy")


def lines_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode())))[1:]


def read(file: LandedFile, config: NoConfig) -> list[float]:
    lines = lines_of(file.read_bytes())
    command = lines[0][0] if lines else ""
    if command == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if command == "hang":
        time.sleep(600)
    if command == "hog":
        return [float(len(bytearray(64 << 30)))]
    if command == "fault":
        raise KeyError("a fault of the reader")
    if command == "exit":
        sys.exit(3)
    if command == "log":
        logging.getLogger("some.library").warning("odd but readable")
        return [1.0]
    if command == "no_number":
        return [1.0, float("nan")]
    if command == "unequal":
        return [UNEQUAL]
    if command == "slow":
        time.sleep(float(lines[0][1]))
        lines = lines[1:]
    if command == "gate":
        _wait_at(Path(lines[0][1]))
        lines = lines[1:]
    try:
        return [float(line[0]) for line in lines]
    except ValueError as error:
        raise Refused("not_a_number", f"{error}", location="row 1") from error


def _wait_at(gate: Path) -> None:
    """Say in this folder that a reader came here, and wait until it may go on."""
    (gate / "reached").touch()
    while not (gate / "open").exists():
        time.sleep(0.05)


def derive(values: list[float], config: NoConfig) -> dict[str, object]:
    count = len(values)
    if values == [UNEQUAL]:
        return {"readings": {"n": np.arange(3, dtype=np.int32), "value": np.zeros(2)}, "files": {"readings": [2]}}
    return {
        "readings": {"n": np.arange(count, dtype=np.int32), "value": np.array(values, dtype=np.float64)},
        "files": {"readings": np.array([count], dtype=np.int32)},
    }


def by_value(rows: pd.DataFrame, config: NoConfig) -> pd.DataFrame:
    counted = rows.groupby("value").agg(readings=("n", "size"), latest=("n", "max"))
    return counted.astype({"latest": np.int32}).reset_index()


BY_VALUE = Aggregate("by_value", ByValue, of="readings", keys=("value",), columns=("n",), compute=by_value)

TOY = FileSource(
    name="toy",
    description="Readings for tests.",
    owners=("team:tests",),
    readers=(Reader("toy_csv", "toy CSV file", recognise, read),),
    tables=(Table("readings", Readings), Table("files", Files, derived_from=("readings",))),
    derive=derive,
    aggregates=(BY_VALUE,),
    hold_above=0.5,
    hold_from_files=5,
)
