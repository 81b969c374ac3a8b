"""Generated files whose tables are known beforehand: the known answers come from the generator, and from a plain reading
of the files that shares nothing with the platform's readers.

Signals are the same at each run (what the beat detector makes of them is known, too), under other keys. Prices are others
at each run, because equal ones would be taken for duplicates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_assets.ecg import examples as ecg
from pipeline_assets.example_places import ports
from pipeline_assets.places import examples as places
from pipeline_assets.rates import examples as rates

_PRICES = 400
_LANES = 60
_BEFORE_READING = {"not_a_mat_file": "unknown_type", "zero_bytes": "empty_file"}
"""Examples that no reader takes, so that the platform refuses them by itself."""


@dataclass(frozen=True)
class Answer:
    """What a query is to give, row by row; floats within a part in a million."""

    name: str
    query: str
    rows: tuple[Mapping[str, Any], ...]


@dataclass
class Golden:
    """Files of one source below a folder, and what is to become of them. Keys are below the source's folder."""

    source: str
    folder: Path
    keys: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """by key, the error class"""
    answers: list[Answer] = field(default_factory=list)


def write_golden(folder: Path, run: str) -> Iterator[Golden]:
    """Write the files of one run, a source after the other, in the order in which they are to land.

    run: a name that no run before had; it stands in the keys.
    """
    yield _places(folder / "places")
    yield _signals(folder / "ecg", run)
    yield _prices(folder / "rates", run)


def _places(folder: Path) -> Golden:
    """Prices are between known ports. Landed again, the same bytes change nothing."""
    places.write_examples(folder)
    made = Golden("places", folder, ["ports.csv", "regions.csv"])
    made.answers.append(
        Answer(
            "ports",
            "SELECT count(*) AS n, count(DISTINCT code) AS codes FROM places.ports",
            ({"n": 143, "codes": 143},),
        )
    )
    return made


def _signals(folder: Path, run: str) -> Golden:
    made = Golden("ecg", folder)
    below = f"golden-{run}"
    recordings = []
    for example in ecg.write_examples(folder / below, seed=0):
        key = f"{below}/{example.key}"
        made.keys += [key, *(f"{below}/{path.relative_to(folder / below).as_posix()}" for path in example.companions)]
        if example.error_class is not None:
            made.refused[key] = _BEFORE_READING.get(example.path.stem, example.error_class)
            continue
        recordings.append({"key": f"ecg/{key}", "beats": len(example.r_peaks or ()), "mean_mv": _mean_mv(example.path)})
    known = [one for one in recordings if one["mean_mv"] is not None]
    among = ", ".join(f"'{one['key']}'" for one in known)
    made.answers += [
        Answer(
            "recordings: beats and mean voltage of each",
            f"SELECT source_key AS key, beats, mean_mv FROM ecg.recordings WHERE source_key IN ({among}) ORDER BY ALL",
            tuple(sorted(known, key=lambda one: str(one["key"]))),
        ),
        Answer(
            "beats: as many rows as R peaks",
            "SELECT count(*) AS beats FROM ecg.beats AS b JOIN ecg.recordings AS r ON b.file_id = r.file_id AND b.lead = r.lead "
            f"WHERE r.source_key IN ({among})",
            ({"beats": sum(int(str(one["beats"])) for one in known)},),
        ),
        Answer(
            "samples: none lost, none doubled",
            "SELECT count(*) AS samples, count(DISTINCT sample) AS numbers FROM ecg.samples AS s JOIN ecg.recordings AS r "
            f"ON s.file_id = r.file_id AND s.lead = r.lead WHERE r.source_key IN ({among})",
            ({"samples": ecg.SAMPLES * len(known), "numbers": ecg.SAMPLES},),
        ),
    ]
    return made


def _mean_mv(path: Path) -> float | None:
    """Of a MATLAB 5 file with one lead, read by scipy alone; None for another kind."""
    if not path.read_bytes().startswith(b"MATLAB 5.0"):
        return None
    import scipy.io

    counts = scipy.io.loadmat(path)["val"].astype(np.float64)
    return float(((counts - ecg.BASELINE_ADU) / ecg.GAIN_ADU_PER_MV).mean())


def _prices(folder: Path, run: str) -> Golden:
    made = Golden("rates", folder)
    below = folder / f"golden-{run}"
    below.mkdir(parents=True)
    seed = int.from_bytes(hashlib.sha256(run.encode()).digest()[:4])
    rows = rates.generate([code for code, _, _ in ports()], seed=seed, prices=3 * _PRICES, lanes=_LANES)
    writers = {
        "batch.csv": rates.write_csv,
        "batch.jsonl": rates.write_json_lines,
        "batch.parquet": rates.write_parquet,
    }
    batches = []
    for number, (name, write) in enumerate(writers.items()):
        part = rows[number::3]
        write(below / name, part)
        made.keys.append(f"{below.name}/{name}")
        batches.append(_batch(f"rates/{below.name}/{name}", part))
    short = below / "cut_short.csv"
    short.write_text("orig_code,dest_code,day\nCNSGH,NLRTM,2016-01-01\n", encoding="utf-8")
    made.keys.append(f"{below.name}/{short.name}")
    made.refused[f"{below.name}/{short.name}"] = "missing_columns"
    made.answers.append(
        Answer(
            "prices of each batch",
            "SELECT b.source_key AS key, count(*) AS prices, sum(p.price) AS total, min(p.day)::VARCHAR AS first_day, "
            "max(p.day)::VARCHAR AS last_day FROM rates.prices AS p JOIN rates.batches AS b ON p.file_id = b.file_id "
            f"WHERE b.source_key LIKE 'rates/{below.name}/%' GROUP BY 1 ORDER BY 1",
            tuple(sorted(batches, key=lambda one: str(one["key"]))),
        )
    )
    return made


def _batch(key: str, rows: Sequence[rates.Row]) -> dict[str, Any]:
    days = sorted(day for _, _, day, _ in rows)
    total = float(sum(price for *_, price in rows))
    return {"key": key, "prices": len(rows), "total": total, "first_day": str(days[0]), "last_day": str(days[-1])}
