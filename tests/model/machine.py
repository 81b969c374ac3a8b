"""Does to the platform what it does to the model, and compares both after each step. Real ledger, lake and landing
folder; several runs at once, each resting where it is until it is told to go on."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from sqlalchemy import select, update

from pipeline_assets.batch_run import run_batch
from pipeline_assets.columns import arrow_schema
from pipeline_assets.source import NoConfig
from resources.lake.lake import TableName
from resources.landing.store import StoreError
from resources.ledger.batches import BatchBusy, NotClaimed, release
from resources.ledger.database import utc_now
from resources.ledger.leases import LeaseLost
from resources.ledger.planning import BatchLimits, plan
from resources.ledger.pruning import redo
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import row_counts
from resources.ledger.replay import RefusedFilter, replay
from resources.ledger.tables import batches, files, leases
from resources.platform import Platform
from resources.settings import Settings
from sensors.looking import look_for_arrivals
from tests.model import model as reference
from tests.model.model import BAD, Batch, Model, Run
from tests.model.stepping import SteppedRun, stepped
from tests.running import Silent, rows_of, toy, visible
from tests.toy_records import RECORDS

SOURCE = dataclasses.replace(RECORDS, hold_above=reference.HOLD_ABOVE, hold_from_files=reference.HOLD_FROM_FILES)
KEYS = ("toy/x.csv", "toy/y z%2F+é.csv", "toy/a.hdr", "toy/a.part")
CONTENTS = ((1.0,), (2.0, 3.0), BAD)
MOST_ROUNDS = 30
seen: Counter[str] = Counter()
"""What happened, over all examples of this process."""


@cache
def _home() -> tuple[Path, Path]:
    """Where every example has its home, and an empty one to begin with: a lake cannot be moved."""
    base = Path(tempfile.mkdtemp(prefix="strandline-model-"))
    home, empty = base / "home", base / "empty"
    platform = Platform(_settings(home))
    with platform.ledger.read():
        pass
    for table in SOURCE.tables:
        platform.lake.ensure(TableName(SOURCE.name, table.name), arrow_schema(table.schema))
    platform.landing.root.mkdir(parents=True)  # type: ignore[attr-defined]
    platform.close()
    home.rename(empty)
    return home, empty


def _settings(home: Path) -> Settings:
    return Settings(
        home=home, workers=1, settle_seconds=0.0, companion_wait_seconds=86_400.0, lease_seconds=86_400.0,
        max_attempts=reference.MAX_ATTEMPTS,
    )  # fmt: skip


class Platforms(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        home, empty = _home()
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(empty, home)
        self.stack = ExitStack()
        self.stack.enter_context(stepped())
        self.platform = Platform(_settings(home))
        self.patient = self.platform.settings
        self.root: Path = self.platform.landing.root  # type: ignore[attr-defined]
        self.model = Model()
        self.batches: dict[str, Batch] = {}
        self.runs: list[tuple[SteppedRun, Run]] = []
        self.landed: dict[str, list[tuple]] = {}
        self.clock = itertools.count(1)
        self.is_over = False

    # What people and instruments do

    @rule(delivery=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(CONTENTS), min_size=1))
    def deliver(self, delivery: dict[str, tuple]) -> None:
        for key, content in delivery.items():
            self.land(key, content)

    def land(self, key: str, content: tuple) -> None:
        again = content in self.landed.get(key, [])[:-1] and self.model.store.get(key) != content
        seen["landed" + (" again what was there before" if again else "")] += 1
        path, aside = self.root / key, self.root / ".aside"
        aside.write_text(toy(*(["@a.part"] if key.endswith(".hdr") else []), *content))
        at = next(self.clock) * 1_000_000_000
        os.utime(aside, ns=(at, at))
        path.parent.mkdir(exist_ok=True)
        os.replace(aside, path)
        self.model.store.pop(key, None)
        self.model.store[key] = content  # listed in the order of landing
        self.landed.setdefault(key, []).append(content)

    @precondition(lambda self: self.model.store)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model.store)))
        seen["deleted"] += 1
        (self.root / key).unlink()
        del self.model.store[key]

    @rule()
    def replay(self) -> None:
        seen["replayed"] += len(replay(self.platform.ledger, RefusedFilter()))
        self.model.replay()
        self.compare()

    @precondition(lambda self: any(batch.state == "held" for batch in self.model.batches))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([n for n, batch in self.batches.items() if batch.state == "held"]))
        seen["released"] += 1
        release(self.platform.ledger, name)
        self.model.release(self.batches[name])
        self.compare()

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def redo(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.batches)))
        batch = self.batches[name]
        owns = any(f.batch is batch and f.state in {"committed", "quarantined", "held"} for f in self.model.files)
        try:
            redo(self.platform.ledger, name)
        except NotClaimed:
            assert batch.state in {"planned", "running"} or not owns
        else:
            assert owns
            seen["redone"] += 1
            self.model.release(batch, past_threshold=False)
        self.compare()

    # What sensors do

    @rule(all_is_late=st.booleans())
    def look(self, all_is_late: bool) -> None:
        self.look_and_compare(all_is_late)

    def look_and_compare(self, all_is_late: bool) -> None:
        late = {"companion_wait_seconds": 0.0} if all_is_late else {}
        self.platform.settings = self.patient.model_copy(update=late)
        look_for_arrivals(self.platform, SOURCE, from_start=True)
        self.platform.settings = self.patient
        self.model.look(all_is_late=all_is_late)
        self.compare()

    @rule()
    def plan(self) -> None:
        self.plan_and_compare()

    def plan_and_compare(self) -> None:
        planned, expected = (
            plan(self.platform.ledger, SOURCE.name, BatchLimits(1000, 1 << 30), flush=True),
            self.model.plan(),
        )
        assert (planned is None) == (expected is None)
        if planned and expected:
            self.batches[planned.batch_id] = expected
        self.compare()

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        """Of any batch: what waits, what is done already, what another run works on."""
        self.begin(data.draw(st.sampled_from(list(self.batches))))

    @rule(delivery=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(CONTENTS)), steps=st.integers(0, 6))
    def deliver_and_run(self, delivery: dict[str, tuple], steps: int) -> None:
        """What mostly happens, up to some point of the run."""
        for key, content in delivery.items():
            self.land(key, content)
        self.look_and_compare(all_is_late=True)
        self.plan_and_compare()
        waiting = next((name for name, batch in self.batches.items() if batch.state == "planned"), None)
        begun = self.begin(waiting) if waiting is not None else None
        for _ in range(steps):
            if begun in self.runs:
                self.go_on(*begun)

    def begin(self, name: str) -> tuple[SteppedRun, Run] | None:
        run_id, is_stopped_by_person = f"run-{next(self.clock)}", lambda: True
        seen[f"run of a batch that was {self.batches[name].state}"] += 1
        real = SteppedRun(
            lambda: run_batch(
                self.platform, SOURCE, NoConfig(), name, run_id, Silent(), hold_when_stopped=is_stopped_by_person
            )
        )
        expected = self.model.claim(self.batches[name])
        if expected is None:
            assert real.at == "ended"
            assert isinstance(real.error, BatchBusy)
            seen["refused: another run works on the batch"] += 1
            return None
        assert real.at == "claimed", real.error
        self.runs.append((real, expected))
        self.compare()
        return self.runs[-1]

    # What runs do, and what befalls them

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        self.go_on(*data.draw(st.sampled_from(self.runs)))

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def go_to_the_end(self, data: st.DataObject) -> None:
        real, expected = data.draw(st.sampled_from(self.runs))
        while real.at != "ended" and not (real.at == "turn" and self.model.is_live("turn")):
            self.go_on(real, expected)

    def go_on(self, real: SteppedRun, expected: Run) -> None:
        had_lease = self.model.has(expected, expected.batch) and self.model.has(expected, "turn")
        before = expected.at
        self.model.step(expected)
        real.step()
        assert real.at == expected.at, f"{before} -> {real.at}, expected {expected.at}: {real.error!r}"
        if real.at == "ended":
            self.runs.remove((real, expected))
            if before == "publishing":
                assert (real.error is None) == had_lease, repr(real.error)
                assert real.error is None or isinstance(real.error, LeaseLost), repr(real.error)
            else:
                assert type(real.error).__name__ == "BatchHeld", repr(real.error)
            seen[f"run ended: {type(real.error).__name__ if real.error else 'published'}"] += 1
        self.compare(rows=real.at in {"ended", "publishing"})

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """Its leases stay until they expire."""
        real, expected = data.draw(st.sampled_from(self.runs))
        seen[f"killed: {real.at}"] += 1
        real.kill()
        self.runs.remove((real, expected))
        self.compare(rows=real.tables_committed > 0)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), error=st.sampled_from([StoreError("the store is away"), KeyboardInterrupt()]))
    def fail_or_cancel(self, data: st.DataObject, error: BaseException) -> None:
        real, expected = data.draw(st.sampled_from(self.runs))
        is_canceled = isinstance(error, KeyboardInterrupt)
        seen[f"{'canceled' if is_canceled else 'failed'}: {real.at}"] += 1
        real.step(error)
        assert real.error is error
        self.model.end(expected, hold=is_canceled)
        self.runs.remove((real, expected))
        self.compare(rows=real.tables_committed > 0)

    @precondition(lambda self: any(is_live for _, is_live in self.model.leases.values()))
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        """A lease ends, be its run dead, or alive and only silent."""
        self.end_lease(data.draw(st.sampled_from([what for what, (_, live) in self.model.leases.items() if live])))

    def end_lease(self, what: object) -> None:
        seen["lease expired"] += 1
        self.model.expire(what)
        name = f"commit:{SOURCE.name}" if what == "turn" else f"batch:{self.name_of(what)}"
        with self.platform.ledger.write() as connection:
            past = update(leases).where(leases.c.name == name).values(expires_at=utc_now().replace(year=2000))
            assert connection.execute(past).rowcount == 1
        self.compare()

    # What must hold

    def name_of(self, what: object) -> str:
        return next(name for name, batch in self.batches.items() if batch is what)

    def compare(self, *, rows: bool = False) -> None:
        with self.platform.ledger.read() as connection:
            found = connection.execute(select(files.c.key, files.c.state, files.c.batch_id).order_by(files.c.seq)).all()
            of_batches = dict(connection.execute(select(batches.c.batch_id, batches.c.state)).all())  # type: ignore[arg-type]
        names = {batch: name for name, batch in self.batches.items()}
        expected = [(f.key, f.state, names[f.batch] if f.batch else None) for f in self.model.files]
        assert [tuple(row) for row in found] == expected
        assert of_batches == {name: batch.state for name, batch in self.batches.items()}
        if rows:
            assert self.published() == self.model.visible

    def published(self) -> dict[str, list[float]]:
        """What the published snapshots hold, by key; asserts that no key is there twice and no row without its file."""
        snapshots = published_snapshots(self.platform.ledger, SOURCE.name)
        tables = {}
        for name in SOURCE.table_names:
            paths = self.platform.lake.data_files(TableName(SOURCE.name, name), snapshots.get(name))
            parts = [pq.read_table(path.removeprefix("file://"), partitioning=None).to_pylist() for path in paths]
            tables[name] = [row for part in parts for row in part]
        keys = {row["file_id"]: row["source_key"] for row in tables["files"]}
        assert len(keys) == len(set(keys.values())) == len(tables["files"]), "a key is there twice"
        shown: dict[str, list[float]] = {key: [] for key in keys.values()}
        for row in sorted(tables["readings"], key=lambda row: row["n"]):
            shown[keys[row["file_id"]]].append(row["value"])
        return shown

    def teardown(self) -> None:
        try:
            if not self.is_over:
                self.settle()
                self.assert_balanced()
                seen["examples"] += 1
        finally:
            for real, _ in self.runs:
                real.kill()
            self.stack.close()
            self.platform.close()

    def settle(self) -> None:
        """All that is under way dies; what is held is released. It must all come to an end soon."""
        for real, _ in self.runs:
            real.kill()
        self.runs.clear()
        for what in [what for what, (_, live) in self.model.leases.items() if live]:
            self.end_lease(what)
        for _ in range(MOST_ROUNDS):
            self.look_and_compare(all_is_late=True)
            self.plan_and_compare()
            waiting = [name for name, batch in self.batches.items() if batch.state in {"planned", "held"}]
            if not waiting:
                return
            for name in waiting:
                if self.batches[name].state == "held":
                    release(self.platform.ledger, name)
                    self.model.release(self.batches[name])
                self.begin(name)
                while self.runs:
                    self.go_on(*self.runs[-1])
        raise AssertionError(f"after {MOST_ROUNDS} rounds still something to do: {waiting}")

    def assert_balanced(self) -> None:
        """Asked without the model: the folder, the tables and the ledger, each read on its own."""
        shown = visible(self.platform)
        records: dict[str, dict[str, list[str]]] = {}
        for path in sorted((self.root / "toy").glob("*")) if (self.root / "toy").exists() else []:
            lines = path.read_text().splitlines()[1:]
            name = path.stem if path.suffix in {".hdr", ".part"} else path.name
            records.setdefault(name, {})[f"toy/{path.name}"] = [line for line in lines if not line.startswith("@")]
        for parts in records.values():
            values = [value for key in sorted(parts) for value in parts[key]]
            key = min(parts)
            if ("rubbish" not in values) and not (len(parts) == 1 and key.endswith((".hdr", ".part"))):
                assert shown.get(key) == [float(value) for value in values], f"{key} is in the folder and not in SQL"
        assert set(shown) <= {key for key, contents in self.landed.items() if set(contents) != {BAD}}
        with self.platform.ledger.read() as connection:
            by_state = dict(connection.execute(select(files.c.file_id, files.c.state)).all())  # type: ignore[arg-type]
        assert not set(by_state.values()) & {"pending", "running", "held", "waiting"}, by_state
        counted = row_counts(self.platform.ledger, source=SOURCE.name)
        for table in SOURCE.table_names:
            found = (
                dict(rows_of(self.platform, f"SELECT file_id, count(*) FROM toy.{table} GROUP BY 1")) if counted else {}
            )
            assert found == {file_id: count for file_id, count in counted.get(table, {}).items() if count}
            assert all(by_state[file_id] == "committed" for file_id in counted.get(table, {}))


def explain(counts: Counter[str]) -> dict[str, Any]:
    return {name: counts[name] for name in sorted(counts)}
