"""Generated prices in the shape of a real set: 53,000 prices of 725 lanes over 30 days, in several files; and broken ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_assets.example_places import ports

FIRST_DAY = date(2016, 1, 1)
DAYS = 30
LANES = 725
PRICES = 53_000
EMPTY_DAY = date(2016, 1, 3)
"""A day without any price."""
OUTLIER = ("CNSGH", "GBFXT", date(2016, 1, 4), 100_500.0)
"""The only price of its lane on its day; the destination is in a region within a region of northern_europe."""

Row = tuple[str, str, date, float]


def generate(codes: Sequence[str], *, seed: int = 0, prices: int = PRICES, lanes: int = LANES) -> list[Row]:
    """Prices of lanes between known ports. A lane has up to three or more quotes a day, some of them equal."""
    rng = np.random.default_rng(seed)
    pairs = [(o, d) for o in codes for d in codes if o != d and (o, d) != OUTLIER[:2]]
    # The first lanes are those that people ask for first.
    first = [pair for pair in pairs if set(pair) <= set(codes[:4])]
    others = [pairs[at] for at in rng.permutation(len(pairs)) if pairs[at] not in set(first)]
    chosen = [*first, *others][: lanes - 1]
    base = rng.uniform(300, 4000, len(chosen))
    days = [FIRST_DAY + timedelta(days=n) for n in range(DAYS)]
    days.remove(EMPTY_DAY)
    weights = rng.dirichlet(np.full(len(chosen), 0.7))
    picked = rng.choice(len(chosen), prices - 1, p=weights)
    picked[: len(chosen)] = np.arange(len(chosen))
    on = rng.integers(0, len(days), prices - 1)
    amounts = np.maximum(50, np.round(base[picked] * rng.normal(1, 0.08, prices - 1)))
    rows = [
        (*chosen[lane], days[day], float(amount)) for lane, day, amount in zip(picked, on, amounts, strict=True)
    ]  # fmt: skip
    return [*rows, OUTLIER]


def write_examples(folder: Path, *, seed: int = 0, prices: int = PRICES) -> list[Path]:
    """Write the prices in files of each form, and files that are refused. The same seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = generate([code for code, _, _ in ports()], seed=seed, prices=prices)
    parts = np.array_split(np.arange(len(rows)), 5)
    chunks = [[rows[at] for at in part] for part in parts]
    good = [
        write_csv(folder / "batch_1.csv", chunks[0]),
        write_csv(folder / "batch_2.csv", chunks[1]),
        write_json_lines(folder / "batch_3.jsonl", chunks[2]),
        write_parquet(folder / "batch_4.parquet", chunks[3]),
        write_csv(folder / "batch_5.csv", chunks[4]),
        write_csv(folder / "batch_1_sent_again.csv", chunks[0]),
    ]
    return [*good, *write_broken(folder, chunks[0][:200])]


def write_broken(folder: Path, rows: Sequence[Row]) -> list[Path]:
    """Files that are refused, each in its own way."""
    lines = ["orig_code,dest_code,day,price", *(f"{o},{d},{day},{price:g}" for o, d, day, price in rows)]
    wrong = list(lines)
    wrong[3] = wrong[3].rsplit(",", 1)[0] + ",-5"
    wrong[7] = "XXXXX" + wrong[7][5:]
    wrong[9] = wrong[9].replace(wrong[9].split(",")[2], "2016-02-30")
    texts = {
        "wrong_rows.csv": "\n".join(wrong) + "\n",
        "no_prices.csv": lines[0] + "\n",
        "missing_column.csv": "\n".join(line.rsplit(",", 1)[0] for line in lines) + "\n",
        "cut_short.jsonl": json.dumps({"orig_code": rows[0][0], "dest_code": rows[0][1], "day": "2016-01-01"})
        + '\n{"orig',
    }
    paths = []
    for name, content in texts.items():
        path = folder / "broken" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        paths.append(path)
    return paths


def write_csv(path: Path, rows: Sequence[Row]) -> Path:
    lines = ["orig_code,dest_code,day,price", *(f"{o},{d},{day},{price:g}" for o, d, day, price in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_json_lines(path: Path, rows: Sequence[Row]) -> Path:
    lines = (json.dumps({"orig_code": o, "dest_code": d, "day": str(day), "price": price}) for o, d, day, price in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Sequence[Row]) -> Path:
    columns = zip(*rows, strict=True)
    pq.write_table(
        pa.table(dict(zip(("orig_code", "dest_code", "day", "price"), map(list, columns), strict=True))), path
    )
    return path
