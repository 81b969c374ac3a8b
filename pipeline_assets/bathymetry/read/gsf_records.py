"""Records of a GSF file, and from its pings the arrays that soundings are made of.

Generic Sensor Format, version 3.11 (Leidos): records with a size and a kind, numbers with the high byte first. A ping has a
header, and subrecords: scale factors, which hold until others come, and an array for each quantity, integers of 1, 2 or 4
bytes, value = integer / multiplier - offset. Only what soundings need is decoded; the sonars' own subrecords are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.landed_file import Refused

HEADER, PING, SVP, PROCESSING, SENSOR, COMMENT, HISTORY = 1, 2, 3, 4, 5, 6, 7
SINGLE_BEAM = 10
_KINDS = 12
_MOST_RECORD_BYTES = 524_288

DEPTH, ACROSS, ALONG, NOMINAL_DEPTH, BEAM_FLAGS, TVU, THU = 1, 2, 3, 14, 16, 19, 20
_SCALE_FACTORS = 100
SIGNED = {ACROSS, ALONG}
ARRAYS = (DEPTH, ACROSS, ALONG, NOMINAL_DEPTH, TVU, THU)
_WANTED = frozenset(ARRAYS)

_FRAME = struct.Struct(">II")
_PING_HEAD = struct.Struct(">IIiiHHHHhiHhhhHH")
_WORD = struct.Struct(">I")
_FACTOR = struct.Struct(">IIi")

Factors = dict[int, tuple[int, int, int]]
"""Of an array: multiplier, offset, whether it is compressed."""
Place = tuple[int, int]
"""Offset in the file and bytes per value."""


@dataclass
class Pings:
    """The swath pings of a file, those without beams, depths or offsets across track left out: one entry each.

    header: `HEAD_TYPE`. number: which swath ping of the file it is, from 0. beams: how many it has.
    places: for each kind of array and ping where it is, None where the ping has none; factors: multiplier and offset.
    """

    version: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    headers: list[tuple[int, ...]] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    beams: list[int] = field(default_factory=list)
    places: dict[int, list[Place | None]] = field(default_factory=lambda: {kind: [] for kind in ARRAYS})
    factors: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: {kind: [] for kind in ARRAYS})
    flags: list[int | None] = field(default_factory=list)
    seen: int = 0
    single_beam: int = 0


def damaged(what: str, at: int) -> Refused:
    return Refused("damaged_gsf", f"{what}. Export the line again.", location=f"byte {at}")


def records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, begin and end of the content of each record. Raises Refused `truncated_gsf`, `damaged_gsf`."""
    at, size = 0, len(data)
    while at < size:
        if size - at < _FRAME.size:
            raise _truncated(at, size)
        length, word = _FRAME.unpack_from(data, at)
        kind, begin = word & 0x003FFFFF, at + _FRAME.size
        if not 1 <= kind <= _KINDS:
            raise damaged(f"a record says that it is of kind {kind}, of which there are 1 to {_KINDS}", at)
        if word & 0x80000000:
            begin += 4
        end = begin + length
        if length > _MOST_RECORD_BYTES:
            raise damaged(f"a record says that it has {length:,} bytes, more than GSF allows", at)
        if end > size:
            raise _truncated(at, size)
        if word & 0x80000000:
            (said,) = _WORD.unpack_from(data, begin - 4)
            if int(np.frombuffer(data, np.uint8, length, begin).sum(dtype=np.uint64)) & 0xFFFFFFFF != said:
                raise damaged("the checksum of a record does not fit its content", at)
        yield kind, begin, end
        at = end


def _truncated(at: int, size: int) -> Refused:
    return Refused(
        "truncated_gsf",
        f"the file ends at byte {size:,} in the middle of a record: it is cut short. Send it again, whole.",
        location=f"byte {at}",
    )


def read_pings(data: bytes, most: int) -> Pings:
    """All pings of a file with where their arrays are. Raises Refused.

    most: soundings that the file may have.
    """
    found, factors, major, total = Pings(), Factors(), 3, 0
    for kind, begin, end in records(data):
        if kind == HEADER:
            found.version = data[begin : min(end, begin + 12)].split(b"\0", 1)[0].decode("ascii", "replace")
            digits = found.version[5:7]
            major = int(digits) if digits.isascii() and digits.isdigit() else 3
        elif kind == PING:
            factors = _read_ping(data, begin, end, major, factors, found)
            found.seen += 1
            total += found.beams[-1] if found.number and found.number[-1] == found.seen - 1 else 0
            if total > most:
                raise Refused(
                    "too_many_soundings",
                    f"the file has more than {most:,} soundings. Split it, or raise STRANDLINE_BATHYMETRY_MAX_SOUNDINGS.",
                    location=f"ping {found.seen - 1}",
                )
        elif kind == SINGLE_BEAM:
            found.single_beam += 1
        elif kind == PROCESSING:
            found.parameters.update(_parameters(data, begin, end))
    return found


