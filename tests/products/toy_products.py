"""The toy source with products. A reading may ask the function to misbehave."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import numpy as np
import pandera.pandas as pa
import pyarrow.compute as pc
from pandera.typing import Series

from pipeline_assets.landed_file import Refused
from pipeline_assets.product import Finding, Making, Product, ProductResult
from pipeline_assets.source import Groups
from tests.toy_source import TOY

HANG, CRASH, FAULT, REFUSE, AWAY, LIE = 901.0, 902.0, 903.0, 904.0, 905.0, 906.0
PNG = bytes.fromhex("89504e470d0a1a0a")


NOT_ROWS, ROWS_OF_ANOTHER = 907.0, 908.0


class Totals(pa.DataFrameModel):
    """One row for each batch."""

    total: Series[np.float64] = pa.Field(le=1500, description="sum of the readings", metadata={"unit": "mm"})
    keys: Series[str] = pa.Field(description="keys of the files")

    class Config:
        strict = True


def write_totals(making: Making) -> ProductResult:
    values = making.rows["readings"]["value"].to_pylist()
    misbehave(values, making)
    total = sum(values)
    keys = ", ".join(making.rows["files"]["source_key"].to_pylist())
    (making.folder / "deep").mkdir()
    (making.folder / "deep" / "totals.txt").write_text(f"{keys}: {values} make {total}\n")
    return ProductResult(
        markdown=f"**{total}** of {making.partition}",
        picture=PNG,
        metadata={"total": total},
        checks={"is_positive": Finding(total > 0, f"the total is {total}", {"total": total}, is_error=total < -100)},
    )


def misbehave(values: list[float], making: Making) -> None:
    if HANG in values:
        (making.folder / "half.txt").write_text("half")
        time.sleep(600)
    if CRASH in values:
        os.kill(os.getpid(), signal.SIGSEGV)
    if FAULT in values:
        (making.folder / "half.txt").write_text("half")
        raise KeyError("a fault of the function")
    if REFUSE in values:
        raise Refused("too_odd", "the readings are too odd")
    if AWAY in values:
        raise ConnectionError("what is outside is away")


def write_copy(making: Making) -> ProductResult:
    if LIE in making.rows["readings"]["value"].to_pylist():
        return ProductResult()
    text = (making.products["totals"] / "deep" / "totals.txt").read_text()
    (making.folder / "copy.txt").write_text(f"copy of {text}")
    return ProductResult(metadata={"highest": pc.max(making.rows["readings"]["value"]).as_py()})


def write_counted(making: Making) -> ProductResult:
    """A product with a table of its own."""
    values = making.rows["readings"]["value"].to_pylist()
    (making.folder / "counted.txt").write_text(f"{len(values)}\n")
    rows: dict[str, object] = {
        "total": [float(sum(values))],
        "keys": [", ".join(making.rows["files"]["source_key"].to_pylist())],
    }
    if ROWS_OF_ANOTHER in values:
        (making.folder / "totals_by_batch.rows.parquet").write_text("copied from elsewhere")
    if NOT_ROWS in values:
        del rows["keys"]
    return ProductResult(rows={"totals_by_batch": rows})


TOTALS = Product(
    "totals",
    "What was read, in words.",
    of=("readings", "files"),
    make=write_totals,
    checks={"is_positive": "The total is above 0."},
)
COPY = Product("copy_of_totals", "The same again.", of=("readings",), after=("totals",), make=write_copy)
COUNTED = Product(
    "counted", "Totals as rows.", of=("readings", "files"), make=write_counted, tables={"totals_by_batch": Totals}
)
WITH_PRODUCTS = replace(TOY, products=(TOTALS, COPY), aggregates=())
GROUPED = replace(WITH_PRODUCTS, groups=Groups(r"toy/(?P<group>[^/]+)/.+", quiet_seconds=0.0, wanted="toy/GROUP/FILE"))
WITH_TABLES = replace(TOY, products=(COUNTED,), aggregates=())
GROUPED_TABLES = replace(WITH_TABLES, groups=GROUPED.groups)
