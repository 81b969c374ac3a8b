"""The queue of runs, whose limit is a setting."""

from __future__ import annotations

from dagster._core.run_coordinator import QueuedRunCoordinator


class LimitedRunCoordinator(QueuedRunCoordinator):
    """Dagster's own queue. Its limit of runs at once may be an environment variable only in the coordinator's own settings,
    and there, beside pools, Dagster refuses it by the name of its class."""
