"""`strandline api`: the rates API, in the foreground."""

from __future__ import annotations

from cli.notes import note
from cli.signals import terminate_as_interrupt
from pipeline_assets.rates.config import RatesConfig
from rates_api.app import create_app
from rates_api.models import Plausible
from rates_api.server import serve
from resources.platform import Platform
from resources.settings import load_source_config


def run_api(platform: Platform, *, ends_with_input: bool = False) -> int:
    """Serve until asked to end. Returns the exit code. Raises AddressTaken."""
    settings = platform.settings
    config = load_source_config(RatesConfig, "rates")
    plausible = Plausible(config.price_min, config.price_max, config.day_first, config.day_last)
    note(f"The rates API: http://{settings.api_host}:{settings.api_port}/rates (its document: /openapi.json)")
    try:
        # The server gives on the signal that ended it, when all is done.
        with terminate_as_interrupt():
            serve(create_app(platform, plausible), settings, ends_with_input=ends_with_input)
    except KeyboardInterrupt:
        pass
    return 0
