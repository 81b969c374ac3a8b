"""Lines of a known sea floor as Kongsberg's sonars write them, field by field in the order of the published structs: what the
readers, which go by offsets, are held against."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from pyproj import Geod, Transformer

from pipeline_assets.bathymetry.made_survey import CRS, MadeLine

PING_S = 0.25
WATER_LINE_M, HEIGHT_M, TRANSMITTER_M = -1.75, 12.5, 3.25
"""Water's surface 1.75 m above the vessel's reference point, which is 12.5 m above the ellipsoid; transmitter of an .all."""


def degrees(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    longitude, latitude = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(x, y)
    return longitude, latitude


def datagram(kind: bytes, body: bytes, seconds: float, *, version: int = 1, sonar: int = 2040) -> bytes:
    """One of a .kmall file."""
    size = 20 + len(body) + 4
    whole, part = divmod(round(seconds * 1e6), 1_000_000)
    head = struct.pack("<I4sBBHII", size, b"#" + kind, version, 0, sonar, whole, part * 1000)
    return head + body + struct.pack("<I", size)


def sounding(index: int, said: dict[str, Any], width: int) -> bytes:
    values = {"type": 0, "method": 2, "latitude": 0.0, "longitude": 0.0, "z": 20.0, "y": 0.0, "x": 0.0, **said}
    body = struct.pack("<H8BH", index, 0, values["type"], values["method"], 0, 0, 0, 0, 0, 0)
    body += struct.pack("<6f2H", 100.0, 0.5, 0.1, 0.2, 0.001, 0.002, index, 900)
    body += struct.pack("<12f", *range(12))
    body += struct.pack("<6f", values["latitude"], values["longitude"], values["z"], values["y"], values["x"], 0.0)
    body += struct.pack("<4H", 0, 100, 150, 0)
    return body + bytes(width - len(body))


def mrz(
    soundings: list[dict[str, Any]], *, longitude: float = 147.5, latitude: float = -42.5, seconds: float = 1_717_200_000.5,
    water_line: float = WATER_LINE_M, height: float = HEIGHT_M, extra: int = 0, classes: int = 0, width: int = 120,
    more_info: int = 8, version: int = 1, parts: tuple[int, int] = (1, 1), ping: int = 1,
) -> bytes:  # fmt: skip
    """A ping. extra: how many of the soundings are extra detections. more_info: bytes of its own part after those that all
    revisions have. version: 0 has shorter sectors of transmission."""
    common = struct.pack("<2H8B", 12, ping, 1, 0, 1, 0, 0, 0, 1, 0)
    info = struct.pack("<f6BH11f2h2BHI3f2Hf", 4.0, *[0] * 6, 0, *[1.0] * 11, 30, 30, 0, 0, 0, 0, *[1.0] * 3, 0, 0, 0.0)
    sector = struct.pack("<4B7f2BH", *[0] * 4, *[0.0] * 7, 0, 0, 0) + (
        b"" if version == 0 else struct.pack("<3f", 0, 0, 0)
    )
    info += struct.pack("<2H6f4B", 2, len(sector), 90.0, 1500.0, 3.0, water_line, 0.0, 0.0, 0, 0, 0, 0)
    info += struct.pack("<2df", latitude, longitude, height) + bytes(more_info)
    info = struct.pack("<2H", 4 + len(info), 0) + info
    rx = struct.pack("<4H4f4H", 32, len(soundings) - extra, 0, width, 1.0, 1.0, 0.0, 0.0, 0, extra, classes, 4)
    body = struct.pack("<2H", *parts) + common + info + 2 * sector + rx + classes * struct.pack("<HbB", 1, 0, 0)
    body += b"".join(sounding(number, said, width) for number, said in enumerate(soundings))
    return datagram(b"MRZ", body, seconds, version=version)


def kmall(line: MadeLine) -> bytes:
    """The line, its rejected soundings as rejected detections; with datagrams of other kinds between its pings."""
    file = [datagram(b"IIP", struct.pack("<3H", 6, 0, 0), line.start_s)]
    ping_longitude, ping_latitude = degrees(line.ping_x, line.ping_y)
    longitude, latitude = (one.reshape(-1, line.beams) for one in degrees(line.x, line.y))
    depth, rejected = line.depth.reshape(-1, line.beams), line.rejected.reshape(-1, line.beams)
    for ping in range(len(line.ping_x)):
        beams = [
            {
                "type": 2 if rejected[ping, beam] else 0, "z": depth[ping, beam] + WATER_LINE_M, "y": line.across[ping, beam],
                "latitude": latitude[ping, beam] - ping_latitude[ping],
                "longitude": longitude[ping, beam] - ping_longitude[ping],
            }
            for beam in range(line.beams)
        ]  # fmt: skip
        place = {"longitude": ping_longitude[ping], "latitude": ping_latitude[ping]}
        file.append(mrz(beams, **place, seconds=line.start_s + ping * PING_S, ping=ping))
        file.append(datagram(b"SVT", bytes(44), line.start_s + ping * PING_S))
    return b"".join(file)


def em(kind: int, body: bytes, when: datetime, *, order: str = "<", counter: int = 1, model: int = 710) -> bytes:
    """One datagram of an .all file."""
    day, midnight = (
        when.year * 10_000 + when.month * 100 + when.day,
        datetime(when.year, when.month, when.day, tzinfo=UTC),
    )
    milliseconds = round((when - midnight) / timedelta(milliseconds=1))
    inner = struct.pack(order + "BHIIHH", kind, model, day, milliseconds, counter & 0xFFFF, 101) + body
    inner += bytes(len(inner) % 2)
    whole = b"\x02" + inner + b"\x03" + struct.pack(order + "H", sum(inner) & 0xFFFF)
    return struct.pack(order + "I", len(whole)) + whole


def position(longitude: float, latitude: float, when: datetime, *, order: str = "<", system: int = 0x81) -> bytes:
    text = b"INGGA"
    body = struct.pack(
        order + "ii4HBB", round(latitude * 2e7), round(longitude * 1e7), 10, 200, 9000, 9000, system, len(text)
    )
    return em(0x50, body + text, when, order=order)


def xyz88(beams: list[dict[str, Any]], when: datetime, *, heading: float = 90.0, order: str = "<") -> bytes:
    body = struct.pack(
        order + "HHfHHfB3x", round(heading * 100) % 36_000, 15_000, TRANSMITTER_M, len(beams), len(beams), 14_000.0, 0
    )
    for said in beams:
        values = {"z": 20.0, "y": 0.0, "x": 0.0, "detection": 1, "cleaning": 0, **said}
        body += struct.pack(
            order + "fffHBbBbh",
            values["z"],
            values["y"],
            values["x"],
            40,
            5,
            0,
            values["detection"],
            values["cleaning"],
            -201,
        )
    return em(0x58, body + b"\0", when, order=order)


def all_file(line: MadeLine, *, order: str = "<") -> bytes:
    """The line, a position a second, a little aside of the pings in time; rejected soundings as invalid detections."""
    start = datetime.fromtimestamp(line.start_s, UTC)
    longitude, latitude = degrees(line.ping_x, line.ping_y)
    ahead = degrees(line.ping_x + (10.0 if line.eastward else -10.0), line.ping_y)
    heading, _, _ = Geod(ellps="WGS84").inv(longitude, latitude, *ahead)
    depth, rejected = line.depth.reshape(-1, line.beams), line.rejected.reshape(-1, line.beams)
    file = [em(0x49, b"WLZ=0.0,", start, order=order)]
    for ping in range(len(line.ping_x)):
        when = start + timedelta(seconds=ping * PING_S)
        file.append(position(longitude[ping], latitude[ping], when, order=order))
        # Another system, which is not in use and knows nothing.
        file.append(position(10.0, 50.0, when, order=order, system=0x02))
        beams = [
            {
                "z": depth[ping, beam] - TRANSMITTER_M, "y": line.across[ping, beam],
                "detection": 0x80 | 3 if rejected[ping, beam] else 1,
            }
            for beam in range(line.beams)
        ]  # fmt: skip
        file.append(xyz88(beams, when, heading=float(heading[ping]) % 360.0, order=order))
    return b"".join(file)