def _read_ping(data: bytes, begin: int, end: int, major: int, factors: Factors, found: Pings) -> Factors:
    """Note where the arrays of a ping are; the scale factors that hold from it on."""
    at = begin + _PING_HEAD.size + (14 if major > 2 else 0)
    if at > end:
        raise damaged("a ping is shorter than its header", begin)
    header = _PING_HEAD.unpack_from(data, begin)
    beams = header[4]
    places: dict[int, Place] = {}
    flags: int | None = None
    while end - at > 4:
        (word,) = _WORD.unpack_from(data, at)
        kind, size = word >> 24, word & 0x00FFFFFF
        at += 4
        if at + size > end:
            raise damaged(f"subrecord {kind} of a ping is longer than the ping", at)
        if kind == _SCALE_FACTORS:
            factors = _scale_factors(data, at, at + size)
        elif kind in _WANTED and size:
            width, rest = divmod(size, beams) if beams else (0, 1)
            if rest or width not in (1, 2, 4):
                raise damaged(f"array {kind} of a ping has {size} bytes for {beams} beams", at)
            places[kind] = (at, width)
        elif kind == BEAM_FLAGS and size:
            if size != beams:
                raise damaged(f"a ping has {size} flags for {beams} beams", at)
            flags = at
        at += size
    if not beams or ACROSS not in places or not (DEPTH in places or NOMINAL_DEPTH in places):
        return factors
    found.headers.append(header)
    found.number.append(found.seen)
    found.beams.append(beams)
    found.flags.append(flags)
    for kind in ARRAYS:
        place = places.get(kind)
        found.places[kind].append(place)
        found.factors[kind].append((1, 0) if place is None else _factor_of(kind, factors, place[0]))
    return factors


def _factor_of(kind: int, factors: Factors, at: int) -> tuple[int, int]:
    if kind not in factors:
        raise damaged(f"array {kind} of a ping has no scale factor", at)
    multiplier, offset, compressed = factors[kind]
    if not multiplier:
        raise damaged(f"the scale factor of array {kind} is 0", at)
    if compressed:
        raise Refused(
            "unsupported_gsf", f"array {kind} is packed by run lengths, which is not read. Export the line without.",
            location=f"byte {at}",
        )  # fmt: skip
    return multiplier, offset


def _scale_factors(data: bytes, begin: int, end: int) -> Factors:
    if end - begin < 4:
        raise damaged("a table of scale factors is cut short", begin)
    (count,) = _WORD.unpack_from(data, begin)
    if count > 255 or begin + 4 + count * _FACTOR.size > end:
        raise damaged(f"a table of {count:,} scale factors is longer than its subrecord", begin)
    table: Factors = {}
    for number in range(count):
        word, multiplier, offset = _FACTOR.unpack_from(data, begin + 4 + number * _FACTOR.size)
        # The high half of the flag is the width of the array, the low half whether it is compressed.
        table[word >> 24] = multiplier, offset, (word >> 16) & 0x0F
    return table


def _parameters(data: bytes, begin: int, end: int) -> dict[str, str]:
    """NAME=VALUE texts of a record of processing parameters, as far as it goes."""
    texts: dict[str, str] = {}
    if end - begin < 10:
        return texts
    (count,) = struct.unpack_from(">H", data, begin + 8)
    at = begin + 10
    for _ in range(count):
        if at + 2 > end:
            break
        (size,) = struct.unpack_from(">H", data, at)
        name, _, value = data[at + 2 : min(at + 2 + size, end)].decode("ascii", "replace").rstrip("\0 ").partition("=")
        texts[name[:60]] = value[:200]
        at += 2 + size
    return texts


def values_of(data: bytes, pings: Pings, kind: int) -> NDArray[np.float64]:
    """One value for each beam of each ping; NaN where the ping has no such array."""
    sign = "i" if kind in SIGNED else "u"
    types = {width: np.dtype(f">{sign}{width}") for width in (1, 2, 4)}
    places, beams = pings.places[kind], pings.beams
    parts = [
        np.frombuffer(data, types[place[1]], count, place[0]) if place is not None else np.full(count, np.nan)
        for place, count in zip(places, beams, strict=True)
    ]
    values = np.concatenate(parts).astype(np.float64)
    factors = pings.factors[kind]
    if len(set(factors)) == 1:
        multiplier, offset = factors[0]
        values /= multiplier
        values -= offset
    else:
        table = np.repeat(np.array(factors, np.float64), beams, axis=0)
        values /= table[:, 0]
        values -= table[:, 1]
    return values


def flags_of(data: bytes, pings: Pings) -> NDArray[np.uint8]:
    """The flag of each beam of each ping; 0 where the ping has none."""
    parts = [
        np.frombuffer(data, np.uint8, count, at) if at is not None else np.zeros(count, np.uint8)
        for at, count in zip(pings.flags, pings.beams, strict=True)
    ]
    return np.concatenate(parts)
