"""Finding out what has landed: lists a source's keys, and enters whole files into the ledger. No Dagster here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from resources.landing.shards import Closed, DateShards, Passed, ShardsListed
from resources.landing.store import FileChanged, FileGone, LandingStore, Skipped
from resources.ledger import Ledger
from resources.ledger.arrivals import (
    EACH_ALONE,
    Delivery,
    KnownLook,
    Look,
    Settled,
    forget_looks,
    known_looks,
    record_arrivals,
    remember_looks,
)
from resources.ledger.database import utc_now
from resources.ledger.sweeps import go_on, listed_shards, note_listed_shards, save_position

_RECORD_EVERY = 500
_MOST_FRESH = 20_000
_LINGER_SECONDS = 5.0
"""Once something new was found, a listing goes on for no longer than this: what was found wants to be read."""


@dataclass
class Discovery:
    """What one look at a source's keys found."""

    listed: int = 0
    new_files: list[str] = field(default_factory=list)
    unsettled: int = 0
    """keys whose file may still be being written; the next look decides"""
    skipped: list[Skipped] = field(default_factory=list)
    passed: int = 0
    """closed shards that were not listed again"""
    complete: bool = True
    """whether the listing came to its end; if not, the next look goes on"""
    warnings: list[str] = field(default_factory=list)
    waiting: int = 0
    """files that wait for the rest of their record"""
    waiting_until: datetime | None = None
    """when the first of them will have waited long enough"""


def discover(
    ledger: Ledger,
    store: LandingStore,
    source: str,
    prefix: str,
    *,
    settle_seconds: float,
    budget_seconds: float,
    rest_seconds: float = 0.0,
    from_start: bool = False,
    delivery: Delivery = EACH_ALONE,
    shards: DateShards | None = None,
    on_news: Callable[[int], None] | None = None,
) -> Discovery:
    """List a source's keys and enter the files that are new and whole.

    Where files appear bit by bit, one is whole when its size and modification time are the same at two looks
    `settle_seconds` apart. Both looks are taken here when the time allows; else the next call takes the second one.

    Ends by itself soon after `budget_seconds`, having lost nothing: the next call goes on where this one stopped, and
    after the end of the keys begins anew, though not before `rest_seconds` have passed. `from_start` begins anew at
    once, and lists all there is.

    shards: how the keys are sharded by date. A shard that was listed completely after it had closed is not listed again,
    unless a file in it could not be taken or was not there any more when it was read.
    on_news: told how many keys are new or changed before it is known whether their files are whole, so that what
    their reading needs can be made ready meanwhile.

    Raises what the store raises when it cannot be listed: a failed look is not an empty folder.
    """
    deadline = time.monotonic() + budget_seconds
    now = utc_now()
    sweep = go_on(ledger, source, store.name, rest_seconds=rest_seconds, restart=from_start)
    listed = ShardsListed(
        shards, prefix, now, begun=sweep.shards if sweep else (), after=sweep.position if sweep else None
    )
    looking = _Looking(ledger, store, source, settle_seconds, deadline, delivery, listed, on_news)
    if sweep is None:
        looking.take([])
        return looking.found
    known = _known_shards(ledger, source, store, prefix, shards, now)
    closed = Closed(frozenset() if sweep.lists_all else known)
    position = sweep.position
    try:
        part: list[Look] = []
        for page in store.pages(prefix, sweep.position, closed):
            part += looking.sort_out(page.seen)
            go_further = page.position is not None and not looking.is_late
            if go_further and not store.is_atomic and len(part) < _MOST_FRESH:
                continue
            looking.take(part)
            part, position = [], page.position
            if not go_further or looking.is_late:
                break
    except BaseException:
        if position is not None and position != sweep.position:
            save_position(ledger, sweep, position, keep_time=rest_seconds > 0)
        raise
    if position is None:
        listed.end()
    noted = listed.complete - known
    if noted:
        note_listed_shards(ledger, source, store.name, noted, now)
    # Around shards noted just now some servers list in another order, so what lies around them is gone through anew.
    begun = listed.within if sweep.lists_all or not noted else []
    save_position(ledger, sweep, position, keep_time=rest_seconds > 0, shards=begun)
    looking.found.complete = position is None
    return looking.found


def _known_shards(
    ledger: Ledger, source: str, store: LandingStore, prefix: str, shards: DateShards | None, now: datetime
) -> frozenset[str]:
    """Closed shards that were listed completely since they closed, as they are declared now."""
    if shards is None:
        return frozenset()
    known = listed_shards(ledger, source, store.name)
    return frozenset(one for one, listed_at in known.items() if shards.is_closed(prefix, one, listed_at, now))


