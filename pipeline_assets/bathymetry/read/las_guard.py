"""What a LAS or LAZ file says of its own sizes, looked at before a library goes by it.

Layout by the LAS specification 1.4 R15 (ASPRS) and, of the table of packed chunks, by LASzip's.
"""

from __future__ import annotations

import io
import struct

from pipeline_assets.landed_file import Refused

_MOST_RECORDS = 1_000
_PACKED_BIT = 0x80
_LAYERED = 3
_LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}
"""Layers of each kind of item: POINT14, RGB14, RGBNIR14, WAVEPACKET14."""
_EXTRA_BYTES = 14
"""Items of this kind have a layer a byte."""
_HEADER_BYTES = {2: 227, 3: 235, 4: 375}
"""By minor version."""


def damaged(what: str) -> Refused:
    return Refused("damaged_las", f"the file is no whole LAS or LAZ file ({what}). Write and send it again.")


def check_sizes(data: bytes) -> None:
    """Refused `damaged_las`, `unsupported_las` unless header, records and table of chunks fit into the file."""
    if len(data) < min(_HEADER_BYTES.values()):
        raise damaged("it is shorter than a header")
    major, minor = data[24], data[25]
    if major != 1 or minor not in _HEADER_BYTES:
        raise Refused("unsupported_las", f"it is LAS {major}.{minor}; 1.2 to 1.4 are read. Write it as one of these.")
    header, points, records = struct.unpack_from("<HII", data, 94)
    if header < _HEADER_BYTES[minor] or not header <= points <= len(data):
        raise damaged(f"points are said to begin at byte {points:,} after a header of {header:,}")
    layout = _walk(data, header, points, records, head=54, length="<H")
    packed = bool(data[104] & _PACKED_BIT)
    end = len(data)
    if minor == 4:
        begin, extended = struct.unpack_from("<QI", data, 235)
        if extended:
            if not points <= begin <= len(data):
                raise damaged(f"extended records are said to begin at byte {begin:,}")
            _walk(data, begin, len(data), extended, head=60, length="<Q")
            end = begin
    if packed:
        _check_layers(data, points, _check_chunks(data, points, end), layout)


def _walk(data: bytes, begin: int, end: int, records: int, *, head: int, length: str) -> bytes:
    """Look at each record; the content of LASzip's, empty if there is none."""
    layout = b""
    if records > _MOST_RECORDS:
        raise damaged(f"it is said to have {records:,} records of its own; at most {_MOST_RECORDS:,}")
    at = begin
    for number in range(records):
        if at + head > end:
            raise damaged(f"there is no room for record {number + 1} of {records}")
        (size,) = struct.unpack_from(length, data, at + 20)
        at += head + size
        if at > end:
            raise damaged(f"record {number + 1} of {records} is longer than the file")
        if data[at - size - head + 2 : at - size - head + 18].rstrip(b"\0") == b"laszip encoded":
            layout = data[at - size : at]
    return layout


def _check_chunks(data: bytes, points: int, end: int) -> int:
    """Where the table of packed chunks begins."""
    if points + 8 > end:
        raise damaged("there is no room for packed points")
    (table,) = struct.unpack_from("<q", data, points)
    if table == -1:  # written without going back; it is then in the last eight bytes
        (table,) = struct.unpack_from("<q", data, len(data) - 8)
    if not points + 8 <= table <= len(data) - 8:
        raise damaged(f"the table of packed chunks is said to be at byte {table:,}")
    (chunks,) = struct.unpack_from("<I", data, table + 4)
    if chunks > table - points:  # a chunk has a byte or more
        raise damaged(f"it is said to have {chunks:,} packed chunks")
    return int(table)


def _check_layers(data: bytes, points: int, table: int, layout: bytes) -> None:
    """Chunks of LAS 1.4 begin with a whole point, the number of points, and the sizes of the layers they are packed in."""
    import lazrs

    if len(layout) < 34:
        raise damaged("it does not say how its points are packed")
    (compressor,) = struct.unpack_from("<H", layout)
    (items,) = struct.unpack_from("<H", layout, 32)
    if len(layout) < 34 + 6 * items:
        raise damaged("what says how its points are packed is cut short")
    if compressor != _LAYERED:
        return
    kinds = [struct.unpack_from("<HH", layout, 34 + 6 * item) for item in range(items)]
    layers = sum(size if kind == _EXTRA_BYTES else _LAYERS.get(kind, 0) for kind, size in kinds)
    whole = sum(size for _, size in kinds)
    source = io.BytesIO(data)
    source.seek(points)
    at = points + 8
    for _, size in lazrs.read_chunk_table(source, lazrs.LazVlr(layout)):
        if at + size > len(data) or size < whole + 4 + 4 * layers:
            raise damaged(
                f"a packed chunk of {size:,} bytes at byte {at:,} is longer than the file, or has no room for its layers"
            )
        packed = sum(struct.unpack_from(f"<{layers}I", data, at + whole + 4))
        if whole + 4 + 4 * layers + packed > size:
            raise damaged(f"the layers of the packed chunk at byte {at:,} have {packed:,} bytes, more than the chunk")
        at += size
    if at != table:
        raise damaged(f"the packed chunks end at byte {at:,}, and their table begins at {table:,}")
