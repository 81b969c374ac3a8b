"""Soundings as Parquet: a row each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import BathymetryConfig, declared_for
from pipeline_assets.bathymetry.read.line import SurveyLine, check_count, identity
from pipeline_assets.bathymetry.read.points import line_of_points, meant
from pipeline_assets.landed_file import LandedFile, Refused

_MOST_UNPACKED_BYTES = 4 * 1024**3


def recognise_parquet(head: bytes) -> bool:
    return head.startswith(b"PAR1")


def read_parquet(file: LandedFile, config: BathymetryConfig) -> SurveyLine:
    """All rows of a file. Raises Refused."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    declared = declared_for(file, config)
    data = file.read_bytes()
    sha256, size = identity(data)
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as opened:
            names = list(opened.schema_arrow.names)
            columns = meant(names, declared.columns)
            check_count(opened.metadata.num_rows, config)
            _check_size(opened.metadata)
            chosen = sorted({names[at] for at in columns.values()})
            if len(set(names)) != len(names):
                raise Refused("missing_columns", "the file has two columns of one name. Send each once.")
            table = opened.read(columns=chosen)
            values = {what: _floats(names[at], table.column(names[at])) for what, at in columns.items()}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Refused(
            "unreadable", f"the file is no whole Parquet file ({str(error)[:200]}). Send it again."
        ) from error
    return line_of_points(
        key=file.key, kind="parquet", sha256=sha256, size_bytes=size, values=values, default_positive="down",
        declared=declared, config=config,
    )  # fmt: skip


def _check_size(metadata: Any) -> None:
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if size > _MOST_UNPACKED_BYTES:
        raise Refused(
            "too_large", f"the file says that it unpacks to {size:,} bytes; at most {_MOST_UNPACKED_BYTES:,}. Split it."
        )


def _floats(name: str, column: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise Refused(
            "wrong_type", f"the column {name[:60]} is {kind}; expected a number. Send it as such.", location=name[:60]
        )
    values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
    return values
