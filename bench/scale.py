"""What people and the platform ask of a deployment with very many files and batches, against the same on a small one."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from bench.filled import BATCHES_A_DAY, RememberedStore, fill_lake, fill_ledger, write_rows
from bench.measure import Row, Seconds, Stopwatch, say
from bench.readings import READINGS
from cli.show import show_files, show_story
from cli.status import show_status
from pipeline_assets.batch_commit import commit
from pipeline_assets.batch_context import BatchContext, Work
from pipeline_assets.columns import arrow_schema
from pipeline_assets.heartbeat import Heartbeat
from pipeline_assets.operations.maintain import maintain
from pipeline_assets.operations.reconcile import reconcile
from pipeline_assets.source import NoConfig
from resources.lake.lake import TableName, new_data_file
from resources.lake.sql import run_query
from resources.ledger import FileState
from resources.ledger.arrivals import Look, Settled, record_arrivals
from resources.ledger.batches import claim
from resources.ledger.planning import BatchLimits, plan
from resources.ledger.publishing import Outcome, published_snapshots
from resources.ledger.tables import files
from resources.platform import Platform
from resources.settings import Settings

_FLAT = 1.5


def _told(took: Seconds) -> str:
    return f"{took.clock * 1000:,.1f} ms ({took.processor * 1000:,.1f} of processor)"


_COMMITTED_FILES = 20
_TABLE = TableName(READINGS.name, READINGS.tables[0].name)


@dataclass
class _Deployment:
    """A simulated deployment, and what is asked of it."""

    platform: Platform
    files: int
    batches: int
    batch_id: str
    key: str
    commits: int = 0

    def show(self, **filters: str) -> None:
        every = dict.fromkeys(("source", "state", "key_contains", "batch_id"))
        show_files(self.platform.ledger, as_json=False, limit=100, **{**every, **filters})

    def explain(self, key: str) -> None:
        if show_story(self.platform, key, as_json=False) != 0:
            raise RuntimeError(f"{key} is not known")

    def query(self, condition: str, rows: int) -> None:
        found = run_query(
            self.platform.lake,
            self.platform.ledger,
            f"SELECT count(*) AS n, sum(value) FROM {_TABLE} WHERE {condition}",
        ).to_pylist()
        if found[0]["n"] != rows:
            raise RuntimeError(f"{found[0]['n']} rows where {condition}, expected {rows}")

    def commit_batch(self, data_files: int = 1) -> Seconds:
        """What follows the reading of a batch of new files: its rows in the table, its outcomes in the ledger.

        data_files: that its rows are in, if not one.
        """
        ledger, lake = self.platform.ledger, self.platform.lake
        self.commits += 1
        count = max(_COMMITTED_FILES, data_files)
        keys = [f"{READINGS.name}/new/{self.commits}-{n}.csv" for n in range(count)]
        landed = [Settled(Look(key, 1000, time.time_ns(), f"v{key}"), f"v{key}") for key in keys]
        record_arrivals(ledger, READINGS.name, "folder", landed)
        batch = plan(ledger, READINGS.name, BatchLimits(1000, 1 << 30), flush=True)
        if batch is None:
            raise RuntimeError("nothing to commit")
        claimed = claim(ledger, batch.batch_id, f"run{self.commits}", 60.0)
        schema = arrow_schema(READINGS.tables[0].schema)
        folder, members = lake.ensure(_TABLE, schema), [(file.file_id, file.key, 1) for file in claimed.files]
        uris = [new_data_file(folder, batch.batch_id) for _ in range(data_files)]
        for number, uri in enumerate(uris):
            write_rows(schema, uri, batch.batch_id, members[number::data_files])
        work = Work(
            {file.file_id: Outcome(file.file_id, FileState.COMMITTED, {_TABLE.name: 1}) for file in claimed.files},
            {_TABLE.name: uris},
        )
        context = BatchContext(self.platform, READINGS, NoConfig(), _Silent())
        with Heartbeat(ledger, 60.0) as heartbeat:
            begun = Stopwatch()
            commit(context, claimed, work, heartbeat)
            return begun.seconds()


class _Silent:
    def progress(self, *args: object) -> None:
        pass

    def say(self, message: str) -> None:
        pass


def compare(folder: Path, few: tuple[int, int], many: tuple[int, int], repeats: int) -> list[Row]:
    """few, many: files and batches of the small deployment and of the large one. Each question is asked of both by
    turns; the medians' ratios."""
    small, large = (_make(folder / str(count), count, batches) for count, batches in (few, many))
    both = (small, large)
    rows = [_asked(both, repeats, what, ask) for what, ask in _QUESTIONS.items()]
    as_committed = f"{large.batches:,} data files, merged by nobody"
    rows += [_lake_row(both, repeats, f"{what}, {as_committed}", ask, None) for what, ask in _OF_THE_LAKE.items()]
    rows.append(_reconciled(both))
    begun = time.perf_counter()
    for deployment in both:
        maintain(deployment.platform, READINGS, "maintain")
    say(f"  maintenance of both: {time.perf_counter() - begun:.1f} s")
    rows += [_lake_row(both, repeats, f"{what}, after maintenance", ask) for what, ask in _OF_THE_LAKE.items()]
    most = large.platform.settings.compact_small_files
    for deployment in both:
        # What is there already counts: neither has more than that before maintenance comes by itself.
        deployment.commit_batch(data_files=most - _data_files(deployment))
    rows += [
        _lake_row(both, repeats, f"{what}, {most} small data files: one more and they are merged", ask)
        for what, ask in _OF_THE_LAKE.items()
        if ask is not _Deployment.commit_batch
    ]
    for deployment in both:
        deployment.platform.close()
    return rows


