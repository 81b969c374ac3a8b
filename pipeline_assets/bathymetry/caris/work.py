"""The work folder of a survey on the licensed host: brought to the state from which a step begins, its files kept after it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pipeline_assets.bathymetry.caris.chain import CHAIN
from pipeline_assets.bathymetry.caris.checkpoint import FILES, KeptFile, local_of
from pipeline_assets.bathymetry.caris.values import LineFile
from pipeline_assets.landed_file import Refused
from resources.caris_host.host import HostFile, WorkFolder

LINES, GIVEN = "lines", "given"
_STATE = tuple(dict.fromkeys((GIVEN, *(step.keeps for step in CHAIN.steps))))


@contextmanager
def opened(
    open_folder: Callable[[str], AbstractContextManager[WorkFolder]],
    name: str,
    wanted: Mapping[str, KeptFile],
    folders: Mapping[str, Path],
    say: Callable[[str], None],
) -> Iterator[WorkFolder]:
    """The work folder, holding of the survey's processing exactly what checkpoints say. folders: of the steps that keep it.

    A step that failed may have left anything; where it did, all begins from an empty folder. What is right stays.
    """
    with open_folder(name) as work:
        there = {file.path: file.sha256 for file in work.outputs(_STATE)}
        strange = [path for path, sha256 in there.items() if path not in wanted or wanted[path].sha256 != sha256]
        if not strange:
            _bring(work, wanted, there, folders, say)
            yield work
            return
        say(f"{len(strange)} files of an earlier try are in {work.path}: beginning from the last checkpoint")
        work.remove()
    with open_folder(name) as work:
        _bring(work, wanted, (), folders, say)
        yield work


def _bring(
    work: WorkFolder,
    wanted: Mapping[str, KeptFile],
    there: Collection[str],
    folders: Mapping[str, Path],
    say: Callable[[str], None],
) -> None:
    lacking = {path: str(local_of(file, folders)) for path, file in wanted.items() if path not in there}
    if lacking:
        say(f"bringing {len(lacking)} files to {work.path}")
        work.put(lacking)


def bring_lines(work: WorkFolder, lines: Iterable[LineFile], place_of: Callable[[str], str]) -> None:
    """The survey's lines, as they were read. place_of: a key to a local path or s3:// URI. Raises Refused `line_changed`."""
    wanted = {f"{LINES}/{line.name}": line for line in lines}
    there = {file.path: file.sha256 for file in work.outputs(list(wanted))}
    lacking = [path for path, line in wanted.items() if there.get(path) != line.sha256]
    if lacking:
        work.put({path: place_of(wanted[path].key) for path in lacking})
        there |= {file.path: file.sha256 for file in work.outputs(lacking)}
    for path, line in wanted.items():
        if there.get(path) != line.sha256:
            raise Refused(
                "line_changed",
                f"{line.key} is not what was read of it any more (SHA-256 {line.sha256[:12]}…). It is read again when its landing is "
                "noticed; this is made anew then.",
            )


def keep(
    work: WorkFolder, step: str, keeps: str, before: Mapping[str, KeptFile], to: Path
) -> tuple[list[KeptFile], list[HostFile]]:
    """What the folder holds after a step: all of it, and what the step changed, which is fetched to the step's own folder."""
    found = work.outputs([keeps])
    changed = [file for file in found if file.path not in before or before[file.path].sha256 != file.sha256]
    work.fetch(changed, to / FILES)
    new = {file.path for file in changed}
    state = [file for path, file in before.items() if not path.startswith(f"{keeps}/")]
    state += [
        KeptFile(file.path, file.size_bytes, file.sha256, step) if file.path in new else before[file.path]
        for file in found
    ]
    return sorted(state, key=lambda file: file.path), changed
