"""A tick that goes on looking while nothing lands. No Dagster here."""

from __future__ import annotations

import time

from pipeline_assets.source import FileSource
from resources.ledger.batches import due
from resources.platform import Platform
from sensors.discovery import Discovery
from sensors.looking import look_for_arrivals

_LAST_LOOK_SECONDS = 3.3
"""Dagster's daemon begins a round of ticks every 5 s and leaves out a sensor whose last tick still runs. A look takes
the time of settling and a little more, so one that begins by now ends before that."""
_QUICK_SECONDS = 0.25
"""A look that takes longer has many keys to go through: then once a tick must do."""


def look_while_idle(platform: Platform, source: FileSource) -> Discovery:
    """Look for what landed, and if there is nothing to do, look again within the same tick, so that a file need not
    wait for the next one. Only in a folder: a bucket asks a price for every listing, and tells of arrivals by itself.
    """
    begun = time.monotonic()
    pause = platform.settings.sensor_interval_seconds
    while True:
        started = time.monotonic()
        found = look_for_arrivals(platform, source)
        took = time.monotonic() - started
        is_idle = found.complete and not (found.new_files or found.unsettled or found.warnings)
        last = started + pause + platform.settings.settle_seconds - 1.0 > begun + _LAST_LOOK_SECONDS
        if platform.landing.is_atomic or not is_idle or took > _QUICK_SECONDS or last:
            return found
        if due(platform.ledger, source.name):
            return found
        time.sleep(max(0.0, pause - took))
