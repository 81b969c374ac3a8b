"""Bytes are asked for ahead, given in order, and let go of whatever happens."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from pipeline_assets.reading_units import fetched
from resources.landing.store import Fetched, FileGone, StoreError
from resources.ledger.batches import ClaimedFile


@dataclass
class Bucket:
    """Keeps count of what is asked for and let go of; each key takes a moment."""

    at_once: int = 4
    broken: frozenset[str] = frozenset()
    held: set[bytes] = field(default_factory=set)
    most_held: int = 0
    most_at_once: int = 0
    _asking: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, key: str, version: str, size_bytes: int) -> bytes:
        with self._lock:
            self._asking += 1
            self.most_at_once = max(self.most_at_once, self._asking)
        time.sleep(0.01)
        with self._lock:
            self._asking -= 1
            if key in self.broken:
                raise StoreError(f"{key} cannot be had")
            if key == "gone":
                raise FileGone(key)
            self.held.add(key.encode())
            self.most_held = max(self.most_held, len(self.held))
        return key.encode()

    def fetch_with_metadata(self, key: str, version: str, size_bytes: int) -> Fetched:
        return Fetched(self.fetch(key, version, size_bytes))

    def done(self, content: bytes) -> None:
        with self._lock:
            self.held.remove(content)

    def longest_seconds(self, size_bytes: int) -> float:
        return 1.0


def units_of(*records: str) -> list[tuple[ClaimedFile, ...]]:
    return [tuple(ClaimedFile(key, key, "v", 1) for key in record.split()) for record in records]


@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_units_come_in_order_and_no_more_are_held_than_asked_for(at_once: int) -> None:
    bucket = Bucket(at_once)
    wanted = units_of(*(f"{number}.hea {number}.dat" for number in range(20)))
    seen = []
    for unit, contents, not_read in fetched(bucket, wanted):  # type: ignore[arg-type]
        assert not not_read
        assert [contents[file].content for file in unit] == [file.key.encode() for file in unit]
        seen.append(unit)
    assert seen == wanted
    assert not bucket.held
    assert bucket.most_held <= 2 * (at_once + 1)
    assert bucket.most_at_once <= at_once
    assert at_once == 1 or bucket.most_at_once > 1


def test_a_file_that_is_gone_does_not_keep_its_companions() -> None:
    bucket = Bucket()
    found = {
        unit[0].key: [outcome.state for outcome in left]
        for unit, _, left in fetched(bucket, units_of("a", "gone b", "c"))
    }  # type: ignore[arg-type]
    assert found == {"a": [], "gone": ["deleted", "waiting"], "c": []}
    assert not bucket.held


@pytest.mark.parametrize("stop_at", [0, 3, 9])
def test_whoever_stops_reading_leaves_nothing_held(stop_at: int) -> None:
    bucket = Bucket()
    with closing(fetched(bucket, units_of(*map(str, range(20))))) as units:  # type: ignore[arg-type]
        for _ in range(stop_at):
            next(units)
    assert not bucket.held


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_store_that_fails_fails_the_slice_and_leaves_nothing_held(at_once: int) -> None:
    bucket = Bucket(at_once, broken=frozenset({"5"}))
    with pytest.raises(StoreError, match="5 cannot be had"):
        for _ in fetched(bucket, units_of(*map(str, range(20)), "a b")):  # type: ignore[arg-type]
            pass
    assert not bucket.held
