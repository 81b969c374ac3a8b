"""Finding out what has landed: looks at a source's folder, and enters whole files into the ledger. No Dagster here."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta

from resources.landing.store import FileChanged, FileGone, LandingStore, Skipped
from resources.ledger import Ledger
from resources.ledger.arrivals import (
    KnownLook,
    Look,
    Settled,
    forget_looks,
    known_looks,
    record_arrivals,
    remember_looks,
)
from resources.ledger.database import utc_now

_RECORD_EVERY = 500


@dataclass
class Discovery:
    """What one look at a source's folder found."""

    listed: int = 0
    new_files: list[str] = field(default_factory=list)
    unsettled: int = 0
    """keys whose file may still be being written; the next look decides"""
    skipped: list[Skipped] = field(default_factory=list)


def discover(
    ledger: Ledger, store: LandingStore, source: str, prefix: str, *, settle_seconds: float, budget_seconds: float
) -> Discovery:
    """List a source's keys and enter the files that are new and whole.

    A file is whole when its size and modification time are the same at two looks `settle_seconds` apart. Both looks
    are taken here when the time allows; else the next call takes the second one. Ends by itself soon after
    `budget_seconds`, having lost nothing: what it did not get to is found by the next call. Raises what the store
    raises when it cannot be listed: a failed look is not an empty folder.
    """
    deadline = time.monotonic() + budget_seconds
    found = Discovery()
    known = known_looks(ledger, source, store.name)
    fresh: list[Look] = []
    whole: list[Look] = []
    settled_before = utc_now() - timedelta(seconds=settle_seconds)
    listed: set[str] = set()
    for seen in store.list(prefix):
        if isinstance(seen, Skipped):
            found.skipped.append(seen)
            continue
        listed.add(seen.key)
        before = known.get(seen.key)
        if before is None or not before.same_as(seen):
            fresh.append(seen)
        elif before.version is None:
            (whole if before.looked_at <= settled_before else fresh).append(seen)
    found.listed = len(listed)
    fresh.sort(key=_by_arrival)
    whole.sort(key=_by_arrival)
    forget_looks(ledger, store.name, [key for key, look in known.items() if look.version is None and key not in listed])

    unsettled: list[Look] = []
    if fresh and time.monotonic() + settle_seconds < deadline:
        time.sleep(settle_seconds)
        settled, unsettled = _look_again(store, fresh)
        whole += settled
    else:
        unsettled = fresh
    unsettled += _enter(ledger, store, source, whole, deadline, found)
    _remember(ledger, store, source, unsettled, known)
    found.unsettled = len(unsettled)
    return found


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


def _enter(
    ledger: Ledger, store: LandingStore, source: str, whole: list[Look], deadline: float, found: Discovery
) -> list[Look]:
    """Enter whole files; those that turned out to be changing, or that there was no time for."""
    left: list[Look] = []
    ready: list[Settled] = []
    for position, look in enumerate(whole):
        if time.monotonic() > deadline:
            left += whole[position:]
            break
        try:
            ready.append(Settled(look, store.version_of(look)))
        except FileGone:
            continue
        except FileChanged:
            left.append(store.look(look.key) or look)
        except PermissionError:
            reason = "it cannot be read (permission denied); let the platform's user read it"
            found.skipped.append(Skipped(look.key, reason))
        if len(ready) >= _RECORD_EVERY:
            found.new_files += record_arrivals(ledger, source, store.name, ready)
            ready = []
    found.new_files += record_arrivals(ledger, source, store.name, ready)
    return left


def _remember(
    ledger: Ledger, store: LandingStore, source: str, unsettled: list[Look], known: dict[str, KnownLook]
) -> None:
    changed = [look for look in unsettled if look.key not in known or not known[look.key].same_as(look)]
    remember_looks(ledger, source, store.name, changed)
