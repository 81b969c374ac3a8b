"""`strandline drain`: discover, plan and run in the foreground, through Dagster, until nothing is left to do."""

from __future__ import annotations

import gc
import json
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import click

from cli.instance import make_databases, use_dagster_home
from cli.notes import complain
from cli.progress import BarReporter
from cli.signals import terminate_as_interrupt
from cli.warm_up import WarmUp
from pipeline_assets.source import FileSource
from resources.ledger.batches import Batch, BatchBusy, BatchState, SourceBusy, claim, due, get_batch, live
from resources.ledger.database import utc_now
from resources.ledger.queries import count_states_of_batch
from resources.logs import bound
from resources.platform import Platform

ALL_COMMITTED, PLATFORM_ERROR, SOME_NOT_COMMITTED = 0, 1, 3

_MOST_LOOKS_AT_GROWING_FILES = 10
_WAIT_SECONDS = 0.5
_LONGEST_WAIT_FOR_PARTS = 5.0
_PRUNING_SECONDS = 5.0
_BATCHES_BETWEEN_LOOKS_AT_THE_LAKE = 20


@dataclass
class Summary:
    """What a drain did."""

    batches: int = 0
    aggregates: list[str] = field(default_factory=list)
    """that were brought up to date"""
    products: list[str] = field(default_factory=list)
    """that could not be made; files and tables are whole without them"""
    states: dict[str, int] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    still_written: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    """by source, files that wait for the rest of their record"""
    skipped: list[str] = field(default_factory=list)
    merged: int = 0
    """small data files, because many had piled up"""

    def count(self, states: dict[str, int]) -> None:
        for state, files in states.items():
            self.states[state] = self.states.get(state, 0) + files

    @property
    def exit_code(self) -> int:
        if self.failed:
            return PLATFORM_ERROR
        refused = self.states.get("quarantined", 0) + self.states.get("held", 0)
        left = self.held or self.still_written or self.skipped or any(self.waiting.values()) or self.products
        return SOME_NOT_COMMITTED if refused or left else ALL_COMMITTED


def drain_sources(platform: Platform, sources: Sequence[FileSource], *, as_json: bool = False) -> int:
    """Process everything outstanding of some sources. Returns the exit code."""
    use_dagster_home(platform.settings)
    # What Dagster and a batch's files are made of lives as long as the drain; Python's usual thresholds, meant for small
    # programs, have it looked through a thousand times.
    gc.set_threshold(50_000, 50, 100)
    summary = Summary()
    with terminate_as_interrupt(), BarReporter() as bar:
        for source in sources:
            with bound(source=source.name):
                drain = _Drain(platform, source, bar, summary)
                drain.until_done()
                drain.make_products()
                drain.update_aggregates()
        if platform.settings.slack_token is not None:
            _tell_people(platform, sources)
    if as_json:
        click.echo(json.dumps({**asdict(summary), "exit_code": summary.exit_code}))
    else:
        _print(summary)
    return summary.exit_code


def _tell_people(platform: Platform, sources: Sequence[FileSource]) -> None:
    """What a drain without a daemon beside it would leave untold. Whoever typed it without Slack reads its summary."""
    from dagster import DagsterInstance

    from resources.telling import tell_people
    from sensors.alerts import look_for_alerts

    try:
        look_for_alerts(DagsterInstance.get(), platform, sources)
    except Exception as error:
        complain(f"alerts were not looked for ({type(error).__name__}: {error})")
    told = tell_people(platform)
    if told.error:
        complain(f"alerts are not delivered; they stay in the ledger for the next drain or sensor: {told.error}")


