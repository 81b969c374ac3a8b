"""`strandline land`: a person puts files into the landing store."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_assets.sidecars import sidecar_of
from pipeline_assets.source import FileSource
from resources.errors import UserError
from resources.landing.store import BadKey, LandingStore


class BadMetadata(UserError):
    """What is to be kept beside a file is not as it should be. The message says what to do."""


@dataclass(frozen=True)
class Landed:
    key: str
    changed: bool


def land_files(
    store: LandingStore,
    source: FileSource,
    paths: Sequence[Path],
    key: str | None,
    metadata: Mapping[str, str] | None = None,
    prefix: str | None = None,
) -> list[Landed]:
    """Copy files in, each whole or not at all. Nothing is copied if any key is wrong. Raises BadKey,
    ReadOnlyStore.

    prefix: what the keys begin with, if not with the source's name. metadata: kept beside each file; where the landing store keeps none, in a sidecar that lands before it.
    """
    if key is not None:
        if len(paths) != 1 or paths[0].is_dir():
            raise BadKey("--key names one key, so it takes exactly one FILE that is no folder.")
        wanted = [(paths[0], key)]
    else:
        wanted = [pair for path in paths for pair in keys_for(path)]
    keys = [(prefix or source.prefix) + below for _, below in wanted]
    beside = metadata is not None and not store.keeps_metadata
    for one in keys:
        store.check_key(sidecar_of(one) if beside else one)
    twice = sorted({one for one in keys if keys.count(one) > 1}) if len(set(keys)) < len(keys) else []
    if twice:
        raise BadKey(f"Several files would get the key {twice[0]!r}. Land them one by one with --key.")
    landed = []
    for (path, _), one in zip(wanted, keys, strict=True):
        if beside:
            changed = _put_sidecar(store, one, metadata or {})
            landed.append(Landed(one, store.put(path, one) or changed))
        else:
            landed.append(Landed(one, store.put(path, one, metadata)))
    return landed


def _put_sidecar(store: LandingStore, key: str, metadata: Mapping[str, str]) -> bool:
    with tempfile.TemporaryDirectory(prefix="strandline-") as folder:
        path = Path(folder) / "sidecar"
        path.write_text(json.dumps(metadata, ensure_ascii=False, indent=1), encoding="utf-8")
        return store.put(path, sidecar_of(key))


def read_metadata(pairs: Sequence[str], file: Path | None) -> dict[str, str] | None:
    """Names and values from ``NAME=VALUE`` and from a JSON file; None if neither is given. Raises BadMetadata."""
    if not pairs and file is None:
        return None
    found = {} if file is None else _read_json(file)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise BadMetadata(f"--metadata {pair!r}: expected NAME=VALUE.")
        found[name] = value
    return found


def _read_json(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadMetadata(f"{file} is no JSON in UTF-8: {error}") from None
    if not isinstance(found, dict) or any(isinstance(value, dict | list) for value in found.values()):
        raise BadMetadata(f'{file}: expected a JSON object of names and texts, such as {{"recordid": "..."}}.')
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


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
