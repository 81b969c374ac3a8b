"""The version of the code that makes a source's tables: it changes when the text of that code does, on every machine alike."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pipeline_assets.source import FileSource

_DIGITS = 12
_FRAME = "pipeline_assets"


def source_code_version(source: FileSource) -> str:
    """A hash of the text of the source's modules: its whole folder, if it has one, else the modules that its readers,
    `derive` and schemas are in. A change to a comment there counts; one to the platform around it or to a library does not.
    """
    functions = [function for reader in source.readers for function in (reader.recognises, reader.read)]
    functions += [source.derive] if source.derive is not None else []
    modules = {function.__module__ for function in functions} | {table.schema.__module__ for table in source.tables}
    rooms = {".".join(name.split(".")[:2]) for name in modules if name.startswith(f"{_FRAME}.") and name.count(".") > 1}
    # What the platform gives to every source, such as its reader of CSV files, is none of the source's own.
    return code_version(frozenset(rooms | {name for name in modules if name.count(".") > 1} if rooms else modules))


@cache
def code_version(modules: frozenset[str]) -> str:
    """A hash of the text of modules, or of the whole package that all of them are in. Empty for code without files."""
    package = _common_package(modules)
    if package is not None:
        return _hash((path.relative_to(package).as_posix(), path) for path in sorted(package.rglob("*.py")))
    files = ((name, getattr(sys.modules.get(name), "__file__", None)) for name in sorted(modules))
    return _hash((name, Path(file)) for name, file in files if file)


def _common_package(modules: Iterable[str]) -> Path | None:
    """The folder of the narrowest package that holds all modules, unless that is the platform's own or a single module."""
    parts = [name.split(".") for name in modules]
    depth = next(
        (at for at, names in enumerate(zip(*parts, strict=False)) if len(set(names)) > 1), min(map(len, parts))
    )
    name = ".".join(parts[0][:depth])
    folders = list(getattr(sys.modules.get(name), "__path__", ()))
    return Path(folders[0]) if folders and name != _FRAME else None


def _hash(files: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    found = False
    for name, path in files:
        try:
            # However a checkout ends its lines.
            text = path.read_bytes().replace(b"\r\n", b"\n")
        except OSError:
            continue
        found = True
        digest.update(f"{name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()[:_DIGITS] if found else ""
