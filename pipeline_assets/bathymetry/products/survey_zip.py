"""All products of a survey in one zip, with a manifest of sizes and SHA-256, the same bytes for the same files."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

MANIFEST = "manifest.json"
_PACKED = frozenset({".bag", ".tif", ".png", ".zip", ".gpkg"})
"""Files that are packed already, or so often that packing again is time lost."""
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def write_zip(files: Iterable[Path], path: Path, below: Path | None = None) -> Path:
    """The zip. below: the folder that names in it are relative to; none: all lie at its top.

    Raises ValueError where two files would have one name.
    """
    named: dict[str, Path] = {}
    for file in files:
        name = file.name if below is None else file.relative_to(below).as_posix()
        if name in named or name == MANIFEST:
            raise ValueError(f"two files would be {name!r} in {path.name}: {named.get(name, MANIFEST)} and {file}")
        named[name] = file
    manifest = [
        {"path": name, "size": file.stat().st_size, "sha256": sha256_of(file)} for name, file in sorted(named.items())
    ]
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name, file in sorted(named.items()):
            with file.open("rb") as content, archive.open(_entry(name), "w", force_zip64=True) as into:
                while block := content.read(1 << 20):
                    into.write(block)
        archive.writestr(_entry(MANIFEST), json.dumps(manifest, indent=1) + "\n")
    return path


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EARLIEST)
    entry.compress_type = zipfile.ZIP_STORED if Path(name).suffix in _PACKED else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry
