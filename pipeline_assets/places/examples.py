"""Generated ports and regions, and a file under a name that nobody looks for."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pipeline_assets.example_places import ports, regions


def write_examples(folder: Path) -> list[Path]:
    """Write `ports.csv` and `regions.csv`, and a file under a name that nobody looks for."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_csv(folder / "ports.csv", ("code", "name", "parent_slug"), ports()),
        write_csv(folder / "regions.csv", ("slug", "name", "parent_slug"), regions()),
        write_csv(folder / "harbours.csv", ("code", "name", "parent_slug"), ports()[:3]),
    ]


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path
