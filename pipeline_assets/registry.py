"""The sources that this platform has. Adding one is one line here and one folder beside it."""

from __future__ import annotations

from importlib import import_module

from pipeline_assets.source import FileSource
from resources.errors import UserError

NAMES = [
    "ecg",
    "ocean",
    "health",
    "places",
    "rates",
    "bathymetry",
]
"""Each is a folder beside this file, whose source.py declares the FileSource of that name."""


class UnknownSource(UserError):
    """No source has this name. The message lists those there are."""


def declared_in(name: str) -> FileSource:
    """The source that a folder declares. Raises ValueError unless its source.py has one of that name, and no other."""
    found = [
        one for one in vars(import_module(f"pipeline_assets.{name}.source")).values() if isinstance(one, FileSource)
    ]
    if [source.name for source in found] != [name]:
        names = ", ".join(repr(source.name) for source in found) or "none"
        raise ValueError(
            f"pipeline_assets/{name}/source.py: expected one FileSource, with name={name!r} as its folder; found {names}"
        )
    return found[0]


SOURCES: tuple[FileSource, ...] = tuple(declared_in(name) for name in NAMES)


def get_source(name: str, sources: tuple[FileSource, ...] = SOURCES) -> FileSource:
    for source in sources:
        if source.name == name:
            return source
    raise UnknownSource(f"There is no source {name!r}. Sources: {', '.join(source.name for source in sources)}.")
