"""`python -m bench.rates_load URL FOLDER TURNS`: a batch of prices into PostgreSQL, by turns with a bare COPY of its rows.

Prints the seconds of each turn, also those of the processor (this process and the server's), and what the loading process
needed in memory, as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import text

from bench.measure import cpu_seconds_of_children, parent_of
from pipeline_assets.landed_file import LandedFile
from pipeline_assets.rates.config import ReadingConfig
from pipeline_assets.rates.read import read_csv
from resources.serving import loading, places
from resources.serving.database import Serving, copy_cursor

SCHEMA = "bench"
_FILE_ID = "f" * 24
_BLOCK = 1 << 20


def main(url: str, folder: Path, turns: int) -> None:
    serving = Serving(url, None, folder, SCHEMA)
    seconds: dict[str, list[float]] = {"bare": [], "ours": [], "read": []}
    cpu: dict[str, list[float]] = {name: [] for name in seconds}
    with serving.engine.connect() as connection:
        config = ReadingConfig(known_ports=places.known_ports(connection))
        server = parent_of(connection.scalar(text("SELECT pg_backend_pid()")))

    def timed(name: str, work: Callable[[], None]) -> None:
        begun, used = time.perf_counter(), time.process_time() + cpu_seconds_of_children(server)
        work()
        seconds[name].append(time.perf_counter() - begun)
        cpu[name].append(time.process_time() + cpu_seconds_of_children(server) - used)

    for turn in range(turns):
        works = (("bare", _bare), ("ours", _ours)) if turn % 2 else (("ours", _ours), ("bare", _bare))
        for name, work in works:
            with serving.engine.begin() as connection:
                connection.execute(text("TRUNCATE prices, batches, daily_rates"))
                connection.execute(text("DELETE FROM writers"))
            if name == "ours":
                timed("read", partial(_read, folder, config))
            timed(name, partial(work, serving, folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**seconds, "cpu": cpu, "peak_mib": peak}))
    serving.close()


def _read(folder: Path, config: ReadingConfig) -> None:
    """What a reader process does: every row checked, and written to the data file that the load takes."""
    columns = read_csv(LandedFile.at(folder / "batch.csv"), config)
    rows = pa.table({**columns, "file_id": pa.repeat(_FILE_ID, len(columns["row"]))})
    pq.write_table(rows, folder / "data.parquet", compression="zstd", row_group_size=262_144)


def _ours(serving: Serving, folder: Path) -> None:
    paths = [str(folder / "data.parquet")]
    with serving.write("rates", 1) as connection:
        load = loading.PriceLoad(connection, 1e9)
        wrong = load.check(loading.rows_of_files(paths))
        load.commit_rows(loading.rows_of_files(paths), {_FILE_ID} - wrong.keys(), set(), "bench")
    if wrong:
        raise RuntimeError(f"generated rows are wrong: {wrong}")


def _bare(serving: Serving, folder: Path) -> None:
    with (
        serving.engine.begin() as connection,
        copy_cursor(connection) as cursor,
        cursor.copy("COPY prices FROM STDIN (FORMAT csv)") as copy,
        (folder / "bare.csv").open("rb") as file,
    ):
        while block := file.read(_BLOCK):
            copy.write(block)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
