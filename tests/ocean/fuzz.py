"""Damage for every reader of ocean files: files to damage, ways to damage them, and what may come of it."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.examples import bottle_csv, btl, cnv, ctd_csv, ctd_zip, made_station, netcdf, water_level_csv
from pipeline_assets.ocean.source import OCEAN
from pipeline_assets.reading_units import derive, parse
from tests.fuzzing import Seen, mutated
from tests.ocean.reading import rows_of

CONFIG = OceanConfig(compliance=False, max_unpacked_mb=2, max_values=1_000_000, max_members=20)
FILE = "file"
"""The outcome of a file that could be read."""
MAY = {
    FILE, "empty_file", "unknown_type", "wrong_encoding", "wrong_magic_number", "no_columns", "unit_alignment", "column_alignment",
    "no_keys", "no_pressure", "no_data", "binary_cnv", "unknown_columns", "damaged_netcdf", "unsafe_netcdf", "netcdf_too_large",
    "no_cruise_file", "nested_archive", "damaged_archive", "unsupported_archive", "encrypted_archive", "archive_too_large",
    "archive_bomb", "unsafe_member_name", "duplicate_member",
}  # fmt: skip
WORDS = (
    b"", b"0", b"-1", b"1", b"9", b"-999", b"-999.0", b"1e308", b"-1e308", b"nan", b"inf", b"1e-320", b"1_000", b"0x10", b"12:30",
    b"2400", b"20240230", b"99999999999999999999", b"CTDPRS", b"CTDTMP", b"CTDTMP_FLAG_W", b"_FLAG_W", b"STNNBR", b"EXPOCODE",
    b"END_DATA", b"NUMBER_HEADERS = 99999999", b"LATITUDE = x", b"BOTTLE", b"CTD,", b"*END*", b"# name 0 = ", b"(avg)", b"#", b'"',
    b"=", b",,,,,,", b"\n", b"\r", b"\t", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b"\0", b"9" * 3000, b"a" * 3000, b"," * 3000,
    b"181", b"-91", b"3.5", b"-32768", b"40000", b"[]", b"{}",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One kind of file: samples, how they are damaged, and what must have come of it at least once."""

    files: list[bytes]
    damaged: Callable[[bytes, bytes, np.random.Generator], bytes]
    must: set[str]


def targets() -> dict[str, Target]:
    rng = np.random.default_rng(1)
    stations = [made_station(number, 3, rng) for number in (1, 2)]
    for one in stations:
        for name in ("pressure", "temperature", "salinity", "oxygen"):
            object.__setattr__(one, name, getattr(one, name)[:40])
    ctd, bottle = [ctd_csv(one) for one in stations], bottle_csv(stations, rng)
    return {
        "exchange_ctd": Target([*ctd, ctd[0] + ctd[1]], rewritten, {FILE, "column_alignment", "unknown_type"}),
        "exchange_bottle": Target([bottle], rewritten, {FILE, "column_alignment"}),
        "seabird_cnv": Target([cnv(one) for one in stations], rewritten, {FILE, "column_alignment"}),
        "seabird_btl": Target([btl(one) for one in stations], rewritten, {FILE}),
        "csv": Target([water_level_csv(rng, 30)[0]], rewritten, {FILE, "column_alignment"}),
        "netcdf3": Target([netcdf(stations)], mutated, {FILE, "damaged_netcdf"}),
        "netcdf4": Target([netcdf(stations, form="NETCDF4")], mutated, {FILE, "damaged_netcdf"}),
        "zip": Target([ctd_zip(stations)], mutated, {"damaged_archive"}),
        "gzip": Target([gzip.compress(one) for one in ctd], mutated, {"damaged_archive"}),
    }


def rewritten(text: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """The text with one to three of its cells replaced, doubled or left out; sometimes with bytes damaged instead."""
    if rng.random() < 0.2:
        return mutated(text, donor, rng)
    # Half of the damage is done to the first lines, where it hurts most.
    size = len(text) if rng.random() < 0.5 else min(len(text), 900)
    cells = text[:size].replace(b"\n", b",\n,").split(b",")
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(cells)))
        choice = int(rng.choice([0, 0, 0, 1, 2]))
        cells[at : at + 1] = [[WORDS[int(rng.integers(len(WORDS)))]], cells[at : at + 1] * 2, []][choice]
    return b",".join(cells).replace(b",\n,", b"\n") + text[size:]


def may(target: Target) -> set[str]:
    return MAY


def run(target: Target, mutants: int, seed: int, *, schemas_every: int = 1) -> Seen:
    """Damage that many files and look at each outcome. Raises what a reader should not have raised."""
    rng = np.random.default_rng(seed)
    seen = Seen()
    for number in range(mutants):
        original, donor = rng.choice(len(target.files), 2, replace=True)
        data = target.damaged(target.files[original], target.files[donor], rng)
        start = time.perf_counter()
        result = outcome(data, with_schemas=number % schemas_every == 0)
        seen.slowest_s = max(seen.slowest_s, time.perf_counter() - start)
        seen.outcomes[result] += 1
    return seen


def outcome(data: bytes, *, with_schemas: bool) -> str:
    """The error class, or `FILE` for one whose rows keep their schemas."""
    try:
        found = parse(OCEAN, CONFIG, LandedFile("ocean/fuzz/file", data=data))
        assert len(found.cast_index) == len(found.pressure) == found.rows
        assert all(len(one.values) == found.rows for one in found.parameters)
        assert found.rows
        assert 0 <= found.cast_index.min() <= found.cast_index.max() < len(found.casts)
        if with_schemas:
            rows_of(found, CONFIG)
        else:
            derive(OCEAN, CONFIG, found)
    except Refused as error:
        return error.error_class if error.message else "refused without a reason"
    return FILE
