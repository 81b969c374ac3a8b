"""What is kept of a step: its files and a manifest beside them, from which a later step begins and a failed one begins again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline_assets.bathymetry.caris.command import Rendered
from pipeline_assets.landed_file import Refused

MANIFEST = "manifest.json"
FILES = "files"
"""The folder beside the manifest in which the files are, by their paths in the work folder."""
LOGS = "logs"
"""The folder with all that each command said."""


@dataclass(frozen=True)
class KeptFile:
    """One file after a step. path: in the work folder. kept_in: the step that changed it last, which keeps it."""

    path: str
    size_bytes: int
    sha256: str
    kept_in: str


@dataclass(frozen=True)
class RanCommand:
    """How a command ran. line: as one types it. warnings: by kind."""

    process: str
    line: str
    exit_code: int
    seconds: float
    warnings: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A finished step.

    fingerprint: of all that went into it; the same again needs no run. after: fingerprints of the steps before it, by name.
    files: all that the work folder holds of the survey after it. values: that its commands were rendered with.
    """

    step: str
    fingerprint: str
    after: Mapping[str, str]
    work_folder: str
    version: str
    commands: tuple[RanCommand, ...]
    files: tuple[KeptFile, ...]
    values: Mapping[str, Any]


def fingerprint(
    commands: Sequence[Rendered], inputs: Mapping[str, str], before: Mapping[str, str], revision: int
) -> str:
    """Of a step: what it runs (rendered for one and the same folder), SHA-256 of the survey's files that it reads, and the
    fingerprints of the steps before it."""
    said = [[list(one.argv) for one in commands], sorted(inputs.items()), sorted(before.items()), revision]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()


def write_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    text = json.dumps(asdict(checkpoint), indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_checkpoint(folder: Path) -> Checkpoint:
    """What `write_checkpoint` wrote in a folder. Raises Refused `damaged_checkpoint`."""
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        told["commands"] = tuple(RanCommand(**one) for one in told["commands"])
        told["files"] = tuple(KeptFile(**one) for one in told["files"])
        return Checkpoint(**told)
    except (FileNotFoundError, ValueError, TypeError, KeyError) as error:
        raise Refused(
            "damaged_checkpoint",
            f"{folder.name}/{MANIFEST} cannot be read ({type(error).__name__}: {error}). Materialize {folder.name} again.",
        ) from error


def check_order(before: Mapping[str, Checkpoint]) -> None:
    """Raises Refused `step_outdated` where a step was made from another generation of one before it. before: in their order."""
    for name, one in before.items():
        for earlier, mark in one.after.items():
            if earlier in before and before[earlier].fingerprint != mark:
                raise Refused(
                    "step_outdated",
                    f"{name} was made from another {earlier} than there is now. Materialize {name} and what comes after it again.",
                )


def local_of(file: KeptFile, folders: Mapping[str, Path]) -> Path:
    """Where a file is kept here. folders: of the steps' products. Raises Refused `damaged_checkpoint` when it is not there."""
    path = folders[file.kept_in] / FILES / file.path
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        raise Refused(
            "damaged_checkpoint",
            f"{file.path}, which {file.kept_in} kept, is gone or has another size. Materialize {file.kept_in} again.",
        )
    return path


def adopt(older: Path, folder: Path) -> None:
    """What an older generation kept, as the new one, without a second copy where the file system can do without.

    Nothing else of it: what is made of the kept files is written anew, and must not write over the older generation's.
    """
    kept = [older / MANIFEST, *(path for name in (FILES, LOGS) for path in sorted((older / name).rglob("*")))]
    for path in kept:
        if path.is_file():
            to = folder / path.relative_to(older)
            to.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path.resolve(), to)
            except OSError:
                shutil.copyfile(path, to)


def is_whole(checkpoint: Checkpoint, folder: Path) -> bool:
    """Whether everything that a step kept is there."""
    kept = (file for file in checkpoint.files if file.kept_in == checkpoint.step)
    paths = ((folder / FILES / file.path, file.size_bytes) for file in kept)
    return all(path.is_file() and path.stat().st_size == size for path, size in paths)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def by_path(files: Iterable[KeptFile]) -> dict[str, KeptFile]:
    return {file.path: file for file in files}
