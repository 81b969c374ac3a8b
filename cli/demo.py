"""`strandline demo`: the whole path of a file on generated files, in the foreground."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import click

from cli.demo_api import show_api
from cli.land import land_files
from cli.query import as_text_table
from cli.signals import terminate_as_interrupt
from pipeline_assets.aggregate_run import is_behind
from pipeline_assets.registry import SOURCES
from pipeline_assets.source import FileSource
from resources.lake.sql import run_query
from resources.ledger.queries import count_by_state, list_files
from resources.ledger.states import SETTLED, FileState
from resources.platform import Platform
from resources.settings import PREFIX, load_source_config

_START_SECONDS = 120.0
_ROWS_SECONDS = 180.0
"""Without any news; a slow machine may take longer in all."""
_STOP_SECONDS = 20.0
_LOCALHOST = "127.0.0.1"


class DemoError(RuntimeError):
    """The demo cannot go on. The message says why and where to look."""


def run_demo(platform: Platform, port: int, *, once: bool) -> int:
    """Start, land, wait, show, stop. Returns the exit code."""
    port = free_port(port)
    address = f"http://{_LOCALHOST}:{port}"
    api_port = free_port(platform.settings.api_port)
    log = platform.settings.home / "dagster-dev.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    click.echo(f"Starting Dagster with the sensors on (log: {log}) ...")
    process = _start(port, api_port, log)
    try:
        with terminate_as_interrupt():
            return _run(platform, process, address, f"http://{_LOCALHOST}:{api_port}", log, once)
    except DemoError as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        click.echo("Stopping ...")
        stop(process)


def _run(platform: Platform, process: subprocess.Popen[bytes], address: str, api: str, log: Path, once: bool) -> int:
    _wait_for_answer(process, f"{address}/server_info", log)
    keys = [key for source in SOURCES for key in _land_examples(platform, source)]
    _wait_for_rows(platform, process, keys, log)
    _wait_for_aggregates(platform, process, log)
    _show(platform, address)
    _wait_for_answer(process, f"{api}/readyz", log)
    show_api(api)
    if not once:
        click.echo("Press Ctrl-C to stop everything.")
        process.wait()
        _check_alive(process, log)
    return 0


def free_port(port: int) -> int:
    """The port, or the first free one after it."""
    for candidate in range(port, port + 100):
        with socket.socket() as probe:
            if probe.connect_ex((_LOCALHOST, candidate)) != 0:
                return candidate
    raise DemoError(f"no free port from {port} to {port + 99}; choose another with --port")


def _start(port: int, api_port: int, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cli.main", "dev", "-h", _LOCALHOST, "-p", str(port)]
    root = Path(__file__).parent.parent
    with log.open("wb") as output:
        # A group of its own: Ctrl-C reaches this process alone, which then stops the others in order.
        # A person reads this log, if anybody does.
        environment = {
            f"{PREFIX}LOG_FORMAT": "text", **os.environ, f"{PREFIX}API_HOST": _LOCALHOST, f"{PREFIX}API_PORT": str(api_port),
        }  # fmt: skip
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=root, start_new_session=True, env=environment
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the UI, the daemon, the code server and their runs; none is left when this returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        if _group_is_gone(process, 0.0):
            break
        try:
            os.killpg(process.pid, number) if number != signal.SIGINT else process.send_signal(number)
        except ProcessLookupError:
            break
        if _group_is_gone(process, seconds):
            break
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _group_is_gone(process: subprocess.Popen[bytes], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        process.poll()
        try:
            os.killpg(process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)


def _check_alive(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise DemoError(f"Dagster ended by itself (exit code {process.returncode}). The end of {log}:\n{last}")


def _wait_for_answer(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        _check_alive(process, log)
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise DemoError(f"nothing answered at {address} within {_START_SECONDS:.0f} s; see {log}")


def _land_examples(platform: Platform, source: FileSource) -> list[str]:
    if source.examples is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        source.examples(Path(folder))
        below = [path for path in sorted(Path(folder).iterdir()) if not path.name.startswith(".")]
        prefix = platform.settings.prefix_of(source.name)
        landed = land_files(platform.landing, source, below, None, prefix=prefix)
    changed = sum(item.changed for item in landed)
    click.echo(
        f"Landed {len(landed)} {source.name} files in {platform.landing.uri(prefix.rstrip('/'))}"
        + ("" if changed else " (the same bytes as before, so nothing changes)")
    )
    return [item.key for item in landed]


def _wait_for_rows(platform: Platform, process: subprocess.Popen[bytes], keys: list[str], log: Path) -> None:
    started = news = time.monotonic()
    said = ""
    while time.monotonic() - news < _ROWS_SECONDS:
        _check_alive(process, log)
        states = {row.key: row.state for row in list_files(platform.ledger)}
        counts = Counter(states.get(key, "not seen yet") for key in keys)
        line = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        if line != said:
            said, news = line, time.monotonic()
            click.echo(f"  {time.monotonic() - started:5.1f} s  {line}")
        if set(counts) <= {str(state) for state in SETTLED}:
            return
        time.sleep(0.3)
    raise DemoError(
        f"nothing happened for {_ROWS_SECONDS:.0f} s and not all files are settled ({said}); see {log}, or `strandline files`"
    )


def _wait_for_aggregates(platform: Platform, process: subprocess.Popen[bytes], log: Path) -> None:
    """Their sensor lets a source come to rest before it asks for a run."""
    waiting = [
        (source, aggregate, load_source_config(source.config, source.name))
        for source in SOURCES
        for aggregate in source.aggregates
    ]
    if waiting:
        click.echo("Waiting for the tables over all batches ...")
    deadline = time.monotonic() + platform.settings.aggregate_delay_seconds + _ROWS_SECONDS
    while any(is_behind(platform, *one) for one in waiting):
        _check_alive(process, log)
        if time.monotonic() > deadline:
            raise DemoError(f"the tables over all batches are not up to date; see {log} and the sensor `aggregates`")
        time.sleep(0.5)


def _show(platform: Platform, address: str) -> None:
    for source in SOURCES:
        for query in (source.example_query, *(one.question for one in source.aggregates if one.question)):
            click.echo(f'\n$ strandline sql "{query}"')
            click.echo(as_text_table(run_query(platform.lake, platform.ledger, query, platform.product_rows)))
    query = "SELECT key, error_class, error FROM operations.quarantine ORDER BY quarantined_at LIMIT 20"
    refused = count_by_state(platform.ledger).get(FileState.QUARANTINED, 0)
    click.echo(f'{refused} files were refused, each with its reason:\n$ strandline sql "{query}"')
    click.echo(as_text_table(run_query(platform.lake, platform.ledger, query, platform.product_rows)))
    first = SOURCES[0]
    table = f"{address}/assets/{first.name}/{first.tables[0].name}"
    click.echo(f"The UI: {address}")
    click.echo(f"  {address}/asset-groups    the lineage, from raw files to tables")
    click.echo(f"  {table}    counts, columns, refused files; click [Show Markdown] beside `picture`")
    click.echo(f"  {table}?view=checks    the checks, batch by batch")
    click.echo(f"  {address}/runs    the runs that the sensor started")
    click.echo("In another terminal (strandline is .venv/bin/strandline):")
    click.echo(f"  strandline land {first.name} FILE...    more files; seconds later they are rows")
    click.echo("  strandline files    every file and what became of it; strandline explain KEY tells one's story")
