"""The assets about the platform itself: whether all adds up, how it gets on, and the upkeep of its tables."""

# No postponed annotations here: Dagster reads those of the functions below.

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import dagster as dg

from pipeline_assets import metadata
from pipeline_assets.code_version import code_version
from pipeline_assets.operations.balance import Balance, balance
from pipeline_assets.operations.history import prune_history
from pipeline_assets.operations.maintain import maintain
from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import PROCESS_TAG
from resources.ledger.health import Health, Unresolved, health, unresolved
from resources.ledger.leases import this_process
from resources.logs import bound
from resources.platform import Platform
from resources.telling import tell_people
from sensors.tick_alerts import look_for_failed_ticks

GROUP = "operations"
OWNERS = ["team:platform"]
BALANCE_KEY = dg.AssetKey([GROUP, "ledger_balance"])
HEALTH_KEY = dg.AssetKey([GROUP, "health"])
MAINTENANCE_KEY = dg.AssetKey([GROUP, "lake_maintenance"])
HISTORY_KEY = dg.AssetKey([GROUP, "dagster_history"])
BALANCED, NONE_LEFT = "balanced", "no_files_left_unresolved"
_MOST_SHOWN = 20

Sources = Sequence[FileSource]


def build_assets(sources: Sources) -> tuple[dg.AssetsDefinition, ...]:
    return (_ledger_balance(sources), _health(sources), _lake_maintenance(sources), _dagster_history(sources))


def build_checks(sources: Sources) -> tuple[dg.AssetChecksDefinition, ...]:
    return (_none_left(sources),)


def _told(
    key: dg.AssetKey, description: str, kinds: set[str], function: Callable[..., Any], command: str
) -> dict[str, Any]:
    """What each of these assets says of itself. function: the one that does the work."""
    return {
        "key": key,
        "group_name": GROUP,
        "owners": OWNERS,
        "kinds": kinds,
        "description": description,
        "metadata": {"by hand": command, **metadata.code_references([function])},
        "code_version": code_version(frozenset({inspect.getmodule(function).__name__})),  # type: ignore[union-attr]
    }


def _note_process(context: dg.AssetExecutionContext) -> None:
    # Tells a run whose process died from one that works; see pipeline_assets.operations.schedules.
    context.instance.add_run_tags(context.run.run_id, {PROCESS_TAG: this_process()})


