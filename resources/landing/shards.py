"""Keys that are sharded by date: which folders of them are closed, and what a listing says of those. Pure logic."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

_PARTS = {
    "{yyyy}": "(?P<year>[0-9]{4})",
    "{mm}": "(?P<month>[0-9]{2})",
    "{dd}": "(?P<day>[0-9]{2})",
    "*": "[^/]*",
}


class DateShards(BaseModel):
    """A source's declaration that its keys are sharded by date.

    pattern: the folders below the source's own, such as ``{yyyy}/{mm}/{dd}/`` or ``site-*/day={yyyy}-{mm}-{dd}/``; ``*``
             stands for any text within one folder's name. Folders above the finest one are shards as well: of a month,
             of a year.
    closed_after_days: so many days after the end of a shard's date, in UTC, no file lands or changes in it any more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pattern: str
    closed_after_days: Annotated[int, Field(ge=1, le=36_500)]

    @field_validator("pattern")
    @classmethod
    def _well_formed(cls, value: str) -> str:
        if not value.endswith("/") or value.startswith("/") or "//" in value:
            raise ValueError("write folders with a slash behind each, such as {yyyy}/{mm}/{dd}/")
        found = re.findall(r"\{[^/}]*\}", value)
        if found not in (["{yyyy}"], ["{yyyy}", "{mm}"], ["{yyyy}", "{mm}", "{dd}"]):
            raise ValueError("name each part of the date once, the year first: {yyyy}, {mm}, {dd}")
        return value

    @cached_property
    def _levels(self) -> list[re.Pattern[str]]:
        """For each folder from the one with the year on, what a key in it begins with."""
        folders = self.pattern.rstrip("/").split("/")
        first = next(number for number, folder in enumerate(folders) if "{yyyy}" in folder)
        return [
            re.compile("".join(_expression(folder) + "/" for folder in folders[: number + 1]))
            for number in range(first, len(folders))
        ]

    def closed(self, prefix: str, key: str, now: datetime) -> list[str]:
        """The shards that a key is in and that are closed now, the largest first. `prefix`: the source's folder."""
        found = []
        for level in self._levels:
            match = level.match(key, len(prefix)) if key.startswith(prefix) else None
            closes = self._closes(match) if match else None
            if match is None or closes is None:
                break
            if closes <= now:
                found.append(key[: match.end()])
        return found

    def is_closed(self, prefix: str, shard: str, listed_at: datetime, now: datetime) -> bool:
        """Whether a shard that was listed at a time was closed then, as declared now."""
        return shard in self.closed(prefix, shard, min(listed_at, now))

    def _closes(self, match: re.Match[str]) -> datetime | None:
        """When the shard of a date closes; None for what is no date."""
        parts = {name: int(digits) for name, digits in match.groupdict().items()}
        try:
            begin = date(parts["year"], parts.get("month", 1), parts.get("day", 1))
            if "day" in parts:
                end = begin + timedelta(days=1)
            elif "month" in parts:
                end = date(begin.year + begin.month // 12, begin.month % 12 + 1, 1)
            else:
                end = date(begin.year + 1, 1, 1)
            return datetime(end.year, end.month, end.day, tzinfo=UTC) + timedelta(days=self.closed_after_days)
        except (ValueError, OverflowError):
            return None


def _expression(folder: str) -> str:
    return "".join(_PARTS.get(part) or re.escape(part) for part in re.split(r"(\{[^}]*\}|\*)", folder))


@dataclass(frozen=True)
class Passed:
    """A closed shard that a listing did not go into."""

    prefix: str


class ShardsListed:
    """Follows a listing in its order, and tells which closed shards it has gone through from begin to end.

    begun: the shards that the listing is within at its begin, gone through so far. after: the key it goes on behind.
    """

    def __init__(
        self,
        shards: DateShards | None,
        prefix: str,
        now: datetime,
        *,
        begun: Iterable[str] = (),
        after: str | None = None,
    ) -> None:
        self._shards = shards
        self._prefix = prefix
        self._now = now
        self._last = after or ""
        self._within = list(begun)
        self.complete: set[str] = set()

    @property
    def within(self) -> list[str]:
        """The shards that the listing is within now, gone through from their begin."""
        return list(self._within)

    def see(self, name: str) -> None:
        """Take the next key in the listing's order."""
        if self._shards is None:
            return
        left = [shard for shard in self._within if not name.startswith(shard)]
        self.complete.update(left)
        for shard in self._shards.closed(self._prefix, name, self._now):
            if shard not in self._within and not self._last.startswith(shard):
                self._within.append(shard)
        self._within = [shard for shard in self._within if shard not in left]
        self._last = name

    def pass_by(self, shard: str) -> None:
        """Take the next shard that the listing did not go into, because it was gone through before."""
        self.see(shard)
        self._within = [one for one in self._within if one != shard]

    def end(self) -> None:
        """The listing has come to its end."""
        self.complete.update(self._within)
        self._within = []

    def spoil(self, name: str) -> None:
        """A key could not be taken, so the shards it is in are to be listed again."""
        self.complete = {shard for shard in self.complete if not name.startswith(shard)}
        self._within = [shard for shard in self._within if not name.startswith(shard)]


@dataclass(frozen=True)
class Closed:
    """Closed shards that a listing need not go into."""

    prefixes: frozenset[str] = frozenset()
    above: frozenset[str] = field(init=False)
    """every folder that has one of them somewhere below it"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "above", frozenset(_folders_above(self.prefixes)))

    def __contains__(self, folder: str) -> bool:
        return folder in self.prefixes


def _folders_above(prefixes: Collection[str]) -> set[str]:
    found: set[str] = set()
    for prefix in prefixes:
        folder = prefix
        while folder := folder[: folder.rstrip("/").rfind("/") + 1]:
            if folder in found:
                break
            found.add(folder)
    return found


NONE_CLOSED = Closed()
