"""Datagrams of a Kongsberg .kmall file, and from its multibeam pings (#MRZ) the arrays that soundings are made of.

Kongsberg's KMALL datagram format, revisions F to J: numbers with the low byte first; a datagram begins and ends with its size.
Its parts have grown from revision to revision and say their own sizes, so each is read by its beginning, which has stayed.
Water columns, seabed images, attitude and positions of their own are passed over.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.landed_file import Refused

PING = b"#MRZ"
_HEADER = struct.Struct("<I4sBBHII")
_PARTS = struct.Struct("<HH")
_SIZE = struct.Struct("<H")
_WORD = struct.Struct("<I")
_SECTORS = struct.Struct("<HH")
_RX = struct.Struct("<HHHH16xHHHH")

_SECTORS_AT = 92
_INFO = {"water_line": ("<f", 108), "latitude": ("<d", 124), "longitude": ("<d", 132), "ellipsoid": ("<f", 140)}
"""What is read of a ping's own part, and where."""
_LEAST_INFO = 144
_LEAST_SOUNDING = 108

FIELDS = {
    "type": ("u1", 3), "method": ("u1", 4), "latitude": ("<f4", 88), "longitude": ("<f4", 92), "down": ("<f4", 96),
    "across": ("<f4", 100), "along": ("<f4", 104),
}  # fmt: skip
"""Of a sounding, and where: what kind of detection and how it was made; degrees from the ping's position; m from the vessel's
reference point."""


@dataclass
class Pings:
    """The pings of a file that have soundings, one entry each; all soundings one after the other in `soundings`.

    number: which ping of the file it is, from 0. time_us: since 1970. info: `latitude` and `longitude` of the vessel's
    reference point, degrees; `water_line`, how far the water's surface is below it, and `ellipsoid`, how high it is above
    the ellipsoid, m. seen: pings of the file. sonar: its model, such as 2040.
    """

    number: list[int] = field(default_factory=list)
    beams: list[int] = field(default_factory=list)
    time_us: list[int] = field(default_factory=list)
    info: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _INFO})
    parts: dict[str, list[NDArray]] = field(default_factory=lambda: {name: [] for name in FIELDS})
    seen: int = 0
    sonar: int = 0

    def all(self, name: str) -> NDArray:
        """One of `FIELDS` of all soundings."""
        return np.concatenate(self.parts[name])


def damaged(what: str, at: int) -> Refused:
    return Refused("damaged_kmall", f"{what}. Copy the file from the sonar again.", location=f"byte {at}")


def datagrams(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, begin and end of each datagram, without the size at its end. Raises Refused `truncated_kmall`, `damaged_kmall`."""
    at, size = 0, len(data)
    while at < size:
        if size - at < _HEADER.size + _WORD.size:
            raise _truncated(at, size)
        length, kind = struct.unpack_from("<I4s", data, at)
        if re.fullmatch(rb"#[A-Z]{3}", kind) is None or length < _HEADER.size + _WORD.size:
            raise damaged(f"a datagram says that it is {kind!r} with {length:,} bytes; there is none such", at)
        if at + length > size:
            raise _truncated(at, size)
        end = at + length - _WORD.size
        if _WORD.unpack_from(data, end)[0] != length:
            raise damaged(f"a datagram {kind.decode()} does not end where it says, after {length:,} bytes", at)
        yield kind, at, end
        at += length


def _truncated(at: int, size: int) -> Refused:
    return Refused(
        "truncated_kmall",
        f"the file ends at byte {size:,} in the middle of a datagram: it is cut short. Send it again, whole.",
        location=f"byte {at}",
    )


def read_pings(data: bytes, most: int) -> Pings:
    """All pings of a file. Raises Refused. most: soundings that the file may have."""
    found, total = Pings(), 0
    for kind, begin, end in datagrams(data):
        if kind != PING:
            continue
        total += _read_ping(data, begin, end, found)
        found.seen += 1
        if total > most:
            raise Refused(
                "too_many_soundings",
                f"the file has more than {most:,} soundings. Split it, or raise STRANDLINE_BATHYMETRY_MAX_SOUNDINGS.",
                location=f"ping {found.seen - 1}",
            )
    return found


def _read_ping(data: bytes, begin: int, end: int, found: Pings) -> int:
    """Add a ping to `found`; how many soundings it has."""
    _, _, _, _, sonar, seconds, nanoseconds = _HEADER.unpack_from(data, begin)
    at = begin + _HEADER.size
    _check_room(at, _PARTS.size + _SIZE.size, end, begin)
    if _PARTS.unpack_from(data, at) != (1, 1):
        raise damaged("a ping is a part of one that was sent in several; files have whole ones", begin)
    common = at + _PARTS.size
    info = common + _SIZE.unpack_from(data, common)[0]
    _check_room(info, _LEAST_INFO, end, begin)
    (info_bytes,) = _SIZE.unpack_from(data, info)
    sectors, sector_bytes = _SECTORS.unpack_from(data, info + _SECTORS_AT)
    rx = info + info_bytes + sectors * sector_bytes
    if info_bytes < _LEAST_INFO:
        raise damaged(f"a ping describes itself in {info_bytes} bytes; expected {_LEAST_INFO} or more", begin)
    _check_room(rx, _RX.size, end, begin)
    rx_bytes, main, _, width, _, extra, classes, class_bytes = _RX.unpack_from(data, rx)
    first, count = rx + rx_bytes + classes * class_bytes, main + extra
    if rx_bytes < _RX.size or (count and width < _LEAST_SOUNDING):
        raise damaged(f"a ping has soundings of {width} bytes; expected {_LEAST_SOUNDING} or more", begin)
    _check_room(first, count * width, end, begin)
    if not count:
        return 0
    soundings = np.frombuffer(data, _sounding(width), count, first)
    for name, part in found.parts.items():
        part.append(soundings[name].copy())
    found.number.append(found.seen)
    found.beams.append(count)
    found.time_us.append(seconds * 1_000_000 + nanoseconds // 1_000)
    found.sonar = sonar
    for name, (form, offset) in _INFO.items():
        found.info[name].append(struct.unpack_from(form, data, info + offset)[0])
    return count


def _check_room(at: int, size: int, end: int, begin: int) -> None:
    if at + size > end:
        raise damaged("a part of a ping is longer than the ping", begin)


@lru_cache(maxsize=16)
def _sounding(width: int) -> np.dtype:
    formats, offsets = zip(*FIELDS.values(), strict=True)
    return np.dtype({"names": list(FIELDS), "formats": formats, "offsets": offsets, "itemsize": width})
