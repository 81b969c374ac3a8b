"""Looking for what must be gone in every byte below a folder."""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def traces(folder: Path, texts: Collection[str], numbers: Collection[float] = ()) -> list[str]:
    """Files with one of these texts or numbers, and which: as plain bytes, and in Parquet files as a value."""
    needles = {text: text.encode() for text in texts} | {f"{n:g}": struct.pack("<d", n) for n in numbers}
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        found += [f"{path.relative_to(folder)}: {name}" for name, needle in needles.items() if needle in content]
        if path.suffix == ".parquet":
            found += [f"{path.relative_to(folder)}: value {value}" for value in _values(path, {*texts}, {*numbers})]
        if path.suffix == ".avro":
            found += [f"{path.relative_to(folder)}: {name}" for name in _in_avro(path, needles)]
    return found


def _values(path: Path, texts: Collection[str], numbers: Collection[float]) -> list[object]:
    found: list[object] = []
    try:
        table = pq.read_table(path, partitioning=None)
    except pa.ArrowInvalid:
        return []
    for column in table.columns:
        for value in column.unique().to_pylist():
            if value in numbers or (isinstance(value, str) and any(text in value for text in texts)):
                found.append(value)
    return found


def _in_avro(path: Path, needles: dict[str, bytes]) -> list[str]:
    """A manifest's blocks are compressed."""
    from pyiceberg.avro.file import AvroFile
    from pyiceberg.io.pyarrow import PyArrowFileIO

    with AvroFile(PyArrowFileIO().new_input(str(path))) as reader:
        content = "".join(map(repr, reader))
    # Bounds of texts are cut to 16 characters.
    return [
        name for name, needle in needles.items() if repr(needle)[2:-1] in content or repr(needle[:16])[2:-1] in content
    ]