class _Looking:
    """One look: what it has found so far, and how it tells new keys from old ones."""

    def __init__(
        self,
        ledger: Ledger,
        store: LandingStore,
        source: str,
        settle_seconds: float,
        deadline: float,
        delivery: Delivery,
        listed: ShardsListed,
        on_news: Callable[[int], None] | None,
    ) -> None:
        self._delivery = delivery
        self.ledger = ledger
        self.store = store
        self.source = source
        self.settle_seconds = settle_seconds
        self.deadline = deadline
        self.listed = listed
        self.on_news = on_news
        self.found = Discovery()
        self._list_until = deadline
        self._known: dict[str, KnownLook] = {}
        self._left_over = {} if store.is_atomic else known_looks(ledger, source, store.name, unsettled=True)
        self._settled_before = utc_now() - timedelta(seconds=settle_seconds)

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self._list_until

    def sort_out(self, seen: Sequence[Look | Skipped | Passed]) -> list[Look]:
        """Those of the keys seen that are new, changed, or not known to be whole."""
        for one in seen:
            if isinstance(one, Passed):
                self.listed.pass_by(one.prefix)
                self.found.passed += 1
            elif isinstance(one, Look):
                self.listed.see(one.key)
        looks = [one for one in seen if isinstance(one, Look)]
        self.found.skipped += [one for one in seen if isinstance(one, Skipped)]
        self.found.listed += len(looks)
        known = known_looks(self.ledger, self.source, self.store.name, [look.key for look in looks])
        part = [look for look in looks if _is_news(known.get(look.key), look)]
        self._known |= {look.key: known[look.key] for look in part if look.key in known}
        for look in looks:
            self._left_over.pop(look.key, None)
        return part

    def take(self, part: list[Look]) -> None:
        """Enter what is whole, and remember the rest for the next look."""
        part += self._look_at_left_over()
        if part and self.on_news:
            self.on_news(len(part))
        whole: list[Look] = []
        fresh: list[Look] = []
        for look in sorted(part, key=_by_arrival):
            (whole if self.store.is_atomic or self._has_settled(look) else fresh).append(look)
        unsettled = fresh
        if fresh and time.monotonic() + self.settle_seconds < self.deadline:
            time.sleep(self.settle_seconds)
            settled, unsettled = _look_again(self.store, fresh)
            whole += settled
        unsettled = unsettled + self._enter(whole)
        changed = [look for look in unsettled if look.key not in self._known or not self._known[look.key].same_as(look)]
        remember_looks(self.ledger, self.source, self.store.name, changed)
        for look in unsettled:
            self.listed.spoil(look.key)
        self.found.unsettled += len(unsettled)
        self._known = {}
        if self.found.new_files:
            self._list_until = min(self._list_until, time.monotonic() + _LINGER_SECONDS)

    def _look_at_left_over(self) -> list[Look]:
        """Keys that were not whole at an earlier look, and that this listing did not come by."""
        left_over, self._left_over = self._left_over, {}
        now = {key: self.store.look(key) for key in left_over}
        forget_looks(self.ledger, self.store.name, [key for key, look in now.items() if look is None])
        self._known |= left_over
        return [look for look in now.values() if look is not None]

    def _has_settled(self, look: Look) -> bool:
        before = self._known.get(look.key)
        return before is not None and before.same_as(look) and before.looked_at <= self._settled_before

    def _enter(self, whole: list[Look]) -> list[Look]:
        """Enter whole files; those that turned out to be changing, or that there was no time for."""
        left: list[Look] = []
        ready: list[Settled] = []
        for position, look in enumerate(whole):
            if position and time.monotonic() > self.deadline and not self.store.is_atomic:
                left += whole[position:]
                break
            try:
                ready.append(Settled(look, self.store.version_of(look)))
            except FileGone:
                continue
            except FileChanged:
                left.append(self.store.look(look.key) or look)
            except PermissionError:
                reason = "it cannot be read (permission denied); let the platform's user read it"
                self.found.skipped.append(Skipped(look.key, reason))
                self.listed.spoil(look.key)
            if len(ready) >= _RECORD_EVERY:
                self.found.new_files += self._record(ready)
                ready = []
        self.found.new_files += self._record(ready)
        return left

    def _record(self, ready: list[Settled]) -> list[str]:
        return record_arrivals(self.ledger, self.source, self.store.name, ready, self._delivery)


def _is_news(before: KnownLook | None, look: Look) -> bool:
    return before is None or before.version is None or not before.same_as(look)


def _by_arrival(look: Look) -> tuple[int, str]:
    return look.mtime_ns, look.key


def _look_again(store: LandingStore, fresh: list[Look]) -> tuple[list[Look], list[Look]]:
    settled: list[Look] = []
    changed: list[Look] = []
    for look in fresh:
        now = store.look(look.key)
        if now == look:
            settled.append(look)
        elif now is not None:
            changed.append(now)
    return settled, changed