_Ask = Callable[[_Deployment], object]

_QUESTIONS: dict[str, _Ask] = {
    "`strandline files --source`": lambda one: one.show(source=READINGS.name),
    "`strandline files --state committed`": lambda one: one.show(state="committed"),
    "`strandline files --batch`": lambda one: one.show(batch_id=one.batch_id),
    "`strandline files --key`, a whole key": lambda one: one.show(key_contains=one.key),
    "`strandline files --key`, the last part of a key": lambda one: one.show(key_contains=one.key.rpartition("/")[2]),
    "`strandline files --key`, a folder": lambda one: one.show(key_contains=one.key.rpartition("/")[0]),
    "`strandline files --key`, a text that no key has": lambda one: one.show(key_contains="nowhere"),
    "`strandline explain` by key": lambda one: one.explain(one.key),
    "`strandline explain` by the last part of a key": lambda one: one.explain(one.key.rpartition("/")[2]),
    "`strandline status`": lambda one: show_status(one.platform, [READINGS]),
}
_OF_THE_LAKE: dict[str, _Ask] = {
    "SQL over one batch": lambda one: one.query(f"batch_id = '{one.batch_id}'", one.files // one.batches),
    "SQL over one day": lambda one: one.query(
        f"batch_id BETWEEN '{one.batch_id[:8]}' AND '{one.batch_id[:8]}Z'", BATCHES_A_DAY * one.files // one.batches
    ),
    f"committing a batch of {_COMMITTED_FILES} files": _Deployment.commit_batch,
}


def _make(folder: Path, count: int, batches: int) -> _Deployment:
    say(f"  a deployment of {count:,} files in {batches:,} batches")
    platform = Platform(Settings(home=folder, tick_budget_seconds=50))
    fill_ledger(platform.ledger, READINGS.name, "folder", count, count // batches, _TABLE.name)
    fill_lake(platform, READINGS)
    platform.__dict__["landing"] = RememberedStore(platform.ledger)
    with platform.ledger.read() as connection:
        middle = connection.execute(select(files.c.key, files.c.batch_id).where(files.c.seq == count // 2 + 1)).one()
    return _Deployment(platform, count, batches, middle.batch_id, middle.key)


def _seconds(ask: _Ask, deployment: _Deployment) -> Seconds:
    begun = Stopwatch()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        took = ask(deployment)
    return took if isinstance(took, Seconds) else begun.seconds()


def _medians(both: tuple[_Deployment, _Deployment], repeats: int, ask: _Ask) -> tuple[Seconds, Seconds]:
    took: dict[int, list[Seconds]] = {deployment.files: [] for deployment in both}
    for number in range(repeats + 1):
        for deployment in both if number % 2 else reversed(both):
            seconds = _seconds(ask, deployment)
            took[deployment.files] += [seconds] if number else []  # the first opens files and compiles statements
    small, large = (
        Seconds(
            statistics.median(one.clock for one in took[deployment.files]),
            statistics.median(one.processor for one in took[deployment.files]),
        )
        for deployment in both
    )
    return small, large


def _asked(both: tuple[_Deployment, _Deployment], repeats: int, what: str, ask: _Ask) -> Row:
    small, large = both
    return _row(f"{what}, ledger of {large.files:,} files", f"{small.files:,}", _medians(both, repeats, ask))


def _lake_row(
    both: tuple[_Deployment, _Deployment], repeats: int, what: str, ask: _Ask, most: float | None = _FLAT
) -> Row:
    small, large = both
    work = f"{what}: {large.files:,} files in {large.batches:,} batches"
    return _row(work, f"{small.files:,} in {small.batches:,}", _medians(both, max(2, repeats // 2), ask), most)


def _data_files(deployment: _Deployment) -> int:
    published = published_snapshots(deployment.platform.ledger, READINGS.name)[_TABLE.name]
    return len(deployment.platform.lake.data_files(_TABLE, published))


def _row(work: str, peer: str, medians: tuple[Seconds, Seconds], most: float | None = _FLAT) -> Row:
    """most: the bar; None where what is measured is not how a deployment is to be."""
    small, large = medians
    say(f"  {work}: {_told(large)}, {peer}: {_told(small)}")
    return Row(
        work,
        _told(large),
        f"the same with {peer}: {_told(small)}",
        f"{large.clock / small.clock:.2f} × ({large.processor / small.processor:.2f} ×)",
        "none" if most is None else f"≤ {most} ×",
        None if most is None else large.clock / small.clock <= most,
    )


def _reconciled(both: tuple[_Deployment, _Deployment]) -> Row:
    """Looks at every key, file and row, so what can stay flat is the time of each."""
    took = []
    for deployment in both:
        begun = time.perf_counter()
        found = reconcile(deployment.platform, READINGS)
        took.append(time.perf_counter() - begun)
        if not found.balanced or found.committed < deployment.files:
            raise RuntimeError(f"reconciling found {found}")
    small, large = both
    each = [seconds / deployment.files for seconds, deployment in zip(took, both, strict=True)]
    say(f"  reconcile: {took[1]:.1f} s with {large.files:,} files, {took[0]:.2f} s with {small.files:,}")
    return Row(
        f"`strandline reconcile` that finds nothing, {large.files:,} files in {large.batches:,} batches, each file",
        f"{each[1] * 1e6:.0f} µs ({took[1]:.1f} s in all)",
        f"the same with {small.files:,} in {small.batches:,}: {each[0] * 1e6:.0f} µs ({took[0]:.2f} s)",
        f"{each[1] / each[0]:.2f} ×",
        f"≤ {_FLAT} ×",
        each[1] / each[0] <= _FLAT,
    )
