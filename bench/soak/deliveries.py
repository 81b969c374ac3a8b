"""What lands during a soak: good files, bad ones, overwrites, late files of a group, equal bytes; and what must become of each.

Nothing here asks the platform anything: what is expected follows from what was sent.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.soak.sources import MARK, parse

BAD_SHARE, OVERWRITTEN_SHARE, EQUAL_SHARE = 0.05, 0.10, 0.10
_MOST_VALUES = 60
_VALUES = 500
"""Different values there are, so that aggregates have few keys and each is touched again and again."""

ROWS, REFUSED, DUPLICATE = "committed", "quarantined", "duplicate"


@dataclass
class Delivery:
    """One file, or record of two, that landed. landed: `time.monotonic()` once the last of it was in place."""

    number: int
    source: str
    key: str
    expected: str
    values: list[float] = field(default_factory=list)
    others: tuple[str, ...] = ()
    landed: float = 0.0
    visible: float | None = None
    is_replaced: bool = False


class Sender:
    """Lands files of the five sources. Each is written aside and renamed into place, as landing files should be."""

    def __init__(self, landing: Path, aside: Path, seed: int) -> None:
        self._landing, self._aside = landing, aside
        self._chance = random.Random(seed)
        self.sent: list[Delivery] = []
        self._newest: dict[str, Delivery] = {}
        aside.mkdir(parents=True, exist_ok=True)

    def send(self, source: str, files: int) -> None:
        survey = f"surveys/{len(self.sent):06d}"
        for _ in range(files):
            delivery = self._next(source, survey)
            self.sent.append(delivery)
            self._newest[delivery.key] = delivery
            delivery.landed = time.monotonic()

    def waiting(self) -> Iterator[Delivery]:
        """Those whose rows are to become visible and were not seen."""
        return (one for one in self.sent if one.expected == ROWS and one.visible is None and not one.is_replaced)

    def expected_rows(self, source: str) -> dict[tuple[str, int], list[float]]:
        """Values by key and delivery that the tables must have once all is done, and no others."""
        return {
            (one.key, one.number): one.values
            for one in self.sent
            if one.source == source and one.expected == ROWS and not one.is_replaced
        }

    def _next(self, source: str, survey: str) -> Delivery:
        number = len(self.sent)
        shown = [one for one in self.sent[-2000:] if one.source == source and one.visible and not one.is_replaced]
        roll = self._chance.random()
        # What is overwritten before anything could see it is nobody's loss, and would only look like one.
        seen = [one for one in shown if self._newest[one.key] is one]
        if seen and roll < OVERWRITTEN_SHARE:
            return self._overwrite(self._chance.choice(seen), number)
        if shown and source == "posted" and roll < OVERWRITTEN_SHARE + EQUAL_SHARE:
            again = Delivery(number, source, f"{source}/copy-{number:06d}.csv", DUPLICATE)
            first = self._chance.choice(shown)
            self._put(again.key, _content(first.number, first.values))
            return again
        key = f"{source}/{number // 1000:03d}/{number:06d}.csv"
        if source == "surveys":
            late = shown and roll > 1 - OVERWRITTEN_SHARE
            key = f"{self._chance.choice(shown).key.rpartition('/')[0] if late else survey}/{number:06d}.csv"
        values = [float(self._chance.randrange(_VALUES)) for _ in range(self._chance.randint(1, _MOST_VALUES))]
        if self._chance.random() < BAD_SHARE:
            return self._bad(number, source, key)
        if source == "paired":
            return self._pair(number, key.removesuffix(".csv"), values)
        self._put(key, _content(number, values))
        return Delivery(number, source, key, ROWS, values)

    def _bad(self, number: int, source: str, key: str) -> Delivery:
        if source == "paired":
            stem = key.removesuffix(".csv")
            self._put(f"{stem}.part", _content(number, [1.0]))
            self._put(f"{stem}.hdr", b"%s%d\n@%s\nno number\n" % (MARK, number, f"{Path(stem).name}.part".encode()))
            return Delivery(number, source, f"{stem}.hdr", REFUSED, others=(f"{stem}.part",))
        self._put(key, b"%s%d\nno number\n" % (MARK, number))
        return Delivery(number, source, key, REFUSED)

    def _pair(self, number: int, stem: str, values: list[float]) -> Delivery:
        half = len(values) // 2
        part = f"{stem}.part"
        contents = [
            (f"{stem}.hdr", _content(number, values[:half], needs=Path(part).name)),
            (part, _content(number, values[half:])),
        ]
        self._chance.shuffle(contents)
        for key, content in contents:
            self._put(key, content)
        return Delivery(number, "paired", f"{stem}.hdr", ROWS, values, others=(part,))

    def _overwrite(self, older: Delivery, number: int) -> Delivery:
        values = [float(self._chance.randrange(_VALUES)) for _ in range(self._chance.randint(1, _MOST_VALUES))]
        of_part: list[float] = []
        if older.others:
            of_part = parse((self._landing / older.others[0]).read_bytes())[1]
        needs = Path(older.others[0]).name if older.others else ""
        self._put(older.key, _content(number, values, needs=needs))
        older.is_replaced = older.source != "posted"
        return Delivery(number, older.source, older.key, ROWS, values + of_part, older.others)

    def _put(self, key: str, content: bytes) -> None:
        aside, target = self._aside / "next", self._landing / key
        aside.write_bytes(content)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(aside, target)


def _content(number: int, values: list[float], needs: str = "") -> bytes:
    lines = [f"{MARK.decode()}{number}", *([f"@{needs}"] if needs else []), *map(str, values)]
    return "\n".join(lines).encode() + b"\n"
