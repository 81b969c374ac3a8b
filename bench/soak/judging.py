"""Whether a soak kept the promise, asked of files and tables and not of what the platform says of itself, and what grew."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import select

from bench.soak.deliveries import DUPLICATE, REFUSED, Sender
from bench.soak.watching import LASTING, PASSING, Sample
from pipeline_assets.source import FileSource
from resources.lake.sql import list_tables, run_query
from resources.ledger.arrivals import file_identity
from resources.ledger.tables import batches, files, leases
from resources.platform import Platform

MOST_MIB_A_1000_FILES = 20.0
"""Growth that the number of files explains: of what lists and enters them. Our own."""
MOST_MIB_AN_HOUR = 30.0
"""Growth of a process while nothing lands, which nothing explains. Our own."""
MOST_RATIO = 1.5
"""Of what a run, a file or a batch costs at the end, to what it cost in the middle. Our own."""
_LEAST_SAMPLES, _LEAST_SECONDS, _LEAST_SAMPLES_AFTER = 30, 600.0, 10


@dataclass(frozen=True)
class Finding:
    """One line of the table at the end. ok: None where there is nothing to judge."""

    what: str
    found: str
    bar: str
    ok: bool | None


def promise(platform: Platform, sources: Sequence[FileSource], sender: Sender, landing: Path) -> list[Finding]:
    """Listing against ledger, ledger against what was sent, rows against what is in the files, and nothing left over."""
    listed = {
        path.relative_to(landing).as_posix(): path
        for top, _, names in os.walk(landing)
        for path in (Path(top, name) for name in names)
        if not path.relative_to(landing).as_posix().startswith(".")
    }
    with platform.ledger.read() as connection:
        known = connection.execute(select(files).order_by(files.c.seq)).all()
        batch_states = Counter(connection.scalars(select(batches.c.state)))
        held = len(connection.execute(select(leases)).all())
    newest = {row.key: row for row in known}
    ids = {key: _identity(key, path.read_bytes()) for key, path in listed.items()}
    unlike = [key for key in ids.keys() | newest.keys() if key not in newest or ids.get(key) != newest[key].file_id]
    states = Counter(row.state for row in known)
    wrong_state = [
        one.key
        for one in sender.sent
        if one.expected in (REFUSED, DUPLICATE) and (one.key not in newest or newest[one.key].state != one.expected)
    ]
    findings = [
        Finding(
            "keys whose newest version in ledger and folder differ",
            f"{len(unlike)} of {len(listed):,}",
            "0",
            not unlike,
        ),
        Finding("bad and equal files that are not told as such", str(len(wrong_state)), "0", not wrong_state),
    ]
    lost = doubled = rows = 0
    for source in sources:
        shown = shown_values(platform, source)
        expected = sender.expected_rows(source.name)
        lost += sum(shown.get(one) != values for one, values in expected.items() if values)
        doubled += len(shown.keys() - expected.keys())
        rows += sum(map(len, shown.values()))
    findings += [
        Finding(
            "files with lost, doubled or wrong rows", f"{lost} of {len(sender.sent):,}; {rows:,} rows", "0", not lost
        ),
        Finding("files with rows that must have none", str(doubled), "0", not doubled),
    ]
    left = sum(states[state] for state in ("waiting", "pending", "running", "held"))
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    findings.append(Finding("files not settled at the end", f"{left} ({told})", "0", not left))
    open_batches = sum(count for state, count in batch_states.items() if state != "finished")
    findings.append(
        Finding(
            "batches not finished, leases held",
            f"{open_batches} of {sum(batch_states.values()):,}, {held}",
            "0, 0",
            not open_batches and not held,
        )
    )
    for source in sources:
        for aggregate in source.aggregates:
            agrees = aggregate_agrees(platform, source.name, aggregate.name)
            findings.append(
                Finding(
                    f"{source.name}.{aggregate.name} equals what SQL counts", "yes" if agrees else "no", "yes", agrees
                )
            )
    return findings


def shown_values(platform: Platform, source: FileSource) -> dict[tuple[str, int], list[float]]:
    """The values that SQL shows, by key and delivery, in the files' order."""
    query = f"SELECT source_key, delivery, value FROM {source.name}.readings ORDER BY source_key, delivery, n"
    shown: dict[tuple[str, int], list[float]] = {}
    if f"{source.name}.readings" in list_tables(platform.ledger):
        for row in run_query(platform.lake, platform.ledger, query).to_pylist():
            shown.setdefault((row["source_key"], row["delivery"]), []).append(row["value"])
    return shown


def _identity(key: str, content: bytes) -> str:
    return file_identity("folder", key, hashlib.sha256(content).hexdigest(), len(content), 0)


