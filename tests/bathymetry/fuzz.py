"""Damage for every reader of survey files: files to damage, ways to damage them, and what may come of it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.examples import declaration, las, parquet, short, xyz
from pipeline_assets.bathymetry.made_survey import CRS, Plan, gsf, lines
from pipeline_assets.bathymetry.read.line import DeclaredSurvey
from pipeline_assets.bathymetry.source import BATHYMETRY
from pipeline_assets.columns import BATCH_ID, FILE_ID, to_table
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.reading_units import derive, parse
from pipeline_assets.validation import violations
from tests.bathymetry.kongsberg import all_file, kmall
from tests.fuzzing import Seen, mutated

CONFIG = BathymetryConfig(max_soundings=200_000)
LINE = "line"
"""The outcome of a file that could be read."""
OF_PLACES = {
    "wrong_zone",
    "wrong_hemisphere",
    "swapped_axes",
    "outside_extent",
    "wrong_sign",
    "impossible_depth",
    "bad_position",
}
OF_ALL = {
    "empty_file",
    "unknown_type",
    "no_soundings",
    "too_many_soundings",
    "damaged_bag",
    "damaged_geotiff",
    "no_line",
}
MAY = OF_PLACES | OF_ALL | {
    LINE, "truncated_gsf", "damaged_gsf", "unsupported_gsf", "truncated_kmall", "damaged_kmall", "truncated_all", "damaged_all", "damaged_las", "unsupported_las", "crs_mismatch", "unreadable", "too_large", "wrong_type",
    "missing_columns", "bad_number", "column_alignment", "bad_declaration", "bad_crs",
}  # fmt: skip
WORDS = (
    b"", b"0", b"-1", b"1", b"-999", b"1e308", b"-1e308", b"nan", b"inf", b"1e-320", b"1_000", b"0x10", b"12:30", b"540000,5", b"5292000",
    b"99999999999999999999", b"x", b"depth", b"lat", b"#", b'"', b"=", b",,,,,,", b"\n", b"\r", b"\t", b"\xff\xfe", b"\xef\xbb\xbf",
    b"\xe9", b"\0", b"9" * 3000, b"a" * 3000, b"," * 3000, b" " * 3000, b"EPSG:4326", b"EPSG:99999", b"null", b"[]", b"{}", b"-", b"EPSG:32655",
)  # fmt: skip

Damage = Callable[[bytes, bytes, np.random.Generator], bytes]


@dataclass(frozen=True)
class Target:
    """One kind of file: samples, how they are damaged, and what must have come of it at least once."""

    files: list[bytes]
    damaged: Damage
    must: set[str]
    is_declaration: bool = False


def targets() -> dict[str, Target]:
    one, two = (short(line, 12) for line in lines(Plan(seed=1, width_m=40, height_m=100, beams=24)))
    declared = {"crs": CRS, "vertical_datum": "MSL", "extent": [147, -43, 148, -42], "order": "1a", "lines": ["a", "b"],
                "columns": {"x": ["x"]}, "sensors": {"heave_m": 0.1}}  # fmt: skip
    return {
        "gsf": Target([gsf(one), gsf(two, with_uncertainty=False)], in_records, {LINE, "damaged_gsf", "truncated_gsf"}),
        "kmall": Target([kmall(one), kmall(two)], in_datagrams, {LINE, "damaged_kmall", "truncated_kmall"}),
        "all": Target([all_file(one), all_file(two, order=">")], resummed, {LINE, "damaged_all", "truncated_all"}),
        "las": Target([las(one), las(two, epsg=32755)], mutated, {LINE, "damaged_las"}),
        "laz": Target([las(one, packed=True), las(two, packed=True)], mutated, {LINE, "damaged_las"}),
        "parquet": Target([parquet(one), parquet(two)], mutated, {"unreadable"}),
        "text": Target(
            [xyz(one), xyz(two, header=True, delimiter=","), xyz(one, delimiter=";")], rewritten, {LINE, "bad_number", "column_alignment"}
        ),
        "declaration": Target([declaration(**declared)], rewritten, {LINE, "bad_declaration"}, is_declaration=True),
    }  # fmt: skip


def in_records(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """Half of the damage is done to sizes, kinds and counts in the headers of records and their parts."""
    if rng.random() < 0.5:
        return mutated(data, donor, rng)
    body, at, starts = bytearray(data), 0, []
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">II", data, at)
        starts.append((at, kind))
        at += 8 + size
    pings = [start for start, kind in starts if kind == 2]
    ping = int(rng.choice(pings))
    place = ping + int(
        rng.choice([0, 4, 8, 16, 20, 24, 26, 28, 38, 64, 68, 72, 76, 80, 84, 88, 132, 136, int(rng.integers(64, 400))])
    )
    if rng.random() < 0.5:
        number = int(
            rng.choice([0, 1, 2, 255, 65_535, 0x00FFFFFF, 0x01000018, 0x64000004, 0x7FFFFFFF, 0x80000002, 0xFFFFFFFF])
        )
        body[place : place + 4] = number.to_bytes(4, "big")
    else:
        body[place : place + 2] = int(rng.choice([0, 1, 23, 25, 65_535])).to_bytes(2, "big")
    return bytes(body)


def in_datagrams(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """Half of the damage is done to sizes and counts of a ping and its parts."""
    if rng.random() < 0.5:
        return mutated(data, donor, rng)
    body, at, pings = bytearray(data), 0, []
    while at + 8 <= len(data):
        size, kind = struct.unpack_from("<I4s", data, at)
        if kind == b"#MRZ":
            pings.append(at)
        at += size
    ping = int(rng.choice(pings))
    # The size, parts, common part, own part, sectors; latitude and longitude; what it has received, and a sounding.
    place = ping + int(
        rng.choice(
            [0, 20, 24, 36, 128, 130, 144, 160, 168, 284, 286, 288, 290, 308, 310, 312, int(rng.integers(316, 436))]
        )
    )
    width = int(rng.choice([2, 4]))
    number = int(rng.choice([0, 1, 2, 255, 32_768, 65_535, 0x7F800000, 0x7FC00000, 0xFFFFFFFF])) & (
        (1 << 8 * width) - 1
    )
    body[place : place + width] = number.to_bytes(width, "little")
    return bytes(body)


def resummed(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """Half of the damage is done to what stands in a position or a ping, its checksum made to fit."""
    if rng.random() < 0.5:
        return mutated(data, donor, rng)
    order = "<" if data[3] == 0 else ">"
    body, at, some = bytearray(data), 0, []
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(order + "I", data, at)
        if data[at + 5] in (0x50, 0x58):
            some.append((at, 4 + size))
        at += 4 + size
    begin, size = some[int(rng.integers(len(some)))]
    place = begin + int(rng.choice([5, 8, 12, 20, 24, 28, 36, 40, int(rng.integers(6, size - 7))]))
    body[place : place + 2] = int(rng.choice([0, 1, 255, 32_768, 65_535, int(rng.integers(65_536))])).to_bytes(
        2, "little"
    )
    inner = sum(body[begin + 5 : begin + size - 3]) & 0xFFFF
    body[begin + size - 2 : begin + size] = struct.pack(order + "H", inner)
    return bytes(body)


def rewritten(text: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """The text with one to three of its words replaced, doubled or left out; sometimes with bytes damaged instead."""
    if rng.random() < 0.2:
        return mutated(text, donor, rng)
    size = len(text) if rng.random() < 0.5 else min(len(text), 300)
    for sign in (b",", b";", b" "):
        if sign in text[:size]:
            break
    words = text[:size].replace(b"\n", sign + b"\n" + sign).split(sign)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(words)))
        choice = int(rng.choice([0, 0, 0, 1, 2]))
        words[at : at + 1] = [[WORDS[int(rng.integers(len(WORDS)))]], words[at : at + 1] * 2, []][choice]
    return sign.join(words).replace(sign + b"\n" + sign, b"\n") + text[size:]


def may(target: Target) -> set[str]:
    return MAY


def run(target: Target, mutants: int, seed: int, *, schemas_every: int = 1) -> Seen:
    """Damage that many files and look at each outcome. Raises what a reader should not have raised."""
    rng = np.random.default_rng(seed)
    seen = Seen()
    for number in range(mutants):
        original, donor = rng.choice(len(target.files), 2, replace=True)
        data = target.damaged(target.files[original], target.files[donor], rng)
        seen.outcomes[outcome(data, target, with_schemas=number % schemas_every == 0)] += 1
    return seen


def outcome(data: bytes, target: Target, *, with_schemas: bool) -> str:
    """The error class, or `LINE` for a file whose rows keep their schemas."""
    folder = "bathymetry/fuzz/"
    declared = LandedFile(f"{folder}survey.json", data=data if target.is_declaration else declaration(crs=CRS))
    file = (
        declared
        if target.is_declaration
        else LandedFile(f"{folder}line", data=data, companions={"survey.json": declared})
    )
    try:
        found = parse(BATHYMETRY, CONFIG, file)
        rows = derive(BATHYMETRY, CONFIG, found)
        if not isinstance(found, DeclaredSurvey):
            assert 0 < len(found.depth) <= CONFIG.max_soundings
            assert (
                len(
                    {
                        len(one)
                        for one in (found.x, found.y, found.depth, found.tvu, found.accepted, found.ping, found.beam)
                    }
                )
                == 1
            )
            assert np.isfinite(found.x).all()
            assert np.isfinite(found.y).all()
            assert np.isfinite(found.depth).all()
        if with_schemas:
            fill = {FILE_ID: "f", BATCH_ID: "b", "source_key": file.key}
            for table in BATHYMETRY.tables:
                made = to_table(table.schema, rows[table.name], fill)
                broken = violations(table.schema, made, [made.num_rows], [FILE_ID, BATCH_ID])
                assert not broken, broken
    except Refused as error:
        return error.error_class if error.message else "refused without a reason"
    return LINE
