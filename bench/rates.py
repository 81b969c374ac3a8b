"""A batch of prices into PostgreSQL, checked and averaged, against a bare COPY of the same rows into the same table."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
from sqlalchemy import text

from bench.measure import ROOT, Row, own_environment, say
from bench.rates_load import SCHEMA
from pipeline_assets.example_places import ports, regions
from resources.serving import keeper, places
from resources.serving.database import Serving

_LANES, _DAYS = 725, 30
_LEAST = 0.4
_MOST_MEMORY = 1024.0
_END_SECONDS = 120.0


def compare(folder: Path, turns: dict[int, int]) -> list[Row]:
    """turns: by number of prices, how often both are measured, by turns."""
    folder.chmod(0o755)
    serving = Serving(None, None, folder / "serving", SCHEMA)
    with serving.write("places", 1) as connection:
        places.replace(
            connection,
            [{"code": code, "name": name, "region_slug": slug} for code, name, slug in ports()],
            [{"slug": slug, "name": name, "parent_slug": parent or None} for slug, name, parent in regions()],
            [],
        )
    lanes = _make_lanes(serving)
    rows = []
    for count, times in turns.items():
        place = folder / str(count)
        place.mkdir()
        _generate(place, lanes, count)
        rows.append(_measure(serving, place, count, times))
    end_embedded(serving)
    return rows


def end_embedded(serving: Serving) -> None:
    """Let go of the embedded server, and wait for its end: its folder is deleted next."""
    data = serving.embedded.data if serving.embedded is not None else None
    serving.close()
    if data is not None and not keeper.has_ended(data, _END_SECONDS):
        raise RuntimeError(f"the PostgreSQL server in {data} goes on")


def _make_lanes(serving: Serving) -> list[tuple[int, str, str]]:
    codes = [code for code, _, _ in ports()]
    chance = np.random.default_rng(0)
    pairs = [(codes[at // len(codes)], codes[at % len(codes)]) for at in chance.permutation(len(codes) ** 2)[:_LANES]]
    with serving.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO lanes (orig_code, dest_code) VALUES (:o, :d)"), [{"o": o, "d": d} for o, d in pairs]
        )
        found = connection.execute(text("SELECT lane_id, orig_code, dest_code FROM lanes ORDER BY lane_id"))
        return [(row.lane_id, row.orig_code, row.dest_code) for row in found]


def _generate(place: Path, lanes: list[tuple[int, str, str]], count: int) -> None:
    """The same prices twice: as a batch, and as the rows of the table."""
    chance = np.random.default_rng(count)
    at, days = chance.integers(0, len(lanes), count), chance.integers(0, _DAYS, count)
    day = pa.array(np.datetime64("2016-01-01") + days)
    price = pa.array(chance.integers(100, 5000, count))
    ids, origins, destinations = (np.array(column) for column in zip(*lanes, strict=True))
    batch = {"orig_code": origins[at], "dest_code": destinations[at], "day": day, "price": price}
    pc_csv.write_csv(pa.table(batch), place / "batch.csv", pc_csv.WriteOptions(quoting_style="none"))
    number = np.arange(1, count + 1)
    table = {"file_no": np.ones(count, int), "row": number, "lane_id": ids[at], "day": day, "price": price}
    pc_csv.write_csv(
        pa.table(table), place / "bare.csv", pc_csv.WriteOptions(include_header=False, quoting_style="none")
    )


def _measure(serving: Serving, place: Path, count: int, turns: int) -> Row:
    done = subprocess.run(
        [sys.executable, "-m", "bench.rates_load", serving.url, str(place), str(turns)],
        cwd=ROOT, env=own_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"bench.rates_load ended with {done.returncode}:\n{done.stderr[-4000:]}")
    found = json.loads(done.stdout)
    bare, ours, read = (statistics.median(found[name]) for name in ("bare", "ours", "read"))
    cpu = {name: statistics.median(found["cpu"][name]) for name in found["cpu"]}
    ratio, in_cpu = bare / (ours + read), cpu["bare"] / (cpu["ours"] + cpu["read"])
    say(
        f"  {count:,}: bare {bare:.2f} s, read {read:.2f} s, loaded {ours:.2f} s, {found['peak_mib']:.0f} MiB; of processor "
        f"{cpu['bare']:.2f}, {cpu['read']:.2f}, {cpu['ours']:.2f} s"
    )
    return Row(
        f"{count:,} prices: read, checked, inserted, averaged, in one transaction, median of {turns}",
        f"{count / (ours + read):,.0f} rows/s ({count / ours:,.0f} without reading), {found['peak_mib']:.0f} MiB",
        f"bare COPY into the same table with its indexes: {count / bare:,.0f} rows/s",
        f"{ratio:.2f} × ({in_cpu:.2f} × in processor)",
        f"≥ {_LEAST} ×, ≤ {_MOST_MEMORY:.0f} MiB",
        ratio >= _LEAST and found["peak_mib"] <= _MOST_MEMORY,
    )
