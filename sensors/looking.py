"""One look for what landed, as the sensors and the command line take it. No Dagster here."""

from __future__ import annotations

from collections.abc import Callable

from pipeline_assets.registry import SOURCES, get_source
from pipeline_assets.source import FileSource
from resources.lake.erasure import kept_marks
from resources.landing.shards import DateShards
from resources.landing.store import StoreError
from resources.ledger.assembly import plan_groups, supersede_outdated
from resources.ledger.batches import free_dead
from resources.ledger.erasure import adopt_marks, marks_of
from resources.ledger.planning import BatchLimits, plan
from resources.ledger.queries import count_by_state
from resources.ledger.states import FileState
from resources.platform import Platform
from resources.settings import SettingsError
from sensors.assembling import assemble
from sensors.discovery import Discovery, discover
from sensors.notifications import receive


def batch_limits(platform: Platform) -> BatchLimits:
    settings = platform.settings
    return BatchLimits(settings.batch_max_files, settings.batch_max_mb * 1024 * 1024, settings.batch_wait_seconds)


def plan_batches(platform: Platform, source: FileSource, *, flush: bool = False) -> None:
    """Close a batch of what waits, or, where files come in groups, plan the groups that are whole.

    flush: now, without waiting for more, nor for the sources that go before this one.
    """
    if not flush and any(_has_outstanding(platform, get_source(name)) for name in source.after):
        return
    if source.groups is None:
        plan(platform.ledger, source.name, batch_limits(platform), flush=flush)
    else:
        groups = source.groups
        quiet = quiet_seconds(platform, source)
        plan_groups(platform.ledger, source.name, quiet_seconds=quiet, is_done=groups.is_done, flush=flush)


def quiet_seconds(platform: Platform, source: FileSource) -> float:
    """How long nothing more must come for a group before it is read: what the settings say, else the declaration."""
    declared = 0.0 if source.groups is None else source.groups.quiet_seconds
    return platform.settings.group_quiet_seconds.get(source.name, declared)


def _has_outstanding(platform: Platform, source: FileSource) -> bool:
    """Whether files of a source have landed that are not read yet."""
    if look_for_arrivals(platform, source).unsettled:
        return True
    return any(count_by_state(platform.ledger, source=source.name).get(state) for state in _TO_BE_READ)


_TO_BE_READ = (FileState.WAITING, FileState.PENDING, FileState.RUNNING)


def look_for_arrivals(
    platform: Platform,
    source: FileSource,
    *,
    from_start: bool = False,
    on_news: Callable[[int], None] | None = None,
) -> Discovery:
    """Enter what landed for a source into the ledger, and take back batches whose run died.

    from_start: list all keys anew from their start, now, closed shards too, rather than going on or resting as the
    settings say.
    on_news: see `discover`.
    """
    settings = platform.settings
    # They are all that an empty ledger has left of what was forgotten.
    kept = kept_marks(platform.lake, source.name)
    if kept and (unknown := kept - marks_of(platform.ledger, source.name)):
        adopt_marks(platform.ledger, source.name, unknown)
    told, warning = _told_by_queue(platform, source)
    found = discover(
        platform.ledger,
        platform.landing,
        source.name,
        settings.prefix_of(source.name),
        settle_seconds=settings.settle_seconds,
        budget_seconds=settings.tick_budget_seconds,
        # Nothing but listing is left when the queue does not answer.
        rest_seconds=0.0 if warning else settings.listing_interval_seconds,
        from_start=from_start,
        delivery=source.delivery,
        shards=_shards(platform, source),
        on_news=on_news,
    )
    found.new_files = told + found.new_files
    if source.records is not None or source.groups is not None:
        supersede_outdated(platform.ledger, source.name)
    assembled = assemble(platform, source, budget_seconds=settings.tick_budget_seconds / 8)
    found.waiting, found.waiting_until = assembled.waiting, assembled.waiting_until
    found.warnings += [text for text in (warning, assembled.warning) if text]
    free_dead(platform.ledger, source.name, settings.max_attempts)
    return found


def _shards(platform: Platform, source: FileSource) -> DateShards | None:
    declared = platform.settings.date_shards
    names = sorted({one.name for one in (*SOURCES, source)})
    unknown = sorted(set(declared) - set(names))
    if unknown:
        raise SettingsError(
            f"STRANDLINE_DATE_SHARDS names {', '.join(map(repr, unknown))}, which is no source. Sources: {', '.join(names)}."
        )
    return declared.get(source.name, source.shards)


def _told_by_queue(platform: Platform, source: FileSource) -> tuple[list[str], str]:
    """New files of the source that notifications told of, and what is wrong with the queue or its messages.

    A queue that fails only costs speed, so it stops nothing.
    """
    if platform.queue is None:
        return [], ""
    sources = (*SOURCES, source)
    prefixes = {one.name: platform.settings.prefix_of(one.name) for one in sources}
    deliveries = {one.name: one.delivery for one in sources}
    budget = platform.settings.tick_budget_seconds / 4
    try:
        received = receive(
            platform.ledger, platform.landing, platform.queue, prefixes, budget_seconds=budget, deliveries=deliveries
        )
    except StoreError as error:
        return [], str(error)
    return received.new_files.get(source.name, []), received.warning
