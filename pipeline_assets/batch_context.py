"""What every part of a batch's run needs: where it runs, what it reads, who hears of it, and what reading gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel

from pipeline_assets.reading import SliceResult
from pipeline_assets.source import FileSource
from resources.ledger import FileState
from resources.ledger.batches import Batch
from resources.ledger.publishing import Outcome
from resources.platform import Platform


class Reporter(Protocol):
    """Hears how a batch gets on."""

    def progress(self, batch: Batch, done: int, total: int, refused: int) -> None: ...

    def say(self, message: str) -> None: ...


@dataclass(frozen=True)
class BatchContext:
    """One run of one source on one platform. config: the source's configuration."""

    platform: Platform
    source: FileSource
    config: BaseModel
    reporter: Reporter


@dataclass
class Work:
    """What reading a batch gave: what becomes of each file, and the data files by table."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    data_files: dict[str, list[str]] = field(default_factory=dict)

    def add(self, result: SliceResult) -> None:
        for outcome in result.outcomes:
            self.outcomes[outcome.file_id] = outcome
        for table, paths in result.data_files.items():
            self.data_files.setdefault(table, []).extend(paths)

    @property
    def refused(self) -> int:
        return sum(outcome.state == FileState.QUARANTINED for outcome in self.outcomes.values())
