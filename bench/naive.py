"""The peer of the small-files benchmark: the design that one writes first. A sensor lists the landing folder as it
would a bucket and asks for one run a file; the run reads, checks and writes that file.

Kept as quick as it can honestly be: no web server, the sensor looks every second, one step a run in the run's own process.
"""

# No postponed annotations here: Dagster reads those of the functions below.

import os
from pathlib import Path

import dagster as dg

from bench.readings import Readings, rows_of

LANDING = "NAIVE_LANDING"
OUTPUT = "NAIVE_OUTPUT"


class FileConfig(dg.Config):
    key: str


@dg.asset
def readings(config: FileConfig) -> dg.MaterializeResult:
    rows = rows_of((Path(os.environ[LANDING]) / config.key).read_bytes()).assign(source_key=config.key)
    Readings.validate(rows, lazy=True)
    rows.to_parquet(Path(os.environ[OUTPUT]) / f"{config.key}.parquet", compression="zstd")
    return dg.MaterializeResult(metadata={"rows": len(rows)})


ingest = dg.define_asset_job("ingest", selection=[readings], executor_def=dg.in_process_executor)


@dg.sensor(job=ingest, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    keys = sorted(os.listdir(os.environ[LANDING]))
    new = [key for key in keys if key > (context.cursor or "")]
    config = {key: dg.RunConfig(ops={"readings": FileConfig(key=key)}) for key in new}
    requests = [dg.RunRequest(run_key=key, run_config=config[key]) for key in new]
    return dg.SensorResult(run_requests=requests, cursor=new[-1] if new else context.cursor)


defs = dg.Definitions(assets=[readings], jobs=[ingest], sensors=[new_files])
