"""Which files a version of a reader is for, so that old deliveries stay readable when their format changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from pipeline_assets.landed_file import LandedFile


@dataclass(frozen=True)
class Serves:
    """The files that a reader is for. What is not given does not matter; all that is given must hold.

    keys: patterns of whole keys, one of which must fit: ``rates/v1/*``, where ``*`` stands for any text, also with
          slashes in it.
    landed_from, landed_before: the time at which the landing store says that the file landed, with its zone; the first
          is included, the second is not. A file that has not landed (in a notebook) counts as landing now.
    content: looks further into the file than `Reader.recognises` can, such as for the number of its schema. May raise
          Refused.
    """

    keys: tuple[str, ...] = ()
    landed_from: datetime | None = None
    landed_before: datetime | None = None
    content: Callable[[LandedFile], bool] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.keys, str):
            raise ValueError(f"Serves(keys={self.keys!r}): give a tuple of patterns: ({self.keys!r},)")
        for name in ("landed_from", "landed_before"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"Serves({name}={moment.isoformat()}): give the time zone, such as tzinfo=UTC")
        if self.landed_from and self.landed_before and self.landed_from >= self.landed_before:
            raise ValueError("Serves: landed_from is not before landed_before, so the reader would serve no file")

    def __call__(self, file: LandedFile) -> bool:
        landed_at = file.landed_at or datetime.now(UTC)
        return (
            (not self.keys or any(fnmatchcase(file.key, pattern) for pattern in self.keys))
            and (self.landed_from is None or landed_at >= self.landed_from)
            and (self.landed_before is None or landed_at < self.landed_before)
            and (self.content is None or self.content(file))
        )

    def __str__(self) -> str:
        parts = [f"keys like {' or '.join(self.keys)}"] if self.keys else []
        if self.landed_from:
            parts.append(f"landed from {_utc(self.landed_from)} on")
        if self.landed_before:
            parts.append(f"landed before {_utc(self.landed_before)}")
        if self.content:
            parts.append(f"content for which {self.content.__name__} holds")
        return ", ".join(parts) or "every file"


EVERY_FILE = Serves()


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
