"""The sources that this platform has. Adding one is one line here and one folder beside it."""

from __future__ import annotations

from pipeline_assets.ecg.source import ECG
from pipeline_assets.places.source import PLACES
from pipeline_assets.rates.source import RATES
from pipeline_assets.source import FileSource
from resources.errors import UserError

SOURCES: tuple[FileSource, ...] = (ECG, PLACES, RATES)


class UnknownSource(UserError):
    """No source has this name. The message lists those there are."""


def get_source(name: str, sources: tuple[FileSource, ...] = SOURCES) -> FileSource:
    for source in sources:
        if source.name == name:
            return source
    raise UnknownSource(f"There is no source {name!r}. Sources: {', '.join(source.name for source in sources)}.")
