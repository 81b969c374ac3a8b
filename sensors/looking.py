"""One look for what landed, as the sensors and the command line take it. No Dagster here."""

from __future__ import annotations

from pipeline_assets.registry import SOURCES
from pipeline_assets.source import FileSource
from resources.landing.store import StoreError
from resources.ledger.batches import BatchLimits, free_dead
from resources.platform import Platform
from sensors.discovery import Discovery, discover
from sensors.notifications import receive


def batch_limits(platform: Platform) -> BatchLimits:
    settings = platform.settings
    return BatchLimits(settings.batch_max_files, settings.batch_max_mb * 1024 * 1024, settings.batch_wait_seconds)


def look_for_arrivals(platform: Platform, source: FileSource, *, from_start: bool = False) -> Discovery:
    """Enter what landed for a source into the ledger, and take back batches whose run died.

    from_start: list the keys anew from their start, now, rather than going on or resting as the settings say.
    """
    settings = platform.settings
    told, warning = _told_by_queue(platform, source)
    found = discover(
        platform.ledger,
        platform.landing,
        source.name,
        source.prefix,
        settle_seconds=settings.settle_seconds,
        budget_seconds=settings.tick_budget_seconds,
        # Nothing but listing is left when the queue does not answer.
        rest_seconds=0.0 if warning else settings.listing_interval_seconds,
        from_start=from_start,
    )
    found.new_files = told + found.new_files
    found.warnings += [warning] if warning else []
    free_dead(platform.ledger, source.name, settings.max_attempts)
    return found


def _told_by_queue(platform: Platform, source: FileSource) -> tuple[list[str], str]:
    """New files of the source that notifications told of, and what is wrong with the queue or its messages.

    A queue that fails only costs speed, so it stops nothing.
    """
    if platform.queue is None:
        return [], ""
    prefixes = {one.name: one.prefix for one in (*SOURCES, source)}
    budget = platform.settings.tick_budget_seconds / 4
    try:
        received = receive(platform.ledger, platform.landing, platform.queue, prefixes, budget_seconds=budget)
    except StoreError as error:
        return [], str(error)
    return received.new_files.get(source.name, []), received.warning
