"""What the routes have in common: one of each to a process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from rates_api.database import Database
from rates_api.door import State
from rates_api.errors import Problem
from rates_api.metrics import Metrics
from rates_api.models import Plausible
from resources.platform import Platform


@dataclass(frozen=True)
class Service:
    platform: Platform
    plausible: Plausible
    database: Database
    metrics: Metrics
    state: State

    def check_span(self, first: date, last: date) -> None:
        """Raises Problem for days in the wrong order, and for too many."""
        if first > last:
            raise Problem(400, f"{first} is after date_to, {last}", "date_from")
        most = self.platform.settings.api_max_days
        if (last - first).days >= most:
            raise Problem(400, f"at most {most} days at once; these are {(last - first).days + 1}", "date_to")
