"""What a NetCDF file may ask for, looked at before a value is read: sizes, and where its values are.

A NetCDF 4 file is an HDF5 file, which may point to other files of this machine or ask for code that is loaded at run time.
"""

from __future__ import annotations

import math
from typing import Any

from pipeline_assets.landed_file import Refused

HDF5 = b"\x89HDF\r\n\x1a\n"
CLASSIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 6: "scale-offset"}
_MOST_OBJECTS = 5_000
_MOST_BYTES_A_CHUNK = 512_000_000


def is_netcdf(head: bytes) -> bool:
    """Whether a file that begins with these bytes is NetCDF, classic or version 4, whatever its name."""
    return head.startswith((HDF5, *CLASSIC))


def damaged(what: str) -> Refused:
    return Refused("damaged_netcdf", f"{what}. Write and send the file again.")


def check_hdf5(content: bytes, max_values: int) -> None:
    """Refused `damaged_netcdf`, `netcdf_too_large`, `unsafe_netcdf` unless all values are in the file and can be held."""
    if not content.startswith(HDF5):
        return
    import h5py

    try:
        with h5py.File(h5py.h5f.open_file_image(content)) as file:
            _check_group(file, max_values, [0, 0], 0)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # h5py answers damaged bytes with almost any exception
        raise damaged(f"h5py says {type(error).__name__}: {str(error)[:200]}") from error


def _check_group(group: Any, max_values: int, seen: list[int], depth: int) -> None:
    """seen: objects and values so far."""
    import h5py

    if depth > 10:
        raise Refused("unsafe_netcdf", "its groups are nested more than 10 deep; expected a flat file.")
    for name in group:
        seen[0] += 1
        if seen[0] > _MOST_OBJECTS:
            raise Refused("netcdf_too_large", f"it has more than {_MOST_OBJECTS:,} variables and groups. Split it.")
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise Refused(
                "unsafe_netcdf", f"{name[:60]!r} points elsewhere ({type(link).__name__}); expected its values in the file.",
                location=name[:60],
            )  # fmt: skip
        member = group[name]
        if isinstance(member, h5py.Group):
            _check_group(member, max_values, seen, depth + 1)
        elif isinstance(member, h5py.Dataset):
            _check_dataset(name, member, max_values, seen)


def _check_dataset(name: str, member: Any, max_values: int, seen: list[int]) -> None:
    if member.external or member.is_virtual:
        raise Refused(
            "unsafe_netcdf",
            f"the values of {name[:60]!r} are in another file; expected them in this one.",
            location=name[:60],
        )
    shape = member.shape or ()
    # A dimension without a variable of its own is stored as an empty one of its size.
    if member.attrs.get("CLASS", b"") == b"DIMENSION_SCALE" and member.id.get_storage_size() == 0:
        return
    seen[1] += math.prod(shape)
    check_values(seen[1], max_values)
    plist = member.id.get_create_plist()
    filters = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    unknown = sorted(set(filters) - set(_FILTERS))
    if unknown:
        raise Refused(
            "unsafe_netcdf",
            f"{name[:60]!r} is packed with HDF5 filter {unknown[0]}; expected none but {', '.join(_FILTERS.values())}.",
            location=name[:60],
        )
    if member.chunks and math.prod(member.chunks) * member.dtype.itemsize > _MOST_BYTES_A_CHUNK:
        raise Refused(
            "netcdf_too_large", f"{name[:60]!r} is stored in pieces too large to hold. Store it in smaller ones."
        )


def check_values(values: int, max_values: int) -> None:
    """Refused `netcdf_too_large` for more values than may be."""
    if values > max_values:
        raise Refused(
            "netcdf_too_large",
            f"its variables have more than {max_values:,} values. Split it or raise STRANDLINE_OCEAN_MAX_VALUES.",
        )
