"""Finds sensors and schedules whose own ticks fail. Such a tick starts no run, so nothing else tells of it.

Looked at by the sensor `alerts`, and by each run of the job `platform_health`, in case the sensor is the one that fails.
"""

# No postponed annotations here: Dagster reads those of the functions below.

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, TickStatus

from pipeline_assets.source import FileSource
from resources.ledger import Ledger
from resources.ledger.alerts import Alert, AlertKind, position, record, set_position, settle

_IN_A_ROW = {InstigatorType.SENSOR: 3, InstigatorType.SCHEDULE: 1}
"""So many failed ticks are told. Our own measure: a sensor's next tick comes within seconds and often mends it, a
schedule's next one within hours."""
_WORDS = {InstigatorType.SENSOR: "sensor", InstigatorType.SCHEDULE: "schedule"}
_ENDED = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
_FIRST_LOOK_BACK = timedelta(days=1)
"""What failed last before that is not told: it is stopped, or no more in the code."""
OPERATIONS = "operations"


def look_for_failed_ticks(instance: dg.DagsterInstance, ledger: Ledger, sources: Sequence[FileSource]) -> None:
    """Enter into the ledger which sensors and schedules fail again and again, and which do so no more.

    Goes on failing: counted, and told again after a day, as every alert is. A tick is counted once, whoever looks.
    """
    for state in instance.all_instigator_state():
        in_a_row = _IN_A_ROW.get(state.instigator_type)
        if in_a_row is None or not state.is_running:
            continue
        ticks = instance.get_ticks(
            state.instigator_origin_id, state.selector_id, limit=in_a_row, statuses=_ENDED
        )  # the newest first
        if ticks:
            _note(ledger, state, ticks, in_a_row, sources)


def _note(
    ledger: Ledger,
    state: InstigatorState,
    ticks: Sequence[InstigatorTick],
    in_a_row: int,
    sources: Sequence[FileSource],
) -> None:
    newest = ticks[0]
    name = f"ticks/{state.repository_selector.location_name}/{state.instigator_name}"
    at = datetime.fromtimestamp(newest.timestamp, UTC)
    with ledger.read() as connection:
        before = position(connection, name)
    fails = all(tick.status == TickStatus.FAILURE for tick in ticks) and len(ticks) == in_a_row
    if not fails:
        if newest.status != TickStatus.FAILURE and before is not None and before.text:
            with ledger.write() as connection:
                settle(connection, kind=AlertKind.TICK_FAILED, source=_source_of(state, sources), key=_key(state))
                set_position(connection, name, "")
        return
    told = str(newest.tick_id)
    if (before is not None and before.text == told) or datetime.now(UTC) - at > _FIRST_LOOK_BACK:
        return
    with ledger.write() as connection:
        if position(connection, name) == before:  # else somebody else looked at the same time
            record(connection, _alert(state, newest, in_a_row, sources))
            set_position(connection, name, told)


def _alert(state: InstigatorState, newest: InstigatorTick, in_a_row: int, sources: Sequence[FileSource]) -> Alert:
    word = _WORDS[state.instigator_type]
    then = "No file of its source is found meanwhile. " if state.instigator_name.endswith("_arrivals") else ""
    times = f"{in_a_row} times in a row" if in_a_row > 1 else "at its last tick"
    return Alert(
        _key(state),
        AlertKind.TICK_FAILED,
        _source_of(state, sources),
        title=f"{word} {state.instigator_name} fails ({times})",
        text=f"{_error_of(newest)}\n{then}It is tried again by itself; this is over once a tick succeeds.",
        commands=("strandline doctor",),
    )


def _key(state: InstigatorState) -> str:
    return f"{AlertKind.TICK_FAILED}/{state.repository_selector.location_name}/{state.instigator_name}"


def _source_of(state: InstigatorState, sources: Sequence[FileSource]) -> str:
    return next((one.name for one in sources if state.instigator_name.startswith(f"{one.name}_")), OPERATIONS)


def _error_of(tick: InstigatorTick) -> str:
    error = tick.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "It gave no reason."
