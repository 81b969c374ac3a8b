"""Sample surveys that can be given away: one with a known sea floor in every format, and files broken in known ways."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.made_survey import CRS, THU_M, MadeLine, Plan, gsf, lines
from pipeline_assets.bathymetry.uncertainty import SIGMAS_95

SURVEY = "storm_bay_2024"
DATUM = "MSL"


@dataclass(frozen=True)
class Example:
    """One sample file. key: its path below the folder. error_class: what it is refused with; None when it is good.
    soundings: how many it has, when it is good."""

    path: Path
    key: str
    error_class: str | None = None
    soundings: int = 0


def write_examples(folder: Path, *, seed: int = 0, plan: Plan | None = None, broken: bool = True) -> list[Example]:
    """A survey with its declaration and its mark that it is complete, lines in GSF, the last two also as text and LAZ;
    unless `broken` is False also surveys with files broken in known ways. The same seed gives the same bytes."""
    made = list(lines(plan or Plan(seed=seed, width_m=80.0, ping_m=0.4, beams=200)))
    good: dict[str, tuple[bytes, int]] = {line.name: (gsf(line), len(line.x)) for line in made}
    good["check_line.xyz"] = (xyz(made[-1], header=True, uncertain=True), len(made[-1].x))
    good["check_line.laz"] = (las(made[-1], packed=True, uncertain=True), len(made[-1].x))
    declared = {
        "crs": CRS,
        "vertical_datum": DATUM,
        "extent": [147, -43, 148, -42],
        "order": "1a",
        "lines": sorted(good),
    }
    good["survey.json"] = (declaration(**declared), 0)
    examples = [_write(folder, f"{SURVEY}/{name}", data, None, count) for name, (data, count) in good.items()]
    if broken:
        for survey, files in broken_surveys(made[0]).items():
            examples += [_write(folder, f"{survey}/{name}", data, error) for name, (error, data) in files.items()]
    surveys = sorted({example.key.partition("/")[0] for example in examples})
    return examples + [_write(folder, f"{survey}/survey.done", b"done\n") for survey in surveys]


def declaration(**said: Any) -> bytes:
    """A survey.json."""
    return (json.dumps(said, indent=1) + "\n").encode()


def xyz(
    line: MadeLine, *, up: bool = False, delimiter: str = " ", header: bool = False, uncertain: bool = False
) -> bytes:
    """The line as text: easting, northing, depth; with a header also whether it is rejected and, if `uncertain`, TVU and
    THU. up: heights instead of depths."""
    titles = ("easting", "northing", "depth", "flag", *(("tvu", "thu") if uncertain else ()))
    names = delimiter.join(titles) + "\n" if header else ""
    depth = -line.depth if up else line.depth
    rows = np.stack([line.x, line.y, depth, line.rejected, SIGMAS_95 * line.sigma, np.full(len(line.x), THU_M)])
    text = io.StringIO(names)
    text.seek(0, io.SEEK_END)
    np.savetxt(text, rows[: len(titles) if header else 3].T, fmt="%.3f", delimiter=delimiter)
    return text.getvalue().encode()


def las(
    line: MadeLine, *, packed: bool = False, epsg: int | None = None, wkt: str | None = None, uncertain: bool = False
) -> bytes:
    """The line as LAS 1.4, heights up, rejected soundings as noise. epsg, wkt: the CRS that it names. uncertain: with TVU and
    THU as extra bytes."""
    import laspy

    header = laspy.LasHeader(version="1.4", point_format=6)
    header.scales, header.offsets = np.full(3, 0.001), np.array([line.x.min(), line.y.min(), 0.0])
    header.creation_date = date(2024, 6, 1)
    if epsg is not None or wkt is not None:
        from pyproj import CRS as Pyproj

        header.add_crs(Pyproj.from_user_input(wkt or epsg))
    if uncertain:
        header.add_extra_dims([laspy.ExtraBytesParams(name, "f4") for name in ("tvu", "thu")])
    cloud = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = line.x, line.y, -line.depth
    cloud.classification = np.where(line.rejected, 7, 40).astype(np.uint8)
    if uncertain:
        cloud.tvu, cloud.thu = SIGMAS_95 * line.sigma, np.full(len(line.x), THU_M)
    out = io.BytesIO()
    cloud.write(out, do_compress=packed)
    return out.getvalue()


def parquet(line: MadeLine) -> bytes:
    """The line as Parquet, with uncertainties."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = pa.BufferOutputStream()
    table = pa.table(
        {"x": line.x, "y": line.y, "depth": line.depth, "tvu": 2 * line.sigma, "thu": np.full(len(line.x), 0.5),
         "rejected": line.rejected, "ping": np.repeat(np.arange(len(line.ping_x)), line.beams)}
    )  # fmt: skip
    pq.write_table(table, out, compression="zstd")
    return bytes(out.getvalue())


