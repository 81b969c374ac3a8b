"""What a BAG may ask for, looked at before a value is read. A BAG is an HDF5 file, which may point to other files of this
machine, or ask for code that is loaded at run time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline_assets.landed_file import Refused

HDF5 = b"\x89HDF\r\n\x1a\n"
MOST_OBJECTS = 1_000
MOST_CHUNK_BYTES = 256_000_000
_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32"}


def is_bag(head: bytes) -> bool:
    """Whether a file that begins with these bytes may be a BAG, whatever its name; `BAG_root` tells it from other HDF5."""
    return head.startswith(HDF5)


@contextmanager
def opened_bag(path: Path, max_cells: int) -> Iterator[Any]:
    """BAG_root of the file, opened to read. Refused unless it is whole, safe, and of a size that can be held."""
    import h5py

    with path.open("rb") as file:
        if not is_bag(file.read(8)):
            raise Refused("not_bag", "It does not begin as HDF5 does; expected a BAG. Send the BAG itself, not packed.")
    try:
        with h5py.File(path, "r") as content:
            if not isinstance(content.get("BAG_root", getlink=True), h5py.HardLink):
                raise Refused("not_bag", "The HDF5 file has no group BAG_root; expected a BAG.")
            root = content["BAG_root"]
            if not isinstance(root, h5py.Group):
                raise Refused("not_bag", "BAG_root is no group; expected a BAG.")
            _check_group(root, max_cells, [0])
            yield root
    except (Refused, MemoryError):
        raise
    except Exception as error:  # h5py answers damaged bytes with almost any exception
        raise damaged(f"h5py says {type(error).__name__}: {str(error)[:200]}") from error


def damaged(what: str) -> Refused:
    return Refused("damaged_bag", f"{what}. Write and send the BAG again.")


def _check_group(group: Any, max_cells: int, seen: list[int]) -> None:
    import h5py

    for name in group:
        seen[0] += 1
        if seen[0] > MOST_OBJECTS:
            raise Refused("unsafe_bag", f"It has more than {MOST_OBJECTS:,} layers; expected some ten.")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise Refused(
                "unsafe_bag", f"{name[:60]!r} points elsewhere; expected its values in the file.", location=name[:60]
            )
        member = group[name]
        if isinstance(member, h5py.Dataset):
            _check_dataset(name, member, max_cells)
        elif isinstance(member, h5py.Group):
            if group.name.count("/") > 5:
                raise Refused("unsafe_bag", "Its groups are nested more than 5 deep; expected a flat file.")
            _check_group(member, max_cells, seen)


def _check_dataset(name: str, member: Any, max_cells: int) -> None:
    if member.external or member.is_virtual:
        raise Refused("unsafe_bag", f"The values of {name[:60]!r} are in another file; expected them in this one.")
    cells = math.prod(member.shape or ())
    if cells > max_cells:
        raise Refused(
            "bag_too_large",
            f"Its layer {name[:60]!r} has {cells:,} cells; at most {max_cells:,} are read. Split the surface or raise the limit.",
            location=name[:60],
        )
    plist = member.id.get_create_plist()
    for number in range(plist.get_nfilters()):
        if plist.get_filter(number)[0] not in _FILTERS:
            raise Refused(
                "unsafe_bag",
                f"{name[:60]!r} is packed with HDF5 filter {plist.get_filter(number)[0]}; expected none but "
                f"{', '.join(_FILTERS.values())}.",
                location=name[:60],
            )
    if member.chunks and math.prod(member.chunks) * member.dtype.itemsize > MOST_CHUNK_BYTES:
        raise Refused(
            "bag_too_large", f"{name[:60]!r} is stored in pieces too large to hold. Store it in smaller ones."
        )
