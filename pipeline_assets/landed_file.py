"""What a source's pure code works with: the file in hand, and the word for refusing it.

Nothing here knows Dagster, the ledger or where files come from, so that `read.py` and `derive.py` can be run
and tested with a file and nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    pass

Rows = "pd.DataFrame | Mapping[str, Any]"
"""Rows of one table: a DataFrame, or columns by name, each an array, a list or one value that holds for every row."""


class Refused(Exception):
    """Raised by reading or deriving code to refuse a file. Bad data is data: it goes to quarantine and is not retried.

    error_class: a stable snake_case word that people filter by, such as ``flat_line``.
    message: what was found, what was expected, what to do.
    location: the place in the file ("samples 1000-2200", "row 17, column price"), empty when it is the whole file.
    record: which record of the file was refused, empty when it is the whole file.
    """

    def __init__(self, error_class: str, message: str, *, location: str = "", record: str = "") -> None:
        super().__init__(message)
        self.error_class = error_class
        self.message = message
        self.location = location
        self.record = record

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_refused, (self.error_class, self.message, self.location, self.record)


def _rebuild_refused(error_class: str, message: str, location: str, record: str) -> Refused:
    return Refused(error_class, message, location=location, record=record)


@dataclass(frozen=True)
class LandedFile:
    """One version of one key of the landing store, its bytes at hand and proven to be that version.

    Exactly one of `data` (the bytes) and `path` (a local file) is given.

    companions: the other files of the same record by their names, such as the signal file that a header describes.
    landed_at: when the landing store says that it landed.
    metadata: what the landing store keeps beside the bytes, by lower-case name: a bucket's user metadata of the object.
    """

    key: str
    data: bytes | None = field(default=None, repr=False)
    path: Path | None = None
    companions: Mapping[str, LandedFile] = field(default_factory=dict, repr=False)
    landed_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def at(cls, path: Path, key: str | None = None, companions: Iterable[Path] = ()) -> LandedFile:
        """A file on this machine, for notebooks and tests; its key is its name unless given."""
        key = key or path.name
        others = {other.name: cls(str(PurePosixPath(key).with_name(other.name)), path=other) for other in companions}
        landed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None
        return cls(key=key, path=path, companions=others, landed_at=landed_at)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.key).name

    def read_bytes(self) -> bytes:
        if self.data is not None:
            return self.data
        assert self.path is not None
        return self.path.read_bytes()

    def open(self) -> BinaryIO:
        return io.BytesIO(self.read_bytes()) if self.path is None else self.path.open("rb")
