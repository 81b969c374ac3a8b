"""A soak's samples as one picture."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from bench.soak.deliveries import Delivery
from bench.soak.watching import KINDS, Sample


def latency_by_minute(sent: Sequence[Delivery], begun: float) -> list[tuple[int, int, float, float]]:
    """Minute of landing, how many became visible, and their median and 95th percentile of seconds from landing to SQL."""
    by_minute: dict[int, list[float]] = {}
    for one in sent:
        if one.visible is not None:
            by_minute.setdefault(int((one.landed - begun) // 60), []).append(one.visible - one.landed)
    return [
        (minute, len(took), statistics.median(took), percentile(took, 95)) for minute, took in sorted(by_minute.items())
    ]


def percentile(values: Sequence[float], p: float) -> float:
    """By nearest rank: one that occurred."""
    return sorted(values)[max(0, math.ceil(p / 100 * len(values)) - 1)]


def draw(samples: Sequence[Sample], latency: Sequence[tuple[int, int, float, float]], path: Path) -> None:
    from matplotlib.figure import Figure

    minutes = [one.at / 60 for one in samples]
    figure = Figure(figsize=(13, 7), dpi=75, layout="constrained")
    axes = figure.subplots(2, 3).flat
    panels: list[tuple[str, list[tuple[str, list[float]]]]] = [
        ("files landed, visible", [
            ("landed", [one.landed for one in samples]), ("visible in SQL", [one.visible for one in samples]),
        ]),
        ("memory, MiB (PSS)", [(kind, [one.memory.get(kind, 0.0) for one in samples]) for kind in KINDS]),
        ("outstanding files, Dagster's queue", [
            ("files outstanding", [one.outstanding for one in samples]), ("runs queued", [one.queued for one in samples]),
            ("runs under way", [one.under_way for one in samples]),
        ]),
        ("storage, MB", [
            ("Dagster", [one.dagster_bytes / 1e6 for one in samples]), ("ledger", [one.ledger_bytes / 1e6 for one in samples]),
            ("lake", [one.lake_bytes / 1e6 for one in samples]),
        ]),
        ("rows and files", [
            ("Dagster's events", [one.events for one in samples]), ("its ticks", [one.ticks for one in samples]),
            ("files of the lake", [one.lake_files for one in samples]), ("snapshots", [one.snapshots for one in samples]),
        ]),
    ]  # fmt: skip
    at = next(axes)
    at.set_title("landed → visible in SQL, s", fontsize=9, loc="left")
    at.plot([one[0] for one in latency], [one[2] for one in latency], label="p50, by minute of landing", linewidth=1)
    at.plot([one[0] for one in latency], [one[3] for one in latency], label="p95", linewidth=1)
    at.set_ylim(bottom=0)
    at.legend(fontsize=7)
    for (title, lines), at in zip(panels, axes, strict=True):
        at.set_title(title, fontsize=9, loc="left")
        for label, values in lines:
            at.plot(minutes, values, label=label, linewidth=1)
        at.set_ylim(bottom=0)
        at.set_xlabel("minutes", fontsize=7)
        at.legend(fontsize=7)
    figure.savefig(path)