def short(line: MadeLine, pings: int) -> MadeLine:
    """The first pings of a line."""
    count = pings * line.beams
    few = {name: getattr(line, name)[:count] for name in ("x", "y", "depth", "sigma", "rejected", "flier")}
    return replace(line, **few, ping_x=line.ping_x[:pings], ping_y=line.ping_y[:pings], across=line.across[:pings])


def broken_surveys(line: MadeLine) -> dict[str, dict[str, tuple[str | None, bytes]]]:
    """By survey and name, what a file is refused with, and its bytes."""
    few = short(line, 20)
    whole, declared = gsf(few), declaration(crs=CRS, vertical_datum=DATUM)
    (first,) = struct.unpack_from(">I", whole)
    swapped = replace(few, x=few.y, y=few.x)
    text = xyz(few, header=True, delimiter=",").split(b"\n")
    return {
        "broken": {
            "survey.json": (None, declared),
            "cut_short.gsf": ("truncated_gsf", whole[: len(whole) * 2 // 3]),
            "no_such_record.gsf": ("damaged_gsf", whole[: 8 + first] + b"\0\0\0\x10\0\0\0\x63" + whole[8 + first :]),
            "no_pings.gsf": ("no_soundings", whole[: 8 + first]),
            "heights.xyz": ("wrong_sign", xyz(few, up=True)),
            "swapped.xyz": ("swapped_axes", xyz(swapped)),
            "a_word.csv": ("bad_number", b"\n".join([*text[:9], b"540000.0,deep,20,0", *text[10:]])),
            "cut_short.csv": ("column_alignment", b"\n".join([*text[:9], b"540000.0,529"])),
            "no_depth.csv": ("missing_columns", b"\n".join([b"easting,northing,colour,flag", *text[1:]])),
            "cut_short.laz": ("damaged_las", las(few, packed=True)[:-200]),
            "other_zone.las": ("crs_mismatch", las(few, epsg=32756)),
            "surface.tif": ("damaged_geotiff", b"II*\0\x08\0\0\0" + bytes(64)),
            "surface.bag": ("damaged_bag", b"\x89HDF\r\n\x1a\n" + bytes(64)),
            "line.kmall": ("truncated_kmall", struct.pack("<I", 200) + b"#IIP" + bytes(64)),
            "letter.txt": ("unknown_type", b"Dear colleagues; please find the lines attached.\n"),
            "empty.gsf": ("empty_file", b""),
        },
        "northern": {
            "survey.json": (None, declaration(crs="EPSG:32655", vertical_datum=DATUM)),
            "0001.gsf": ("wrong_hemisphere", whole),
        },
        "next_zone": {
            "survey.json": (None, declaration(crs="EPSG:32757", vertical_datum=DATUM)),
            "0001.gsf": ("wrong_zone", whole),
        },
        "elsewhere": {
            "survey.json": (None, declaration(crs=CRS, extent=[144.1, -40, 145, -39])),
            "0001.gsf": ("outside_extent", whole),
        },
        "undeclared": {"points.xyz": ("no_crs", xyz(few))},
        "misdeclared": {
            "survey.json": ("bad_declaration", declaration(crs="UTM 55S")),
            "0001.gsf": ("bad_declaration", whole),
        },
    }


def _write(folder: Path, key: str, data: bytes, error: str | None = None, soundings: int = 0) -> Example:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Example(path, key, error, soundings)
