"""`strandline drain`: discover, plan and run in the foreground, through Dagster, until nothing is left to do."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import click

from cli.instance import use_dagster_home
from cli.progress import BarReporter
from cli.signals import terminate_as_interrupt
from pipeline_assets.batch_run import preload_for
from pipeline_assets.source import FileSource
from pipeline_assets.worker_pool import start_fork_server
from resources.ledger.batches import Batch, BatchBusy, BatchState, claim, due, get_batch, live, plan
from resources.ledger.queries import count_states_of_batch
from resources.platform import Platform

ALL_COMMITTED, PLATFORM_ERROR, SOME_NOT_COMMITTED = 0, 1, 3

_MOST_LOOKS_AT_GROWING_FILES = 10
_WAIT_SECONDS = 0.5


@dataclass
class Summary:
    """What a drain did."""

    batches: int = 0
    states: dict[str, int] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    still_written: int = 0
    skipped: list[str] = field(default_factory=list)

    def count(self, states: dict[str, int]) -> None:
        for state, files in states.items():
            self.states[state] = self.states.get(state, 0) + files

    @property
    def exit_code(self) -> int:
        if self.failed:
            return PLATFORM_ERROR
        refused = self.states.get("quarantined", 0) + self.states.get("held", 0)
        return SOME_NOT_COMMITTED if refused or self.held or self.still_written or self.skipped else ALL_COMMITTED


def drain_sources(platform: Platform, sources: Sequence[FileSource], *, as_json: bool = False) -> int:
    """Process everything outstanding of some sources. Returns the exit code."""
    use_dagster_home(platform.settings)
    summary = Summary()
    with terminate_as_interrupt(), BarReporter() as bar:
        for source in sources:
            _Drain(platform, source, bar, summary).until_done()
    if as_json:
        click.echo(json.dumps({**asdict(summary), "exit_code": summary.exit_code}))
    else:
        _print(summary)
    return summary.exit_code


def _print(summary: Summary) -> None:
    files = ", ".join(f"{count:,} {state}" for state, count in sorted(summary.states.items()))
    click.echo(f"{summary.batches} batch{'' if summary.batches == 1 else 'es'} run{': ' + files if files else ''}")
    if summary.states.get("quarantined"):
        click.echo("refused, with reasons: strandline files --state quarantined")
    for batch_id in summary.held:
        click.echo(f"held: batch {batch_id}; let it pass with: strandline release {batch_id}")
    if summary.still_written:
        click.echo(f"{summary.still_written} files are still being written; drain again when they are whole")
    for text in summary.skipped:
        click.echo(f"not taken: {text}")
    for text in summary.failed:
        click.echo(f"FAILED: {text}", err=True)


class _Drain:
    """One source's drain. Dagster is loaded when there is something to run, and not before."""

    def __init__(self, platform: Platform, source: FileSource, bar: BarReporter, summary: Summary) -> None:
        self.platform = platform
        self.source = source
        self.bar = bar
        self.summary = summary
        self._tried: set[str] = set()
        self._is_listed = False
        self._looks = 0
        self._runner: Any = None

    def until_done(self) -> None:
        looks_at_growing = 0
        while True:
            unsettled = self._look()
            ran = self._run_what_is_due()
            if ran or not self._is_listed:
                continue
            if live(self.platform.ledger, self.source.name):
                self.bar.say(f"waiting for another run of {self.source.name} to end")
                time.sleep(_WAIT_SECONDS)
            elif unsettled and looks_at_growing < _MOST_LOOKS_AT_GROWING_FILES:
                looks_at_growing += 1
                time.sleep(_WAIT_SECONDS)
            else:
                self.summary.still_written += unsettled
                return

    def _look(self) -> int:
        from sensors.looking import batch_limits, look_for_arrivals

        # All there is now, whatever a sensor's listing has come by: this drain's first look begins from the start.
        found = look_for_arrivals(self.platform, self.source, from_start=self._looks == 0)
        self._looks += 1
        self._is_listed = self._is_listed or found.complete
        for warning in found.warnings:
            self.bar.say(warning)
        for skipped in found.skipped:
            text = f"{skipped.name}: {skipped.reason}"
            if text not in self.summary.skipped:
                self.summary.skipped.append(text)
        plan(self.platform.ledger, self.source.name, batch_limits(self.platform), flush=True)
        return found.unsettled

    def _run_what_is_due(self) -> bool:
        """Whether there was anything, be it that another run was quicker to do it: then it is worth looking again."""
        outstanding = due(self.platform.ledger, self.source.name, ignore_backoff=True)
        untried = [batch for batch in outstanding if batch.batch_id not in self._tried]
        for batch in untried:
            self._tried.add(batch.batch_id)
            self._run(batch)
        return bool(untried)

    def _run(self, batch: Batch) -> None:
        # Its imports and Dagster's own below go on side by side.
        start_fork_server(preload_for(self.source, batch.files))
        from dagster import DagsterInstance

        from pipeline_assets.source_defs import DRAIN, STARTED_BY_TAG, run_tags

        if self._runner is None:
            self._runner = _Runner(self.platform, self.source, self.bar)
        tags = {**run_tags(batch), STARTED_BY_TAG: DRAIN}
        run_id = self._runner.new_run_id()
        try:
            # Claimed before the run begins, so that a sensor beside this drain does not ask for the batch as well.
            seconds = self.platform.settings.lease_seconds
            claim(self.platform.ledger, batch.batch_id, run_id, seconds, attempt=batch.attempt + 1)
        except BatchBusy:
            return
        error = self._runner.run(DagsterInstance.get(), batch, run_id, tags)
        after = get_batch(self.platform.ledger, batch.batch_id)
        self.summary.batches += 1
        self.summary.count(count_states_of_batch(self.platform.ledger, batch.batch_id))
        if after.state == BatchState.HELD:
            self.summary.held.append(f"{batch.batch_id} ({after.error})")
        elif after.state != BatchState.FINISHED:
            self.summary.failed.append(f"batch {batch.batch_id}, run {run_id}: {after.error or error}")


class _Runner:
    """Runs batches of one source as Dagster runs in this process."""

    def __init__(self, platform: Platform, source: FileSource, bar: BarReporter) -> None:
        import dagster as dg

        from pipeline_assets.definitions import Overrides, build_defs
        from pipeline_assets.source_defs import job_name, partitions_name
        from sensors.dead_runs import end_dead_runs

        logging.getLogger("alembic").setLevel(logging.WARNING)
        overrides = Overrides(
            sources=(source,), platform=platform, reporter=bar.for_run, sensor_status=dg.DefaultSensorStatus.STOPPED
        )
        self._job = build_defs(overrides).resolve_job_def(job_name(source))
        self._partitions = partitions_name(source)
        end_dead_runs(dg.DagsterInstance.get(), source, platform.settings.lease_seconds)

    @staticmethod
    def new_run_id() -> str:
        return str(uuid.uuid4())

    def run(self, instance: Any, batch: Batch, run_id: str, tags: dict[str, str]) -> str | None:
        """Run a batch; what failed, if anything did."""
        instance.add_dynamic_partitions(self._partitions, [batch.batch_id])
        result = self._job.execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=instance,
            partition_key=batch.batch_id,
            tags=tags,
            run_id=run_id,
            raise_on_error=False,
        )
        if result.success:
            return None
        errors = [getattr(event.event_specific_data, "error", None) for event in result.all_events if event.is_failure]
        return next((error.message for error in errors if error), "the run failed")
