"""Datagrams of a Kongsberg .all file: the positions of the vessel, and the depths of its pings (XYZ 88).

Kongsberg, EM Series multibeam echo sounder datagram formats (850-160692): a datagram has its size, STX, its type, model, date,
time and two counters, its content, ETX and the sum of the bytes between STX and ETX. Processing units of one kind write the low
byte first, those of another the high one. Ranges, angles, attitude and images are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.landed_file import Refused

POSITION, XYZ_88, DEPTH = 0x50, 0x58, 0x44
STX, ETX = 0x02, 0x03
_HEAD = "IBBHIIHH"
"""Size, STX, type, model, date, time of day (ms), counter, serial number."""
_HEAD_BYTES = 20
_TAIL_BYTES = 3
_POSITION = "iiHHHHB"
"""Latitude (degrees / 20,000,000), longitude (degrees / 10,000,000), quality, speed, course, heading, which system it is from."""
_ACTIVE = 0x80
_XYZ = "HHfHH"
"""Heading (0.01 degrees), speed of sound, depth of the transmitter (m), beams, beams that are valid."""
_BEAMS_AT = 40
_MIDNIGHT_US = 86_400_000_000

FIELDS = {"down": ("f4", 0), "across": ("f4", 4), "along": ("f4", 8), "detection": ("u1", 16), "cleaning": ("i1", 17)}
"""Of a beam, and where: m below the transmitter, to starboard and ahead of the vessel's position; how it was detected; below 0
what real-time cleaning has rejected."""
_BEAM_BYTES = 20


@dataclass
class Pings:
    """The pings of a file that have beams, one entry each; all beams one after the other in `parts`.

    number: which ping of the file it is, from 0. time_us: since 1970. heading: degrees. transmitter: how deep it is below the
    water's surface, m. positions: time_us, latitude, longitude, whether of the system in use. older: pings in the depth
    datagrams of older sonars. seen: pings of the file. model: such as 710.
    """

    number: list[int] = field(default_factory=list)
    beams: list[int] = field(default_factory=list)
    time_us: list[int] = field(default_factory=list)
    heading: list[float] = field(default_factory=list)
    transmitter: list[float] = field(default_factory=list)
    parts: dict[str, list[NDArray]] = field(default_factory=lambda: {name: [] for name in FIELDS})
    positions: list[tuple[int, float, float, bool]] = field(default_factory=list)
    older: int = 0
    seen: int = 0
    model: int = 0

    def all(self, name: str) -> NDArray:
        """One of `FIELDS` of all beams."""
        return np.concatenate(self.parts[name])


def damaged(what: str, at: int) -> Refused:
    return Refused("damaged_all", f"{what}. Copy the file from the sonar again.", location=f"byte {at}")


def byte_order(data: bytes) -> str:
    """`<` or `>`: that in which the first datagram ends with an ETX. Raises Refused `damaged_all`, `truncated_all`."""
    sizes = {order: struct.unpack_from(order + "I", data)[0] for order in "<>"} if len(data) >= _HEAD_BYTES + 4 else {}
    for order, size in sizes.items():
        end = 4 + size
        if size >= _HEAD_BYTES - 4 + _TAIL_BYTES and end <= len(data) and data[end - _TAIL_BYTES] == ETX:
            return order
    if not sizes or min(sizes.values()) + 4 > len(data):
        raise _truncated(0, len(data))
    raise damaged("the first datagram does not end where it says", 0)


def datagrams(data: bytes, order: str) -> Iterator[tuple[int, int, int]]:
    """Type, begin and end of each datagram. Raises Refused `truncated_all`, `damaged_all`."""
    size_of = struct.Struct(order + "I")
    at, size = 0, len(data)
    while at < size:
        if size - at < _HEAD_BYTES + _TAIL_BYTES:
            raise _truncated(at, size)
        end = at + 4 + size_of.unpack_from(data, at)[0]
        if data[at + 4] != STX or end - at < _HEAD_BYTES + _TAIL_BYTES:
            raise damaged("a datagram does not begin as datagrams do", at)
        if end > size:
            raise _truncated(at, size)
        if data[end - _TAIL_BYTES] != ETX:
            raise damaged(f"a datagram of type {data[at + 5]:02X}h does not end where it says", at)
        yield data[at + 5], at, end
        at = end


def _truncated(at: int, size: int) -> Refused:
    return Refused(
        "truncated_all",
        f"the file ends at byte {size:,} in the middle of a datagram: it is cut short. Send it again, whole.",
        location=f"byte {at}",
    )


def read_pings(data: bytes, most: int) -> Pings:
    """All pings and positions of a file. Raises Refused. most: soundings that the file may have."""
    order = byte_order(data)
    head, position, xyz = (struct.Struct(order + form) for form in (_HEAD, _POSITION, _XYZ))
    beam = np.dtype(
        {
            "names": list(FIELDS), "formats": [order + form for form, _ in FIELDS.values()],
            "offsets": [offset for _, offset in FIELDS.values()], "itemsize": _BEAM_BYTES,
        }
    )  # fmt: skip
    found, total = Pings(), 0
    for kind, begin, end in datagrams(data, order):
        if kind == DEPTH:
            found.older += 1
        if kind not in (POSITION, XYZ_88):
            continue
        _, _, _, model, day, milliseconds, _, _ = head.unpack_from(data, begin)
        time_us = _time_us(day, milliseconds, begin)
        _check_sum(data, begin, end, order)
        if kind == POSITION:
            if begin + _HEAD_BYTES + position.size > end - _TAIL_BYTES:
                raise damaged("a position is shorter than positions are", begin)
            latitude, longitude, *_, system = position.unpack_from(data, begin + _HEAD_BYTES)
            found.positions.append((time_us, latitude / 2e7, longitude / 1e7, bool(system & _ACTIVE)))
            continue
        found.seen += 1
        if begin + _BEAMS_AT > end:
            raise damaged("a ping is shorter than its header", begin)
        heading, _, transmitter, count, _ = xyz.unpack_from(data, begin + _HEAD_BYTES)
        if begin + _BEAMS_AT + count * _BEAM_BYTES > end - _TAIL_BYTES:
            raise damaged(f"a ping says that it has {count} beams, and has no room for them", begin)
        total += count
        if total > most:
            raise Refused(
                "too_many_soundings",
                f"the file has more than {most:,} soundings. Split it, or raise STRANDLINE_BATHYMETRY_MAX_SOUNDINGS.",
                location=f"ping {found.seen - 1}",
            )
        if count:
            beams = np.frombuffer(data, beam, count, begin + _BEAMS_AT)
            for name, part in found.parts.items():
                part.append(beams[name].copy())
            found.number.append(found.seen - 1)
            found.beams.append(count)
            found.time_us.append(time_us)
            found.heading.append(heading / 100.0)
            found.transmitter.append(transmitter)
            found.model = model
    return found


def _time_us(day: int, milliseconds: int, begin: int) -> int:
    try:
        days = date(day // 10_000, day // 100 % 100, day % 100).toordinal() - date(1970, 1, 1).toordinal()
    except (ValueError, OverflowError):
        raise damaged(f"a datagram is of the day {day}, which is none", begin) from None
    if milliseconds >= 86_401_000:
        raise damaged(f"a datagram is of {milliseconds:,} ms after midnight", begin)
    return days * _MIDNIGHT_US + milliseconds * 1_000


def _check_sum(data: bytes, begin: int, end: int, order: str) -> None:
    (said,) = struct.unpack_from(order + "H", data, end - 2)
    inner = np.frombuffer(data, np.uint8, end - _TAIL_BYTES - begin - 5, begin + 5)
    if int(inner.sum(dtype=np.uint64)) & 0xFFFF != said:
        raise damaged("the checksum of a datagram does not fit its content", begin)