def _ledger_balance(sources: Sources) -> dg.AssetsDefinition:
    told = _told(
        BALANCE_KEY,
        "Compares landing store, ledger and tables, each by its own word. Files that landed unseen are entered; all else is "
        "only told, because batches may be running: `strandline reconcile` mends it.",
        {"python"},
        balance,
        "strandline reconcile",
    )

    @dg.asset(
        **told,
        check_specs=[
            dg.AssetCheckSpec(
                BALANCED,
                asset=BALANCE_KEY,
                description="Every committed file has in every table the rows that the ledger counted, no table has rows "
                "that the ledger does not account for, and no data file is gone.",
            )
        ],
    )
    def ledger_balance(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult:
        _note_process(context)
        found = []
        for source in sources:
            with bound(source=source.name):
                found.append(balance(platform, source))
        shown: dict[str, Any] = {"differences": sum(one.differences for one in found)}
        for one in found:
            shown |= {
                f"{one.source}: keys in the landing store": one.keys,
                f"{one.source}: files committed": one.committed,
                f"{one.source}: files that had landed unseen": one.new_files,
                **{f"{one.source}: rows of {table}": rows for table, rows in one.rows.items()},
            }
        return dg.MaterializeResult(metadata=shown, check_results=[_balanced(found)])

    return ledger_balance


def _balanced(found: Sequence[Balance]) -> dg.AssetCheckResult:
    wrong = [one for one in found if not one.balanced]
    said = "; ".join(f"{one.source}: {_in_words(one)}" for one in wrong)
    rows = [
        {"what": kind, "table": f"{one.source}.{table}", "file": what}
        for one in wrong
        for kind, by_table in (("missing", one.missing), ("differing", one.differing), ("unaccounted", one.unaccounted))
        for table, ids in by_table.items()
        for what in ids
    ]
    commands = "\n".join(f"- `strandline reconcile --source {one.source}`, then `strandline drain`" for one in wrong)
    return dg.AssetCheckResult(
        check_name=BALANCED,
        asset_key=BALANCE_KEY,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{said}. Mend it: strandline reconcile" if wrong else f"{len(found)} sources compared, all agree",
        metadata={
            "differences": len(rows),
            **({"first of them": metadata.record_table(rows[:_MOST_SHOWN])} if rows else {}),
            **({"what to do": dg.MetadataValue.md(commands)} if wrong else {}),
        },
    )


def _in_words(one: Balance) -> str:
    parts = (
        ("data files are gone", one.missing),
        ("files have other rows than the ledger counted", one.differing),
        ("files have rows that the ledger does not account for", one.unaccounted),
    )
    return ", ".join(f"{sum(map(len, by_table.values())):,} {words}" for words, by_table in parts if by_table)


def _none_left(sources: Sources) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=BALANCE_KEY,
        name=NONE_LEFT,
        description="Every file is settled (committed, quarantined, duplicate, superseded, deleted) within "
        "STRANDLINE_UNRESOLVED_MINUTES of when it became known or was last to be read again.",
    )
    def no_files_left_unresolved(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
        minutes = platform.settings.unresolved_minutes
        names = [source.name for source in sources]
        counts, sample = unresolved(platform.ledger, names, timedelta(minutes=minutes), _MOST_SHOWN)
        return none_left_result(counts, sample, minutes)

    return no_files_left_unresolved


RECOVER = {
    "held": "`strandline redo BATCH` after mending the cause, or `strandline release BATCH` to let it pass",
    "pending": "are the sensors on? `strandline dev`, or without them `strandline drain`",
    "running": "is its run alive? A dead one is taken back by itself: `strandline drain`",
    "waiting": "land the rest of its record or group, or land the file anew if its writer died; then `strandline drain`",
}
"""For each state, the way on."""


def none_left_result(
    counts: Mapping[tuple[str, str], int], sample: Sequence[Unresolved], minutes: float
) -> dg.AssetCheckResult:
    total = sum(counts.values())
    by_state: dict[str, int] = {}
    for (_, state), count in counts.items():
        by_state[state] = by_state.get(state, 0) + count
    said = ", ".join(f"{count:,} {state}" for state, count in sorted(by_state.items()))
    shown: dict[str, Any] = {"files": total}
    if total:
        rows = [
            {"state": one.state, "key": one.key, "batch": one.batch_id or "", "error": (one.error or "")[:200]}
            for one in sample
        ]
        ways = [f"- {state}: {RECOVER[state]}" for state in sorted(by_state)]
        shown |= {
            **{f"{source} {state}": count for (source, state), count in sorted(counts.items())},
            "oldest of them": metadata.record_table(rows),
            "what to do": dg.MetadataValue.md("\n".join([*ways, "- why, for one file: `strandline explain KEY`"])),
        }
    return dg.AssetCheckResult(
        passed=not total,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{total:,} files are not settled after {minutes:g} minutes ({said}). See: strandline status"
        if total
        else f"every file older than {minutes:g} minutes is settled",
        metadata=shown,
    )


def _health(sources: Sources) -> dg.AssetsDefinition:
    told = _told(
        HEALTH_KEY,
        "How the platform gets on, as numbers that Dagster plots over time: backlog, speed, refusals, held batches.",
        {"python"},
        health,
        "strandline status",
    )

    @dg.asset(**told)
    def health_now(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult:
        _note_process(context)
        # The sensor `alerts` does this as well, but cannot tell of itself.
        look_for_failed_ticks(context.instance, platform.ledger, sources)
        tell_people(platform)
        return dg.MaterializeResult(
            metadata=health_metadata([health(platform.ledger, source.name) for source in sources])
        )

    return health_now


def health_metadata(found: Sequence[Health]) -> dict[str, Any]:
    """Numbers under names that stay, of all sources together and of each."""
    shown: dict[str, Any] = {
        "outstanding files": sum(one.outstanding for one in found),
        "outstanding bytes": sum(one.outstanding_bytes for one in found),
        "oldest outstanding, s": round(max((one.oldest_seconds for one in found), default=0.0), 1),
        "held batches": sum(one.held_batches for one in found),
        "quarantined files": sum(sum(one.quarantined.values()) for one in found),
        "files committed, last hour": sum(one.last_hour.files for one in found),
    }
    for one in found:
        shown |= {f"{one.source}: {state} files": count for state, count in one.files.items()}
        shown |= {
            f"{one.source}: outstanding bytes": one.outstanding_bytes,
            f"{one.source}: oldest outstanding, s": round(one.oldest_seconds, 1),
            f"{one.source}: files committed, last hour": one.last_hour.files,
            f"{one.source}: bytes committed, last hour": one.last_hour.size_bytes,
            f"{one.source}: files committed, last day": one.last_day.files,
            f"{one.source}: held batches": one.held_batches,
        }
        shown |= {
            f"{one.source}: landing to committed p{p}, s": round(seconds, 3)
            for p, seconds in one.landing_to_committed.items()
        }
        shown |= {f"{one.source}: quarantined as {name}": count for name, count in one.quarantined.items()}
    return shown


def _lake_maintenance(sources: Sources) -> dg.AssetsDefinition:
    told = _told(
        MAINTENANCE_KEY,
        "Merges small data files, expires old snapshots, deletes files of the lake that nothing has needed for long. Every "
        "row stays as it is, and batches go on meanwhile.",
        {"iceberg", "parquet"},
        maintain,
        "strandline maintain",
    )

    @dg.asset(**told)
    def lake_maintenance(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult:
        _note_process(context)
        shown: dict[str, Any] = {}
        for source in sources:
            with bound(source=source.name):
                done = maintain(platform, source, context.run.run_id)
            context.log.info(f"{source.name}: {asdict(done)}")
            shown |= {
                f"{source.name}: data files": done.files_after,
                f"{source.name}: data files merged": done.merged,
                f"{source.name}: bytes merged": done.bytes_merged,
                f"{source.name}: snapshots expired": done.expired,
                f"{source.name}: unused files deleted": done.deleted,
                f"{source.name}: unused bytes deleted": done.bytes_deleted,
                f"{source.name}: unused files to go later": done.unused,
                f"{source.name}: seconds": round(done.seconds, 3),
            }
            if done.waits_for:
                shown[f"{source.name}: not all was done"] = done.waits_for
        return dg.MaterializeResult(metadata=shown)

    return lake_maintenance


def _dagster_history(sources: Sources) -> dg.AssetsDefinition:
    told = _told(
        HISTORY_KEY,
        "Deletes what Dagster keeps of runs that ended more than STRANDLINE_DAGSTER_DAYS ago: the runs, their events and logs. "
        "The newest materialization and check result of every asset and partition stay, and the ledger keeps everything.",
        {"python"},
        prune_history,
        "strandline prune",
    )

    @dg.asset(**told)
    def dagster_history(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult:
        _note_process(context)
        done = prune_history(context.instance, sources, platform.settings.dagster_days)
        return dg.MaterializeResult(
            metadata={
                "runs": done.runs_left,
                "runs deleted": done.runs,
                "events deleted": done.events,
                "bytes": done.bytes_after,
                "bytes freed": done.bytes_before - done.bytes_after,
                "seconds": round(done.seconds, 3),
                **({} if done.is_done else {"not all was done": "the next one goes on"}),
            }
        )

    return dagster_history