def aggregate_agrees(platform: Platform, source: str, name: str) -> bool:
    def ask(query: str) -> list[dict[str, float]]:
        return run_query(platform.lake, platform.ledger, query).to_pylist()

    if f"{source}.{name}" not in list_tables(platform.ledger):
        return False
    made = ask(f"SELECT value, readings FROM {source}.{name} ORDER BY value")
    return bool(made) and made == ask(
        f"SELECT value, count(*) AS readings FROM {source}.readings GROUP BY value ORDER BY value"
    )


def growth(samples: Sequence[Sample], warm_up_seconds: float) -> list[Finding]:
    """What grew after the warm-up: memory by the files that landed, and once none lands by time; storage by what it is spent on."""
    from scipy.stats import theilslopes

    ended = next((number for number, one in enumerate(samples) if one.landed == samples[-1].landed), 0)
    warm, after = [one for one in samples[:ended] if one.at >= warm_up_seconds], samples[ended:]
    judged = len(warm) >= _LEAST_SAMPLES and warm[-1].at - warm[0].at >= _LEAST_SECONDS
    judged_after = judged and len(after) >= _LEAST_SAMPLES_AFTER
    findings: list[Finding] = []
    for what, of in _SERIES:
        for samples_of, when, per, unit, bar, is_judged in (
            (
                warm,
                "while files land",
                lambda one: one.ledger_files / 1000,
                "1,000 files",
                MOST_MIB_A_1000_FILES,
                judged,
            ),
            (after, "afterwards", lambda one: one.at / 3600, "hour", MOST_MIB_AN_HOUR, judged_after),
        ):
            points = [(per(one), of(one)) for one in samples_of if of(one)]
            if len({at for at, _ in points}) < 2:
                continue
            slope, _, low, high = theilslopes([mib for _, mib in points], [at for at, _ in points])
            found = f"{points[0][1]:.0f} → {points[-1][1]:.0f} MiB, {slope:+.1f} a{_n(unit)} {unit} ({low:+.1f} to {high:+.1f})"
            ok = bool(low <= bar) if is_judged else None
            findings.append(Finding(f"memory of {what}, {when}", found, f"≤ {bar:.0f} MiB a{_n(unit)} {unit}", ok))
    warm = [one for one in samples if one.at >= warm_up_seconds]
    for what, cost, unit in _COSTS:
        # In halves of what was done, not of the time: under load little is done for long.
        middle = next((n for n, one in enumerate(warm) if unit(one) >= (unit(warm[0]) + unit(warm[-1])) / 2), 0)
        spent = _spent(warm[: middle + 1], cost, unit), _spent(warm[middle:], cost, unit)
        if None in spent or not spent[0]:
            continue
        ratio = spent[1] / spent[0]  # type: ignore[operator]
        findings.append(
            Finding(
                what,
                f"{spent[0]:,.1f}, at the end {spent[1]:,.1f}: {ratio:.2f} ×",
                f"≤ {MOST_RATIO} ×",
                ratio <= MOST_RATIO if judged else None,
            )
        )
    return findings


def _n(unit: str) -> str:
    return "n" if unit == "hour" else ""


_SERIES: tuple[tuple[str, Callable[[Sample], float]], ...] = (
    *((kind, partial(lambda kind, one: one.memory.get(kind, 0.0), kind)) for kind in LASTING),
    *((f"the largest of {kind}", partial(lambda kind, one: one.largest.get(kind, 0.0), kind)) for kind in PASSING),
)
_COSTS: tuple[tuple[str, Callable[[Sample], float], Callable[[Sample], float]], ...] = (
    ("Dagster's storage, kB a run", lambda one: one.dagster_bytes / 1e3, lambda one: one.ended),
    ("Dagster's events a run", lambda one: one.events, lambda one: one.ended),
    ("ledger, kB a settled file", lambda one: one.ledger_bytes / 1e3, lambda one: one.ledger_files - one.outstanding),
    ("files of the lake a run", lambda one: one.lake_files, lambda one: one.ended),
)
"""What is counted, and by what: runs that ended and files that are settled, for what waits costs little yet."""


def _spent(samples: Sequence[Sample], cost: Callable[[Sample], float], unit: Callable[[Sample], float]) -> float | None:
    """What one unit cost between the first and the last of these samples."""
    units = unit(samples[-1]) - unit(samples[0])
    return (cost(samples[-1]) - cost(samples[0])) / units if units else None


def table(findings: Sequence[Finding]) -> str:
    told = {True: "yes", False: "NO", None: "not judged"}
    lines = ["| what | found | bar | met |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {one.what} | {one.found} | {one.bar} | {told[one.ok]} |" for one in findings])
