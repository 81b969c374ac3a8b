"""Everything outside that the platform's code uses, chosen by the settings in one place."""

from __future__ import annotations

from functools import cached_property

from resources.caris_host.config import CarisSettings, load_caris_settings
from resources.caris_host.leased import LeasedHost
from resources.caris_host.opening import make_host
from resources.lake.lake import Lake
from resources.landing.folder import FolderStore
from resources.landing.queue import NotificationQueue
from resources.landing.s3 import S3Store
from resources.landing.store import LandingStore
from resources.ledger import Ledger
from resources.notifier import LogNotifier, Notifier
from resources.products import FolderProducts, ProductRows, ProductStore
from resources.serving.database import Serving
from resources.settings import S3Address, Settings
from resources.slack import SlackNotifier


class Platform:
    """Settings, landing store, ledger, lake and serving database of one deployment. Making it opens nothing."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def from_environment(cls) -> Platform:
        return cls(Settings.load())

    @cached_property
    def landing(self) -> LandingStore:
        settings = self.settings
        if isinstance(settings.landing, S3Address):
            return S3Store(
                settings.landing,
                endpoint=settings.s3_endpoint,
                spool=settings.home / "spool",
                read_only=settings.landing_read_only,
            )
        # A folder that was chosen is somebody's: if it is not there, its disk is not either.
        folder, is_chosen = settings.landing or settings.home / "landing", settings.landing is not None
        return FolderStore(folder, must_exist=is_chosen, read_only=settings.landing_read_only)

    @cached_property
    def queue(self) -> NotificationQueue | None:
        return NotificationQueue(self.settings.queue_url) if self.settings.queue_url else None

    @cached_property
    def notifier(self) -> Notifier:
        settings = self.settings
        if settings.slack_token is None or settings.slack_channel is None:
            return LogNotifier(settings.ui_url)
        return SlackNotifier(settings.slack_token, settings.slack_channel, settings.slack_url, settings.ui_url)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.settings.ledger_address, self.settings.ledger_schema)

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_folder, self.settings.table_prefix, self.settings.lake)

    @cached_property
    def serving(self) -> Serving:
        settings = self.settings
        urls = (settings.serving_url, settings.serving_reader_url)
        url, reader_url = (None if url is None else url.get_secret_value() for url in urls)
        return Serving(url, reader_url, settings.serving_folder, settings.serving_schema)

    @cached_property
    def products(self) -> ProductStore:
        return FolderProducts(self.settings.products_folder)

    @cached_property
    def caris(self) -> CarisSettings:
        """Settings of the CARIS host. Raises SettingsError."""
        return load_caris_settings()

    @cached_property
    def caris_host(self) -> LeasedHost | None:
        """The host that the CARIS engine works on; None where none is set."""
        return make_host(self.caris, self.settings, lambda: self.ledger)

    @property
    def product_rows(self) -> ProductRows:
        return ProductRows(self.products, self.settings.table_prefix)

    def close(self) -> None:
        """Let go of connections. Using the platform again opens them anew."""
        for name in ("ledger", "lake", "serving"):
            if name in self.__dict__:
                self.__dict__[name].close()
