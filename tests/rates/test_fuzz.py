"""Whatever bytes come, a reader gives prices that keep the rules, or refuses the file: nothing else leaves it."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.rates import derive, examples, read
from pipeline_assets.rates.config import RatesConfig

CONFIG = RatesConfig()
ROWS: list[examples.Row] = [
    ("CNSGH", "NLRTM", date(2016, 1, 1) + timedelta(days=day % 30), 100.0 + day) for day in range(40)
]
FORMS: dict[str, tuple[Callable[..., Path], Callable[..., dict[str, pa.Array]]]] = {
    "csv": (examples.write_csv, read.read_csv),
    "json_lines": (examples.write_json_lines, read.read_json_lines),
    "parquet": (examples.write_parquet, read.read_parquet),
}
_PIECES = (
    b"",
    b"\0",
    b"\n",
    b"\r",
    b",",
    b'"',
    b"{",
    b"}",
    b"-",
    b"\xff",
    b"9" * 400,
    b"PAR1",
    b"\xef\xbb\xbf",
    b"1e999",
)


def mutated(data: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 2)):
        at, length = chance.randrange(len(data)), chance.choice((0, 1, 1, 2, 8, 64))
        kind = chance.random()
        if kind < 0.3:
            data = data[:at] + chance.choice(_PIECES) + data[at + length :]
        elif kind < 0.6:
            data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        elif kind < 0.7:
            data = data[: max(1, at)]
        else:
            other = chance.randrange(len(data))
            data = data[:at] + data[other : other + length * 4] + data[at:]
    return data


@pytest.mark.parametrize("form", FORMS)
def test_bytes_that_are_not_what_they_were(tmp_path: Path, form: str) -> None:
    write, reads = FORMS[form]
    whole = write(tmp_path / "file", ROWS).read_bytes()
    chance = random.Random(f"rates {form}")
    taken = refused = 0
    for _ in range(400):
        try:
            made = reads(LandedFile("rates/fuzzed", mutated(whole, chance)), CONFIG)
        except Refused:
            refused += 1
            continue
        taken += 1
        count = len(made["row"])
        assert made["row"].to_pylist() == list(range(1, count + 1))
        assert all(CONFIG.price_min <= price <= CONFIG.price_max for price in made["price"].to_pylist())
        assert all(CONFIG.day_first <= day <= CONFIG.day_last for day in made["day"].to_pylist())
        assert all(len(code) == 5 and code.isascii() for code in made["orig_code"].to_pylist())
        assert derive.checked_tables(made, CONFIG)["batches"]["prices"].tolist() == [count]
    assert refused > 50
    assert taken > 5, "nothing but refusals: the changes are too large to tell anything"
