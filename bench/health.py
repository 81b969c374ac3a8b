"""Mobile-health documents, flattened, typed and written, against dlt's normaliser; rows of sensors, checked, against jsonschema.

Everything happens in one process on one core, so the figures are per core.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq

from bench.measure import Row, run, say
from pipeline_assets.health.flatten import Document, rows_of
from pipeline_assets.health.mapping import Mapping
from pipeline_assets.health.tables import dataset_plan
from pipeline_assets.health.validate import Context, Validator, Verdict

_DOCUMENTS_BAR = 6.0
_ROWS_BAR, _JSONSCHEMA_BAR = 100_000, 15.0
_DATASET = "sharedSchema_v1"
_MOTION = "https://sage-bionetworks.github.io/mobile-client-json/schemas/v2/MotionRecord.json"
_START = datetime(2024, 1, 1, 12, tzinfo=UTC)


def compare(folder: Path, documents: int, peers: int, repeats: int) -> list[Row]:
    """documents, peers: how many documents we and dlt get a run. The runs are by turns; the pair of the median ratio counts."""
    pairs = []
    for number in range(repeats):
        ours = _of(folder / f"ours{number}", documents, "flatten")
        peer = _of(folder / f"dlt{number}", peers, "dlt")
        step = peers / float((folder / f"dlt{number}/normalizing").read_text())
        say(f"  {number + 1}/{repeats}: {ours:,.0f} documents/s, dlt {peer:,.0f} (its normalizing step alone {step:,.0f}), "
            f"ratio {ours / peer:.1f} ({ours / step:.1f})")  # fmt: skip
        pairs.append((ours / peer, ours, peer, step))
    ratio, ours, peer, step = sorted(pairs)[len(pairs) // 2]
    return [
        Row(
            f"{documents:,} task data of a cognitive test (6 kB of JSON, 52 rows in 7 tables each) flattened, typed, written as Parquet; one core",
            f"{ours:,.0f} documents/s",
            f"dlt, the same documents from text to Parquet: {peer:,.0f}/s; its normalizing step, which is given them read: {step:,.0f}/s",
            f"{ratio:.1f} × faster; than that step alone {ours / step:.1f} ×",
            f"≥ {_DOCUMENTS_BAR:g} ×",
            ratio >= _DOCUMENTS_BAR,
        ),
        sensor_rows(documents * 25, repeats),
    ]


def sensor_rows(rows: int, repeats: int) -> Row:
    """Rows of motion, parsed already, checked against their schema; a tenth of them by jsonschema, which is slow."""
    import jsonschema

    schemas = Mapping.load().schemas
    validator = Validator(schemas, _MOTION)
    full = jsonschema.Draft7Validator(schemas.by_id[_MOTION], registry=schemas.registry)
    motion = orjson.loads(orjson.dumps(_motion(rows)))
    few = motion[: max(1, rows // 10)]

    def ours() -> None:
        verdict = Verdict()
        validator.check(motion, verdict, Context())
        assert not verdict.errors

    def theirs() -> None:
        assert full.is_valid(few)

    quick = median(rows / _seconds(ours) for _ in range(repeats))
    slow = median(len(few) / _seconds(theirs) for _ in range(repeats))
    say(f"  {quick:,.0f} rows/s checked, jsonschema {slow:,.0f}")
    return Row(
        f"{rows:,} rows of motion checked against MotionRecord; one core",
        f"{quick:,.0f} rows/s",
        f"jsonschema: {slow:,.0f} rows/s",
        f"{quick / slow:.1f} × faster",
        f"≥ {_ROWS_BAR:,} rows/s or ≥ {_JSONSCHEMA_BAR:g} ×",
        quick >= _ROWS_BAR or quick >= _JSONSCHEMA_BAR * slow,
    )


def _of(folder: Path, documents: int, who: str) -> float:
    """Documents a second of processor time, in a process of its own: the best of three times, for either."""
    folder.mkdir(parents=True)
    # dlt keeps files in the home folder, and would tell its makers of each run.
    run(
        ["-m", "bench.health", who, str(documents), str(folder)],
        {"RUNTIME__DLTHUB_TELEMETRY": "false", "HOME": str(folder)},
    )
    return documents / float((folder / "seconds").read_text())


def _seconds(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _texts(count: int) -> list[bytes]:
    """Task data as the apps write it: the shape of a spelling test's, with values of its own."""
    rng = np.random.default_rng(1)
    return [orjson.dumps(_task_data(number, rng)) for number in range(count)]