def _print(summary: Summary) -> None:
    files = ", ".join(f"{count:,} {state}" for state, count in sorted(summary.states.items()))
    click.echo(f"{summary.batches} batch{'' if summary.batches == 1 else 'es'} run{': ' + files if files else ''}")
    if summary.states.get("quarantined"):
        click.echo("refused, with reasons: strandline files --state quarantined")
    for batch_id in summary.held:
        click.echo(f"held: batch {batch_id}; let it pass with: strandline release {batch_id}")
    if summary.still_written:
        click.echo(f"{summary.still_written} files are still being written; drain again when they are whole")
    if any(summary.waiting.values()):
        click.echo(
            f"{sum(summary.waiting.values())} files wait for the rest of their record: strandline files --state waiting"
        )
    if summary.merged:
        click.echo(f"{summary.merged:,} small data files merged, because many had piled up")
    for text in summary.products:
        click.echo(f"not made: {text}")
    for text in summary.skipped:
        click.echo(f"not taken: {text}")
    for text in summary.failed:
        complain(f"FAILED: {text}")


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
        self._waiting_until: datetime | None = None
        self._runner: Any = None
        self._warm_up = WarmUp(source)
        self._since_look_at_the_lake = 0

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
            elif self._waits_a_moment():
                time.sleep(_WAIT_SECONDS)
            else:
                self.summary.still_written += unsettled
                if self._runner is not None:
                    self._runner.prune()
                self._maintain_if_need_be(after=1)
                return

    def _maintain_if_need_be(self, after: int) -> None:
        """Where no daemon runs, nothing else merges small data files. after: so many batches since it was last looked at."""
        if self._since_look_at_the_lake < after:
            return
        self._since_look_at_the_lake = 0
        from pipeline_assets.operations.maintain import has_piled_up, maintain

        try:
            if has_piled_up(self.platform, self.source):
                self.bar.say(f"merging small data files of {self.source.name}")
                self.summary.merged += maintain(self.platform, self.source, f"drain-{uuid.uuid4().hex[:12]}").merged
        except Exception as error:
            self.summary.failed.append(f"maintenance of {self.source.name}: {type(error).__name__}: {error}")

    def update_aggregates(self) -> None:
        """At once, whatever a sensor would wait for."""
        if not self.source.aggregates:
            return
        from pipeline_assets.aggregate_run import is_behind
        from resources.settings import load_source_config

        config = load_source_config(self.source.config, self.source.name)
        lacking = [one for one in self.source.aggregates if is_behind(self.platform, self.source, one, config)]
        if not lacking:
            return
        names = [f"{self.source.name}.{one.name}" for one in lacking]
        self.bar.say(f"updating {', '.join(names)}")
        if self._runner is None:
            self._runner = _Runner(self.platform, self.source, self.bar)
        error = self._runner.run_aggregates()
        if error is None:
            self.summary.aggregates += names
        else:
            self.summary.failed.append(f"aggregates of {self.source.name}: {error}")

    def make_products(self) -> None:
        """Those that no run has made: of a run that died after its commit, or of a batch that lost rows to another."""
        if not self.source.products:
            return
        from itertools import groupby

        from pipeline_assets.product_run import behind_products
        from resources.settings import load_source_config

        config = load_source_config(self.source.config, self.source.name)
        lacking = [one for one in behind_products(self.platform, self.source, config) if not one.failures]
        for batch_id, products in groupby(lacking, key=lambda product: product.batch_id):
            batch = get_batch(self.platform.ledger, batch_id)
            if batch.state == BatchState.RUNNING:
                continue  # its run makes them
            if self._runner is None:
                self._runner = _Runner(self.platform, self.source, self.bar)
            self._runner.run_products(batch, [product.name for product in products])
        for product in behind_products(self.platform, self.source, config):
            if product.error:
                partition = get_batch(self.platform.ledger, product.batch_id).partition
                self.summary.products.append(f"{self.source.name}/{product.name} of {partition}: {product.error}")

    def _look(self) -> int:
        from sensors.looking import look_for_arrivals, plan_batches

        # All there is now, whatever a sensor's listing has come by: this drain's first look begins from the start.
        found = look_for_arrivals(self.platform, self.source, from_start=self._looks == 0, on_news=self._warm_up.begin)
        self._looks += 1
        self._is_listed = self._is_listed or found.complete
        for warning in found.warnings:
            self.bar.say(warning)
        for skipped in found.skipped:
            text = f"{skipped.name}: {skipped.reason}"
            if text not in self.summary.skipped:
                self.summary.skipped.append(text)
        self.summary.waiting[self.source.name] = found.waiting
        self._waiting_until = found.waiting_until
        plan_batches(self.platform, self.source, flush=True)
        return found.unsettled

    def _waits_a_moment(self) -> bool:
        """Whether a record that is not whole is about to have waited long enough."""
        soon = utc_now() + timedelta(seconds=_LONGEST_WAIT_FOR_PARTS)
        return self._waiting_until is not None and self._waiting_until <= soon

    def _run_what_is_due(self) -> bool:
        """Whether there was anything, be it that another run was quicker to do it: then it is worth looking again."""
        outstanding = due(self.platform.ledger, self.source.name, ignore_backoff=True)
        untried = [batch for batch in outstanding if batch.batch_id not in self._tried]
        for batch in untried:
            self._tried.add(batch.batch_id)
            try:
                self._run(batch)
            except SourceBusy:
                self._tried.remove(batch.batch_id)
                return batch is not untried[0]
        return bool(untried)

    def _run(self, batch: Batch) -> None:
        """Raises SourceBusy when the batch must wait for another run of the source to end."""
        self._warm_up.begin(batch.files)
        self._warm_up.end()
        from dagster import DagsterInstance

        from pipeline_assets.source_defs import DRAIN, STARTED_BY_TAG, run_tags

        if self._runner is None:
            self._runner = _Runner(self.platform, self.source, self.bar)
        tags = {**run_tags(batch), STARTED_BY_TAG: DRAIN}
        run_id = self._runner.new_run_id()
        try:
            # Claimed before the run begins, so that a sensor beside this drain does not ask for the batch as well.
            settings = self.platform.settings
            most = settings.max_runs_of.get(self.source.name)
            claim(
                self.platform.ledger, batch.batch_id, run_id, settings.lease_seconds, attempt=batch.attempt + 1,
                most_runs=most,
            )  # fmt: skip
        except BatchBusy:
            return
        error = self._runner.run(DagsterInstance.get(), batch, run_id, tags)
        self._since_look_at_the_lake += 1
        self._maintain_if_need_be(after=_BATCHES_BETWEEN_LOOKS_AT_THE_LAKE)
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
        from sensors.run_limits import keep_run_limits

        logging.getLogger("alembic").setLevel(logging.WARNING)
        overrides = Overrides(
            sources=(source,), platform=platform, reporter=bar.for_run, sensor_status=dg.DefaultSensorStatus.STOPPED
        )
        self._defs = build_defs(overrides)
        self._job = self._defs.resolve_job_def(job_name(source))
        self._platform = platform
        self._source = source
        self._partitions = partitions_name(source)
        make_databases(platform.settings)
        keep_run_limits(dg.DagsterInstance.get(), platform.settings, [source])
        end_dead_runs(dg.DagsterInstance.get(), source, platform.settings.lease_seconds)

    @staticmethod
    def new_run_id() -> str:
        return str(uuid.uuid4())

    def prune(self) -> None:
        """Runs added partitions here; without a daemon nothing else deletes old ones."""
        import dagster as dg

        from sensors.pruning import prune_partitions

        keep = self._platform.settings.partitions_kept
        ledger = self._platform.ledger
        prune_partitions(dg.DagsterInstance.get(), ledger, self._source, keep=keep, budget_seconds=_PRUNING_SECONDS)

    def run(self, instance: Any, batch: Batch, run_id: str, tags: dict[str, str]) -> str | None:
        """Run a batch; what failed, if anything did."""
        instance.add_dynamic_partitions(self._partitions, [batch.partition])
        result = self._job.execute_in_process(
            run_config=_QUIET,
            instance=instance,
            partition_key=batch.partition,
            tags=tags,
            run_id=run_id,
            raise_on_error=False,
        )
        return _error_of(result)

    def run_products(self, batch: Batch, names: list[str]) -> None:
        """Make products of a batch. What becomes of them is in the ledger."""
        from dagster import DagsterInstance

        from pipeline_assets.product_defs import product_key
        from pipeline_assets.source_defs import DRAIN, STARTED_BY_TAG, products_job_name

        instance = DagsterInstance.get()
        instance.add_dynamic_partitions(self._partitions, [batch.partition])
        self._defs.resolve_job_def(products_job_name(self._source)).execute_in_process(
            run_config=_QUIET,
            instance=instance,
            partition_key=batch.partition,
            asset_selection=[product_key(self._source, name) for name in names],
            tags={STARTED_BY_TAG: DRAIN},
            raise_on_error=False,
        )

    def run_aggregates(self) -> str | None:
        """Bring the source's aggregates up to date; what failed, if anything did."""
        from dagster import DagsterInstance

        from pipeline_assets.aggregate_defs import aggregate_job_name
        from pipeline_assets.source_defs import DRAIN, STARTED_BY_TAG

        job = self._defs.resolve_job_def(aggregate_job_name(self._source))
        result = job.execute_in_process(
            run_config=_QUIET, instance=DagsterInstance.get(), tags={STARTED_BY_TAG: DRAIN}, raise_on_error=False
        )
        return _error_of(result)


_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def _error_of(result: Any) -> str | None:
    if result.success:
        return None
    errors = [getattr(event.event_specific_data, "error", None) for event in result.all_events if event.is_failure]
    error = next((error for error in errors if error), None)
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "the run failed"
