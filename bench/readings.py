"""A trivial kind of file, a few lines of CSV, read by the platform and by its naive peer alike.

``python -m bench.readings``: what `strandline drain` does, of this source.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.source import FileSource, NoConfig, Reader, Table

HEADER = b"n,value\n"


class Readings(pa.DataFrameModel):
    """What an instrument read."""

    source_key: Series[str] = pa.Field(description="key in the landing store")
    n: Series[np.int64] = pa.Field(ge=0, description="number of the reading in its file")
    value: Series[np.float64] = pa.Field(ge=0, le=1, description="reading")

    class Config:
        strict = True


def rows_of(content: bytes) -> pd.DataFrame:
    """The lines of a file. Raises ValueError."""
    lines = [line.split(",") for line in content.decode("ascii").splitlines()[1:]]
    return pd.DataFrame({"n": [int(n) for n, _ in lines], "value": [float(value) for _, value in lines]})


def recognise(head: bytes) -> bool:
    return head.startswith(HEADER)


def read(file: LandedFile, config: NoConfig) -> pd.DataFrame:
    try:
        return rows_of(file.read_bytes())
    except ValueError as error:
        raise Refused("not_readings", str(error)) from error


READINGS = FileSource(
    name="readings",
    description="Readings of an instrument.",
    owners=("team:bench",),
    readers=(Reader("csv", "CSV file of readings", recognises=recognise, read=read),),
    tables=(Table("readings", Readings),),
)


def write_files(folder: Path, count: int) -> None:
    """Files of five lines each, no two alike."""
    folder.mkdir(parents=True)
    for number in range(count):
        lines = b"".join(b"%d,0.%06d\n" % (line, number) for line in range(5))
        (folder / f"{number:06d}.csv").write_bytes(HEADER + lines)


def main() -> int:
    # Reader processes take the source from its module, which is not this one's name when it is run.
    from bench.readings import READINGS as source
    from cli.drain import drain_sources
    from resources.platform import Platform

    return drain_sources(Platform.from_environment(), (source,))


if __name__ == "__main__":
    sys.exit(main())