def _task_data(number: int, rng: np.random.Generator) -> dict[str, Any]:
    def at(seconds: float) -> str:
        return (_START + timedelta(days=number, seconds=seconds)).isoformat(timespec="milliseconds")

    def step(place: int) -> dict[str, Any]:
        return {
            "identifier": f"item_{place}", "type": "spellingStepResult", "startDate": at(place * 20), "endDate": at(place * 20 + 12.5),
            "se": float(rng.random()), "theta": float(rng.random()), "score": int(rng.integers(2)), "response": "suppenoa",
            "practice": place < 2, "wasInterrupted": False,
        }  # fmt: skip

    return {
        "taskRunUUID": f"{number:032x}", "schemaIdentifier": "mtbSpelling", "testVersion": "1.3.0", "locale": "en_US",
        "taskName": "Spelling Form 1", "taskStatus": ["completed"], "startDate": at(0), "endDate": at(200),
        "scores": {"finalTheta": float(rng.random()), "finalSE": float(rng.random()), "startTheta": 0, "startSE": 99, "itemCount": 10},
        "consideredSteps": [
            {"identifier": f"item_{place}", "exposure": 0.6, "administered": place % 2 == 0, "randomNumber": float(rng.random())}
            for place in range(5)
        ],
        "stepHistory": [step(place) for place in range(4)],
        "steps": [{**step(place), "position": place + 1} for place in range(5)],
        "userInteractions": [
            {"controlEvent": ["touchUpInside"], "stepIdentifier": f"item_{place // 4}", "timestamp": at(place * 1.7),
             "userInteractionIdentifier": "View instructions", **({"value": "b"} if place % 3 else {})}
            for place in range(18)
        ],
    }  # fmt: skip


def _motion(rows: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(2)
    sensors = ("accelerometer", "gyro", "gravity")
    values = rng.normal(size=(rows, 3)).tolist()
    return [
        {"uptime": 557787.2 + place * 0.01, "timestamp": place * 0.01, "stepPath": "Spelling/step", "sensorType": sensors[place % 3],
         "x": x, "y": y, "z": z}
        for place, (x, y, z) in enumerate(values)
    ]  # fmt: skip


def _flatten(texts: list[bytes], folder: Path) -> float:
    """Seconds from the text of the documents to written Parquet."""
    plans = {_DATASET: dataset_plan(Mapping.load(), _DATASET)}

    def documents() -> Iterator[Document]:
        for number, text in enumerate(texts):
            yield Document(
                _DATASET, "taskData.json", f"record-{number}", "spelling", date(2024, 1, 1), orjson.loads(text)
            )

    def work() -> None:
        tables = rows_of(plans, documents())
        assert tables["dataset_sharedschema_v1_userInteractions"].num_rows == 18 * len(texts)
        for name, table in tables.items():
            pq.write_table(table, folder / f"{name}.parquet")  # compressed as dlt does

    return _seconds(work)


def _dlt(texts: list[bytes], folder: Path) -> float:
    """Seconds of dlt from the text of the documents to Parquet that is ready to load; those of its normalizing step go to a file."""
    import dlt

    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.filesystem(bucket_url=str(folder)),
        dataset_name="bench",
        pipelines_dir=str(folder / "dlt"),
    )
    documents = (orjson.loads(text) for text in texts)
    extracting = _seconds(lambda: pipeline.extract(documents, table_name="task", loader_file_format="parquet"))
    normalizing = _seconds(lambda: pipeline.normalize())
    written = sum(pq.ParquetFile(path).metadata.num_rows for path in folder.rglob("task__user_interactions.*.parquet"))
    assert written == 18 * len(texts), written
    (folder.parent / "normalizing").write_text(str(normalizing))
    return extracting + normalizing


def main() -> int:
    who, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    work = {"flatten": _flatten, "dlt": _dlt}[who]
    texts = _texts(count)
    times = []
    for number in range(3):  # the first one imports, and asks the system for memory
        (folder / str(number)).mkdir()
        times.append(work(texts, folder / str(number)))
    (folder / "seconds").write_text(str(min(times)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
