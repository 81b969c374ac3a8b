"""Files that say beside another file what a bucket keeps as metadata of an object, for landing stores that keep none.

The sidecar of ``a/b.zip`` is ``a/b.zip.metadata.json``: a JSON object of names and values. Nothing here knows Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from pipeline_assets.source import Records

SIDECAR = ".metadata.json"


def sidecar_of(name: str) -> str:
    """Name or key of a file's sidecar."""
    return name + SIDECAR


def is_sidecar(name: str) -> bool:
    return name.endswith(SIDECAR) and len(name) > len(SIDECAR)


def with_sidecars(*, waits: bool, wanted: str) -> Records:
    """Files that are read together with their sidecar, if there is one.

    waits: a file waits for its sidecar; else it is read at once, and again with its sidecar should that come later.
    wanted: what a person calls the files that sidecars belong to.
    """
    return Records(
        name_of=_file_of,
        primary=_primary,
        needs=partial(_needs, waits),
        stands_alone=partial(_stands_alone, waits),
        wanted=wanted,
    )


def _file_of(key: str) -> str:
    return key.removesuffix(SIDECAR) if is_sidecar(key.rpartition("/")[2]) else key


def _primary(names: Collection[str]) -> str | None:
    return next((name for name in sorted(names) if not is_sidecar(name)), None)


def _needs(waits: bool, name: str, head: Callable[[], bytes]) -> Collection[str]:
    return (sidecar_of(name),) if waits else ()


def _stands_alone(waits: bool, key: str) -> bool:
    return not waits and not is_sidecar(key.rpartition("/")[2])
