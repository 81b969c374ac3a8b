"""`strandline land`: a person puts files into the landing store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_assets.source import FileSource
from resources.landing.store import BadKey, LandingStore


@dataclass(frozen=True)
class Landed:
    key: str
    changed: bool


def land_files(store: LandingStore, source: FileSource, paths: Sequence[Path], key: str | None) -> list[Landed]:
    """Copy files in, each whole or not at all. Nothing is copied if any key is wrong. Raises BadKey,
    ReadOnlyStore."""
    if key is not None:
        if len(paths) != 1 or paths[0].is_dir():
            raise BadKey("--key names one key, so it takes exactly one FILE that is no folder.")
        wanted = [(paths[0], key)]
    else:
        wanted = [pair for path in paths for pair in keys_for(path)]
    keys = [source.prefix + below for _, below in wanted]
    for one in keys:
        store.check_key(one)
    twice = sorted({one for one in keys if keys.count(one) > 1}) if len(set(keys)) < len(keys) else []
    if twice:
        raise BadKey(f"Several files would get the key {twice[0]!r}. Land them one by one with --key.")
    return [Landed(one, store.put(path, one)) for (path, _), one in zip(wanted, keys, strict=True)]


def keys_for(path: Path) -> Iterator[tuple[Path, str]]:
    """The files that a path on the command line names, each with its key below the source's folder."""
    if path.is_dir():
        base = Path() if path == Path() else _kept(path)
        for file in sorted(path.rglob("*")):
            below = file.relative_to(path)
            if file.is_file() and not any(part.startswith(".") for part in below.parts):
                yield file, (base / below).as_posix()
    else:
        yield path, _kept(path).as_posix()


def _kept(path: Path) -> Path:
    """The folders that a path keeps: those it was typed with, as long as it stays below the current folder."""
    if path.is_absolute() or ".." in path.parts:
        return Path(path.resolve().name)
    return path
