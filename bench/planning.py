"""What a tick's work in the ledger costs: with few files ever seen, and with very many."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from bench.filled import fill_ledger
from bench.measure import Row, say
from resources.ledger import Ledger
from resources.ledger.arrivals import Look, Settled, known_looks, record_arrivals
from resources.ledger.batches import claim, due, free_dead
from resources.ledger.planning import BatchLimits, plan
from resources.ledger.publishing import Outcome, publish, take_commit_turn
from resources.ledger.states import FileState

_SOURCE, _STORE = "ecg", "folder"
_FILES_A_BATCH = 1000
_NEW_FILES = 20
_MOST = 1.2
_LIMITS = BatchLimits(files=10_000, size_bytes=1 << 29)


def compare(folder: Path, few: int, many: int, ticks: int) -> list[Row]:
    """Ticks on the two ledgers by turns, each of which enters some new files and plans them; the medians' ratios."""
    ledgers = {}
    for count in (few, many):
        ledgers[count] = Ledger(f"sqlite:///{folder / f'{count}.db'}")
        say(f"  a ledger of {count:,} files")
        fill_ledger(ledgers[count], _SOURCE, _STORE, count, _FILES_A_BATCH)
    costs: dict[int, list[_Tick]] = {few: [], many: []}
    for tick in range(ticks + 1):
        for count in (few, many) if tick % 2 else (many, few):
            cost = _tick(ledgers[count], tick)
            costs[count] += [cost] if tick else []  # the first opens files and compiles statements
    for ledger in ledgers.values():
        ledger.close()
    where = f"ledger of {many:,} files (SQLite), median of {ticks}"
    planning = _row(f"a tick that plans {_NEW_FILES} new files, {where}", few, many, costs, "planning", _MOST)
    entering = _row(f"entering {_NEW_FILES} new files, {where}", few, many, costs, "entering", None)
    return [planning, entering]


def _row(work: str, few: int, many: int, costs: dict[int, list[_Tick]], name: str, most: float | None) -> Row:
    large, small = (statistics.median(getattr(cost, name) for cost in costs[count]) * 1000 for count in (many, few))
    say(f"  {name}: {large:.1f} ms with {many:,}, {small:.1f} ms with {few:,}")
    return Row(
        work,
        f"{large:.1f} ms",
        f"the same with {few:,}: {small:.1f} ms",
        f"{large / small:.2f} ×",
        f"≤ {most} ×" if most else "none",
        large / small <= most if most else None,
    )


@dataclass(frozen=True)
class _Tick:
    """Seconds of what a sensor's tick asks of the ledger."""

    entering: float
    planning: float


def _tick(ledger: Ledger, number: int) -> _Tick:
    """What the tick plans is brought to its end after it, which does not count."""
    at = time.time_ns()
    arrivals = [Settled(Look(f"{_SOURCE}/new/{number}-{n}.mat", 1000, at), f"v{n}") for n in range(_NEW_FILES)]
    begun = time.perf_counter()
    record_arrivals(ledger, _SOURCE, _STORE, arrivals)
    entered = time.perf_counter()
    known_looks(ledger, _SOURCE, _STORE, unsettled=True)
    known_looks(ledger, _SOURCE, _STORE, [arrival.look.key for arrival in arrivals])
    free_dead(ledger, _SOURCE, 5)
    planned = plan(ledger, _SOURCE, _LIMITS, flush=True)
    waiting = due(ledger, _SOURCE)
    cost = _Tick(entered - begun, time.perf_counter() - entered)
    if planned is None or planned.files != _NEW_FILES or waiting != [planned]:
        raise RuntimeError(f"the tick planned {planned}, and {waiting} wait")
    claimed = claim(ledger, planned.batch_id, f"run{number}", 60.0)
    turn = take_commit_turn(ledger, _SOURCE, claimed.run_id, 60.0)
    if turn is None:
        raise RuntimeError("another run has the turn to commit")
    done = [Outcome(file.file_id, FileState.COMMITTED, {"samples": 1}) for file in claimed.files]
    publish(ledger, claimed, turn, {"samples": number}, done)
    return cost
