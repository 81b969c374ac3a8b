"""Everything outside that the platform's code uses, chosen by the settings in one place."""

from __future__ import annotations

from functools import cached_property

from resources.lake.lake import Lake
from resources.landing.folder import FolderStore
from resources.ledger import Ledger
from resources.settings import Settings


class Platform:
    """Settings, landing store, ledger and lake of one deployment. Making it opens nothing."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def from_environment(cls) -> Platform:
        return cls(Settings.load())

    @cached_property
    def landing(self) -> FolderStore:
        # A folder that was chosen is somebody's: if it is not there, its disk is not either.
        return FolderStore(self.settings.landing_folder, must_exist=self.settings.landing is not None)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.settings.ledger_address, self.settings.ledger_schema)

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_folder, self.settings.table_prefix)

    def close(self) -> None:
        """Let go of connections. Using the platform again opens them anew."""
        for name in ("ledger", "lake"):
            if name in self.__dict__:
                self.__dict__[name].close()
