"""The soundings of a survey with what the filter rejects, as a Parquet file that is written and read piece by piece.

A row group has soundings of one line, and the lines follow each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline_assets.bathymetry.grid.ladder import Places
from pipeline_assets.bathymetry.soundings import Soundings

FILTERED_FILE = "soundings.parquet"
_ROWS_AT_ONCE = 1 << 20
_SCHEMA = pa.schema(
    {
        "line": pa.dictionary(pa.int32(), pa.string()), "ping": pa.int64(), "beam": pa.int32(), "time": pa.timestamp("us", "UTC"),
        "x_m": pa.float64(), "y_m": pa.float64(), "depth_m": pa.float64(), "tvu_m": pa.float32(), "thu_m": pa.float32(),
        "accepted": pa.bool_(), "filtered": pa.bool_(), "off_m": pa.float32(),
    }
)  # fmt: skip


class FilteredWriter:
    """Writes the file into a folder. A context manager."""

    def __init__(self, folder: Path, crs: str, vertical_datum: str) -> None:
        import pyarrow.parquet as pq

        schema = _SCHEMA.with_metadata({"crs": crs, "vertical_datum": vertical_datum})
        self._writer = pq.ParquetWriter(folder / FILTERED_FILE, schema, compression="zstd")

    def __enter__(self) -> FilteredWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, soundings: Soundings, time: Any, far: NDArray[np.bool_], off: NDArray[np.float64]) -> None:
        """Soundings of one line. time: of each, an Arrow array. far: those that the filter rejects. off: from the surface, m."""
        made = {
            "line": pa.DictionaryArray.from_arrays(pa.array(soundings.line), pa.array(soundings.lines, pa.string())),
            "ping": soundings.ping, "beam": soundings.beam, "time": time, "x_m": soundings.x, "y_m": soundings.y,
            "depth_m": soundings.depth, "tvu_m": soundings.tvu.astype(np.float32), "thu_m": soundings.thu.astype(np.float32),
            "accepted": soundings.accepted & ~far, "filtered": far, "off_m": off.astype(np.float32),
        }  # fmt: skip
        self._writer.write_table(pa.table(made).cast(_SCHEMA), row_group_size=_ROWS_AT_ONCE)


def pieces_of(path: Path) -> Iterator[Soundings]:
    """The soundings of the file, at most a million of a line at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as content:
        for group in range(content.num_row_groups):
            yield _soundings(content.read_row_group(group))


def filtered_out(path: Path, places: Places | None) -> dict[int, int]:
    """How many soundings of the file the filter rejects, by the step that they belong to; -1 without steps."""
    import pyarrow.parquet as pq

    counts: Counter[int] = Counter()
    with pq.ParquetFile(path) as content:
        for group in range(content.num_row_groups):
            rows = content.read_row_group(group, columns=["x_m", "y_m", "filtered"])
            out = rows["filtered"].to_numpy()
            steps = np.full(int(out.sum()), -1, np.int8)
            if places is not None:
                steps = places.of(rows["x_m"].to_numpy()[out], rows["y_m"].to_numpy()[out])
            counts.update(dict(zip(*(some.tolist() for some in np.unique(steps, return_counts=True)), strict=True)))
    return {step: counts[step] for step in ([-1] if places is None else places.steps)}


def lines_of(path: Path) -> Iterator[tuple[Soundings, NDArray[np.float64]]]:
    """The soundings of the file, a line at a time, and their times, seconds since 1970; NaN where unknown."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as content:
        names = [
            content.read_row_group(group, columns=["line"])["line"][0].as_py()
            for group in range(content.num_row_groups)
        ]
        for _, groups in groupby(range(content.num_row_groups), names.__getitem__):
            yield _with_times(content.read_row_groups(list(groups)))


def filtered_soundings(folder: Path) -> tuple[Soundings, NDArray[np.float64]]:
    """All soundings of the product `filtered_soundings`, and their times, as `lines_of` gives them."""
    import pyarrow.parquet as pq

    return _with_times(pq.read_table(folder / FILTERED_FILE))


def _with_times(table: pa.Table) -> tuple[Soundings, NDArray[np.float64]]:
    moments = table["time"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).cast(pa.float64())
    return _soundings(table), moments.to_numpy() / 1e6  # which makes NaN of null


def _soundings(table: pa.Table) -> Soundings:
    said = table.schema.metadata
    line = table["line"].unify_dictionaries().combine_chunks()
    line = line.combine_chunks() if isinstance(line, pa.ChunkedArray) else line
    column = {name: table[name].to_numpy() for name in ("x_m", "y_m", "depth_m", "tvu_m", "thu_m", "ping", "beam")}
    return Soundings(
        x=column["x_m"], y=column["y_m"], depth=column["depth_m"], tvu=column["tvu_m"].astype(np.float64),
        thu=column["thu_m"].astype(np.float64), accepted=table["accepted"].to_numpy(),
        line=line.indices.to_numpy(zero_copy_only=False).astype(np.int32), ping=column["ping"], beam=column["beam"],
        crs=said[b"crs"].decode(), vertical_datum=said[b"vertical_datum"].decode(),
        lines=tuple(line.dictionary.to_pylist()),
    )  # fmt: skip
