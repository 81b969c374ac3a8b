"""Keeping maintenance and commits of all sources out, while something needs ledger and lake to be of one moment."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pipeline_assets.heartbeat import Heartbeat
from pipeline_assets.source import FileSource
from resources.errors import UserError
from resources.ledger.database import Ledger
from resources.ledger.leases import Lease
from resources.ledger.publishing import end_commit_turn, take_commit_turn
from resources.ledger.upkeep import end_lease, take_maintenance
from resources.platform import Platform

_WAIT_SECONDS = 300.0
_LOOK_SECONDS = 0.05

Take = Callable[[Ledger, str, str, float], Lease | None]


class NoStandstill(UserError):
    """Somebody did not end in time. Nothing was done."""

    exit_code = 1


class Standstill:
    """Of some sources, while `maintenance_held`: nothing is deleted. Within it, while `commits_held`: nothing is committed."""

    def __init__(self, platform: Platform, sources: Sequence[FileSource], what: str) -> None:
        self._platform = platform
        self._sources = sources
        self._run_id = f"{what}-{uuid.uuid4().hex[:12]}"
        self._heartbeat = Heartbeat(platform.ledger, platform.settings.lease_seconds)

    @contextmanager
    def maintenance_held(self) -> Iterator[None]:
        """Raises NoStandstill."""
        with self._heartbeat:
            kept: list[Lease] = []
            try:
                self._take("maintenance", take_maintenance, kept)
                yield
            finally:
                self._heartbeat.stop()
                for lease in kept:
                    end_lease(self._platform.ledger, lease)

    @contextmanager
    def commits_held(self) -> Iterator[None]:
        """Raises NoStandstill."""
        turns: list[Lease] = []
        try:
            self._take("the commits", take_commit_turn, turns)
            yield
        finally:
            for turn in turns:
                self._heartbeat.release(turn)
                end_commit_turn(self._platform.ledger, turn)

    def _take(self, what: str, take: Take, into: list[Lease]) -> None:
        ledger, seconds = self._platform.ledger, self._platform.settings.lease_seconds
        for source in self._sources:
            deadline = time.monotonic() + _WAIT_SECONDS
            while (lease := take(ledger, source.name, self._run_id, seconds)) is None:
                if time.monotonic() > deadline:
                    raise NoStandstill(
                        f"{what} of {source.name} did not end within {_WAIT_SECONDS:g} s. Try again later."
                    )
                time.sleep(_LOOK_SECONDS)
            self._heartbeat.keep(lease)
            into.append(lease)
