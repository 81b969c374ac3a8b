"""The peer of the ECG benchmark: a bare script with the same reading, checks, derivation, Parquet files and workers as
the platform, and nothing else: no ledger, no quarantine, no Iceberg, no Dagster. ``bare_ecg.py FOLDER OUTPUT WORKERS``"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_assets.columns import to_table
from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.source import ECG
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.reading_units import derive, parse

SLICE = 64


def work(number: int, folder: Path, keys: Sequence[str], output: Path) -> int:
    config = EcgConfig()
    tables: dict[str, list[pa.Table]] = {table.name: [] for table in ECG.tables}
    for key in keys:
        file = LandedFile(key, data=(folder / key).read_bytes())
        try:
            rows = derive(ECG, config, parse(ECG, config, file))
        except Refused:
            continue
        fill = {"file_id": key, "batch_id": "bare", "source_key": key}
        for table in ECG.tables:
            made = to_table(table.schema, rows[table.name], fill)
            tables[table.name].append(made)
    for table in ECG.tables:
        data = pa.concat_tables(tables[table.name])
        table.schema.validate(data.drop_columns(["file_id", "batch_id"]).to_pandas(), lazy=True)
        pq.write_table(data, output / f"{table.name}-{number}.parquet", compression="zstd")
    return len(keys)


def main(folder: Path, output: Path, workers: int) -> None:
    output.mkdir(parents=True)
    keys = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mat"))
    slices = [keys[at : at + SLICE] for at in range(0, len(keys), SLICE)]
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        done = pool.map(work, range(len(slices)), [folder] * len(slices), slices, [output] * len(slices))
        print(sum(done))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
