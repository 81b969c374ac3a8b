"""A soak: `strandline dev` with five toy sources, and files that land at a steady rate with bursts, for so many minutes.

Samples memory, sizes and queues, and the time from landing to SQL; writes them as CSV and PNG. At the end it compares
what was sent with what is there, and prints a table. Exit code 1 when something was lost or doubled, or grew for no reason.
"""

from __future__ import annotations

import argparse
import csv
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench.latency import free_port, wait_for_answer
from bench.measure import Server, say
from bench.soak.deliveries import Sender
from bench.soak.judging import Finding, aggregate_agrees, growth, promise, table
from bench.soak.plots import draw, latency_by_minute, percentile
from bench.soak.sources import SOAKED
from bench.soak.watching import Sample, Watcher
from pipeline_assets.source import FileSource
from resources.platform import Platform
from resources.settings import Settings

_LOCALHOST = "127.0.0.1"
_LOOK_SECONDS = 0.5
_LONGEST_END_SECONDS = 1200.0
_WARM_UP_SHARE, _LONGEST_WARM_UP = 1 / 3, 600.0


def main() -> int:
    options = _options()
    if sys.platform != "linux":
        sys.exit("a soak finds the deployment's processes in /proc, which only Linux has")
    # Ended from outside, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="strandline-soak-") as folder:
        findings = soak(Path(folder), SOAKED[: options.sources], options, output)
    print(table(findings))
    return int(any(one.ok is False for one in findings))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long files land")
    parser.add_argument("--sources", type=int, default=5, choices=range(1, 6), help="how many of the five")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two deliveries of a source")
    parser.add_argument("--files", type=int, default=5, help="files of a delivery")
    parser.add_argument("--burst-every", type=float, default=300.0, help="seconds between two bursts")
    parser.add_argument("--burst", type=int, default=200, help="files of each source in a burst")
    parser.add_argument("--sample", type=float, default=10.0, help="seconds between two samples")
    parser.add_argument("--rest", type=float, default=180.0, help="seconds to go on once all is done, nothing landing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("soak"), help="folder for soak.csv and soak.png")
    return parser.parse_args()


def soak(folder: Path, sources: tuple[FileSource, ...], options: argparse.Namespace, output: Path) -> list[Finding]:
    """Run one, in a folder for its home and files; what it found."""
    platform = Platform(Settings(home=folder / "home"))
    landing = platform.settings.home / "landing"
    port = free_port()
    command = ["-m", "bench.soak.dev", "-h", _LOCALHOST, "-p", str(port)]
    environment = {
        "STRANDLINE_HOME": str(platform.settings.home),
        "SOAK_SOURCES": " ".join(one.name for one in sources),
    }
    sender = Sender(landing, folder / "aside", options.seed)
    with Server(command, environment, folder / "dev.log") as server:
        wait_for_answer(server, f"http://{_LOCALHOST}:{port}/server_info")
        watcher = Watcher(platform, sources, sender, server.session)
        begun = time.monotonic()
        try:
            samples = _land_and_watch(sources, options, sender, watcher, server)
        finally:
            (output / "dev.log").write_bytes((folder / "dev.log").read_bytes())
    latency = latency_by_minute(sender.sent, begun)
    _write(output, samples, latency)
    findings = promise(platform, sources, sender, landing)
    platform.close()
    took = [one.visible - one.landed for one in sender.sent if one.visible is not None]
    told = f"p50 {percentile(took, 50):.1f} s, p95 {percentile(took, 95):.1f} s of {len(took):,}" if took else "none"
    last = samples[-1]
    return [
        Finding("landed", f"{len(sender.sent):,} deliveries, {last.runs:,} runs, {last.at / 60:.1f} minutes", "", None),
        Finding("landed → visible in SQL", told, "", None),
        *findings,
        *growth(samples, min(_LONGEST_WARM_UP, _WARM_UP_SHARE * 60 * options.minutes)),
    ]


def _land_and_watch(
    sources: tuple[FileSource, ...], options: argparse.Namespace, sender: Sender, watcher: Watcher, server: Server
) -> list[Sample]:
    """Land files for the time asked for, then wait until nothing is outstanding; the samples."""
    begun = time.monotonic()
    # Sources by turns, not all at one moment.
    due = {one.name: begun + number * options.every / len(sources) for number, one in enumerate(sources)}
    burst, next_sample, done = begun + options.burst_every, begun, 0.0
    samples: list[Sample] = []
    while True:
        now = time.monotonic()
        server.check_alive()
        lands = now < begun + 60 * options.minutes
        for source, at in due.items():
            if lands and now >= at:
                sender.send(source, options.files)
                due[source] = at + options.every
        if lands and now >= burst:
            for one in sources:
                sender.send(one.name, options.burst)
            burst += options.burst_every
        watcher.look()
        if now >= next_sample:
            samples.append(watcher.sample())
            next_sample += options.sample
            _tell(samples[-1], options.minutes)
            is_quiet = not samples[-1].outstanding and not samples[-1].queued and not samples[-1].under_way
            if (
                not lands
                and is_quiet
                and not any(sender.waiting())
                and all(
                    aggregate_agrees(watcher.platform, one.name, made.name)
                    for one in sources
                    for made in one.aggregates
                )
            ):
                done = done or now
            if done and now > done + options.rest:
                return samples
            if now > begun + 60 * options.minutes + _LONGEST_END_SECONDS:
                say(f"not all was done {_LONGEST_END_SECONDS:.0f} s after the last file landed")
                return samples
        time.sleep(_LOOK_SECONDS)


def _tell(sample: Sample, minutes: float) -> None:
    memory = ", ".join(f"{kind} {mib:.0f}" for kind, mib in sorted(sample.memory.items()))
    say(
        f"  {sample.at / 60:.1f} of {minutes:g} minutes: {sample.landed:,} landed, {sample.visible:,} visible, "
        f"{sample.outstanding} outstanding, {sample.runs} runs; MiB: {memory}"
    )


def _write(output: Path, samples: list[Sample], latency: list[tuple[int, int, float, float]]) -> None:
    rows = [one.flat() for one in samples]
    by_minute = {minute: (count, p50, p95) for minute, count, p50, p95 in latency}
    for sample, row in zip(samples, rows, strict=True):
        count, p50, p95 = by_minute.get(int(sample.at // 60), (0, 0.0, 0.0))
        row |= {"minute visible": count, "minute p50 s": round(p50, 2), "minute p95 s": round(p95, 2)}
    with (output / "soak.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    draw(samples, latency, output / "soak.png")


if __name__ == "__main__":
    sys.exit(main())
