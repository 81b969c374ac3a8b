"""Waiting with a limit. Tests wait less."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Patience:
    """How long to wait for one thing, and how often to look (seconds)."""

    limit: float
    every: float = 10.0

    def wait(self, look: Callable[[], _Found | None]) -> _Found | None:
        """The first thing that a look gives; None when the time is over. Looks at least twice."""
        deadline = time.monotonic() + self.limit
        while True:
            is_last = time.monotonic() >= deadline
            found = look()
            if found is not None or is_last:
                return found
            time.sleep(self.every)
