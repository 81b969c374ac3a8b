"""A reader that is watched. In a module of its own, because reader processes import what they are given from there."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_assets.landed_file import LandedFile
    from pipeline_assets.ocean.read.cruise_file import CruiseFile


@dataclasses.dataclass(frozen=True)
class Watched:
    """A reader that notes when it begins and ends in a folder."""

    folder: str

    def __call__(self, file: LandedFile, config: Any) -> CruiseFile:
        from pipeline_assets.ocean.read.exchange_ctd import read_ctd

        begun = time.monotonic_ns()
        time.sleep(0.15)
        found = read_ctd(file, config)
        Path(self.folder, f"{os.getpid()}_{begun}_{time.monotonic_ns()}").touch()
        return found

    @property
    def __name__(self) -> str:
        return "watched"
