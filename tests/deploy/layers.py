"""What two images hold, entry by entry, where they should hold the same."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path


def layers_of(folder: Path) -> list[Path]:
    """The archives of an image that buildah pushed to `dir:FOLDER`, lowest first."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return [folder / layer["digest"].partition(":")[2] for layer in manifest["layers"]]


def entries(layer: Path) -> list[tuple[object, ...]]:
    """Of each entry of a layer, in its order: name, kind, rights, owner, time, what a link leads to, digest of the content."""
    found = []
    with tarfile.open(layer) as archive:
        for one in archive:
            content = archive.extractfile(one) if one.isfile() else None
            digest = hashlib.sha256(content.read()).hexdigest()[:16] if content else ""
            found.append((one.name, one.type, oct(one.mode), one.uid, one.gid, one.mtime, one.linkname, digest))
    return found


def differences(one: Path, other: Path, at_most: int = 20) -> list[str]:
    """What differs between two layers, by the entries' names; the order of entries only where nothing else does."""
    left, right = entries(one), entries(other)
    by_name = [{str(entry[0]): entry[1:] for entry in side} for side in (left, right)]
    named = [
        f"{name}: {by_name[0].get(name, 'not there')} and {by_name[1].get(name, 'not there')}"
        for name in sorted(by_name[0].keys() | by_name[1].keys())
        if by_name[0].get(name) != by_name[1].get(name)
    ]
    if not named and left != right:
        named = ["the order of the entries"]
    return named[:at_most]
