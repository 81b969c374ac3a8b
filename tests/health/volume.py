"""A record with very many samples of motion through the front door, its reader held to a limit of memory.

python -m tests.health.volume --rows 1000000 --memory-mb 3072
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipeline_assets.health.examples import annotations_for, documents
from pipeline_assets.sidecars import sidecar_of
from resources.platform import Platform
from resources.settings import Settings
from tests.health.front_door import look_and_run
from tests.running import rows_of

KEY = "health/tides/long.zip"
_AT_ONCE = 10_000


def write_archive(path: Path, rows: int) -> None:
    """An archive whose motion.json has so many samples, written piece by piece."""
    files = documents(0, 1, 0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            if name != "motion.json":
                archive.writestr(name, json.dumps(content))
        with archive.open("motion.json", "w") as member:
            member.write(b"[")
            for position, piece in enumerate(_pieces(rows)):
                member.write(b"," * (position > 0) + piece)
            member.write(b"]")


def _pieces(rows: int) -> Iterator[bytes]:
    chance = random.Random(0)
    for begin in range(0, rows, _AT_ONCE):
        yield ",".join(
            f'{{"uptime":{5000 + n / 100},"timestamp":{n / 100},"stepPath":"Game/motion","sensorType":"gyro",'
            f'"x":{chance.random():.6f},"y":{chance.random():.6f},"z":{chance.random():.6f}}}'
            for n in range(begin, min(begin + _AT_ONCE, rows))
        ).encode()


def land_and_run(platform: Platform, folder: Path, rows: int) -> float:
    """Seconds from the start of the batch to its end. Raises AssertionError if anything of the record is not there."""
    (folder / "said.json").write_text(json.dumps(annotations_for("long", 1)))
    write_archive(folder / "long.zip", rows)
    platform.landing.put(folder / "said.json", sidecar_of(KEY))
    platform.landing.put(folder / "long.zip", KEY)
    started = time.monotonic()
    report = look_and_run(platform)
    took = time.monotonic() - started
    assert not report.refused, report.refused
    query = 'SELECT count(*), count(DISTINCT "index"), min("index"), max("index"), sum(timestamp) FROM health.dataset_motionrecord_v1'
    (found,) = rows_of(platform, query)
    assert found[:4] == (rows, rows, 0, rows - 1), found
    assert abs(found[4] - sum(n / 100 for n in range(rows))) < 1e-6 * rows
    return took


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--memory-mb", type=int, default=3072)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="strandline-volume-") as folder:
        settings = Settings(
            home=Path(folder) / "home",
            workers=1,
            settle_seconds=0.05,
            file_memory_mb=given.memory_mb,
            file_timeout_seconds=600,
        )
        platform = Platform(settings)
        took = land_and_run(platform, Path(folder), given.rows)
        size = (Path(folder) / "long.zip").stat().st_size / 1e6
        platform.close()
    print(
        f"{given.rows:,} rows ({size:,.1f} MB zipped) in {took:.1f} s within {given.memory_mb:,} MiB of address space"
    )


if __name__ == "__main__":
    main()
