"""Small files of a trivial kind: the platform against one Dagster run a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bench.measure import Row, Server, run, say
from bench.naive import LANDING, OUTPUT
from bench.readings import READINGS, write_files

_LEAST_FASTER = 200.0
_LONGEST_SECONDS = 600.0


def compare(folder: Path, files: int, naive_files: int) -> Row:
    """files: of the platform's drain. naive_files: as many runs of the naive design, from which `files` are extrapolated."""
    naive = _naive(folder / "naive", naive_files)
    each = naive / naive_files
    say(f"  naive: {naive_files} runs in {naive:.1f} s, {each:.2f} s a file")
    landing = folder / "landing"
    write_files(landing / READINGS.name, files)
    ours = run(
        ["-m", "bench.readings"], {"STRANDLINE_HOME": str(folder / "home"), "STRANDLINE_LANDING": str(landing)}
    ).wall
    ratio = each * files / ours
    say(f"  platform: {files:,} files in {ours:.1f} s")
    return Row(
        f"{files:,} files of five lines of CSV, landed → committed (`strandline drain`, its start included)",
        f"{ours:.1f} s",
        f"one Dagster run a file: {each:.2f} s a file over {naive_files} files, so {each * files:,.0f} s by extrapolation",
        f"{ratio:,.0f} × faster",
        f"≥ {_LEAST_FASTER:.0f} ×",
        ratio >= _LEAST_FASTER,
    )


def _naive(folder: Path, files: int) -> float:
    """Seconds from the first run's request to the last run's end; neither Dagster's start nor the first look count."""
    import dagster as dg

    home, landing, output = folder / "dagster", folder / "landing", folder / "output"
    write_files(landing, files)
    for path in (home, output):
        path.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    environment = {"DAGSTER_HOME": str(home), LANDING: str(landing), OUTPUT: str(output)}
    command = ["-m", "dagster._daemon", "run", "-m", "bench.naive"]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        # Made here first: two processes that make Dagster's databases at once break them.
        instance.get_runs_count()
        instance.all_asset_keys()
        instance.all_instigator_state()
        with Server(command, environment, folder / "daemon.log") as daemon:
            ended = _wait_for_runs(instance, daemon, files)
    written = len(list(output.iterdir()))
    if written != files:
        raise RuntimeError(f"{written} of {files} files were written; see {folder / 'daemon.log'}")
    begun = min(record.create_timestamp.timestamp() for record in ended)
    return max(record.end_time or 0.0 for record in ended) - begun


def _wait_for_runs(instance: Any, daemon: Server, runs: int) -> list[Any]:
    deadline = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < deadline:
        daemon.check_alive()
        ended = [record for record in instance.get_run_records() if record.dagster_run.is_finished]
        if len(ended) == runs:
            return ended
        time.sleep(0.5)
    last = daemon.log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{len(ended)} of {runs} runs after {_LONGEST_SECONDS:.0f} s. The daemon's last words:\n{last}")
