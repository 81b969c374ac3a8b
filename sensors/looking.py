"""One look for what landed, as the sensors and the command line take it. No Dagster here."""

from __future__ import annotations

from pipeline_assets.source import FileSource
from resources.ledger.batches import BatchLimits, free_dead
from resources.platform import Platform
from sensors.discovery import Discovery, discover


def batch_limits(platform: Platform) -> BatchLimits:
    settings = platform.settings
    return BatchLimits(settings.batch_max_files, settings.batch_max_mb * 1024 * 1024, settings.batch_wait_seconds)


def look_for_arrivals(platform: Platform, source: FileSource) -> Discovery:
    """Enter what landed for a source into the ledger, and take back batches whose run died."""
    settings = platform.settings
    found = discover(
        platform.ledger,
        platform.landing,
        source.name,
        source.prefix,
        settle_seconds=settings.settle_seconds,
        budget_seconds=settings.tick_budget_seconds,
    )
    free_dead(platform.ledger, source.name, settings.max_attempts)
    return found
