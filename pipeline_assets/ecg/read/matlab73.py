"""MATLAB 7.3 file -> `Recording`. It is an HDF5 file, in most cases behind a header of 512 bytes.

An HDF5 file may point to other files on this machine, ask for filters that are loaded at run time, or declare sizes that
nobody can hold. All of that is refused before a value is read.
"""

from __future__ import annotations

import itertools
import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.read.recording import Recording
from pipeline_assets.ecg.read.variable import (
    Declared,
    check_shape,
    check_type,
    no_signal_variable,
    recording_of,
    too_large,
    unreadable,
)
from pipeline_assets.landed_file import LandedFile, Refused

SIGNATURE = b"\x89HDF\r\n\x1a\n"
USER_BLOCK = 512
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32"}
MOST_LISTED = 20
MOST_CHUNKS = 100_000


def recognise_matlab73(head: bytes) -> bool:
    """Whether a file that begins with these bytes is HDF5, with MATLAB's header before it (version 0x0200) or without."""
    return head.startswith(SIGNATURE) or head[124:128] in (b"\x00\x02IM", b"\x02\x00MI")


def read_matlab73(file: LandedFile, config: EcgConfig) -> Recording:
    """The recording in a MATLAB 7.3 file: one variable, a numeric matrix with a row for each lead.

    Refused: `unreadable`, `no_signal_variable`, `wrong_type`, `wrong_shape`, `wrong_length`, and those of the sidecar.
    """
    data = file.read_bytes()
    if SIGNATURE not in (data[:8], data[USER_BLOCK : USER_BLOCK + 8]):
        raise unreadable(
            "cut short or damaged: MATLAB's header is there, the HDF5 file behind it is not. Upload it again"
        )
    try:
        signal = _load(data, config)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # h5py answers damaged bytes with almost any exception
        raise unreadable(f"h5py says {type(error).__name__}: {str(error)[:200]}. Upload the file again") from error
    return recording_of(file, signal, config)


def _load(data: bytes, config: EcgConfig) -> NDArray[np.float64]:
    import h5py

    name, max_bytes = config.signal_variable, int(config.max_unpacked_mb * 1e6)
    with h5py.File(h5py.h5f.open_file_image(data)) as content:
        link = content.get(name, getlink=True)
        if link is None:
            raise no_signal_variable(name, _listed(content))
        if not isinstance(link, h5py.HardLink):
            raise unreadable(f"variable {name!r} points elsewhere ({type(link).__name__}); expected its values")
        variable = content[name]
        if not isinstance(variable, h5py.Dataset):
            raise Refused("wrong_type", f"variable {name!r} is a structure; expected a numeric matrix of ADC counts")
        _, shape, kind = _declared(name, variable)
        check_type(name, shape, kind)
        assert shape is not None
        if max(math.prod(shape), math.prod(variable.chunks or ())) * variable.dtype.itemsize > max_bytes:
            raise too_large(max_bytes)
        check_shape(name, shape, max_bytes, config.samples)
        check_storage(name, variable, len(data))
        values = variable[()]
        return np.ascontiguousarray(values.T if _matlab_class(variable) else values, dtype=np.float64)


def _matlab_class(variable: Any) -> str:
    """What MATLAB calls the values' class; empty when MATLAB did not write the variable."""
    kind = variable.attrs.get("MATLAB_class", b"")
    return kind.decode("ascii", "replace")[:60] if isinstance(kind, bytes) else str(kind)[:60]


def _declared(name: str, variable: Any) -> Declared:
    """Name, dimensions and class in MATLAB's sense: it stores a matrix transposed, an empty one as its dimensions."""
    matlab, dtype = _matlab_class(variable), variable.dtype
    own = (
        {"f8": "double", "f4": "single"}.get(dtype.str[1:], str(dtype)) if dtype.kind in "iuf" else f"HDF5 {dtype}"[:60]
    )
    if "MATLAB_empty" in variable.attrs:
        return name, (0, 0), matlab
    # MATLAB's class is what people know the values as; the stored type must be numeric too.
    kind = own if not matlab or dtype.kind not in "iuf" else matlab
    return name, variable.shape[::-1] if matlab else variable.shape, kind


def check_storage(name: str, variable: Any, file_bytes: int) -> None:
    """Refused `unreadable` unless all values are in this file, stored in a way that costs no more than they are worth."""
    if variable.external or variable.is_virtual:
        raise unreadable(f"the values of variable {name!r} are in another file; expected them in this one")
    settings = variable.id.get_create_plist()
    filters = [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]
    unknown = sorted(set(filters) - set(FILTERS))
    if unknown:
        raise unreadable(
            f"variable {name!r} is packed with HDF5 filter {unknown[0]}; expected none but {', '.join(FILTERS.values())}"
        )
    if variable.chunks is None:
        stored, expected = variable.id.get_storage_size(), math.prod(variable.shape) * variable.dtype.itemsize
        if stored < expected:
            raise unreadable(f"variable {name!r} has {stored:,} bytes of its {expected:,}. Upload the file again")
        return
    pieces = math.prod(-(-size // piece) for size, piece in zip(variable.shape, variable.chunks, strict=True))
    if pieces > MOST_CHUNKS:
        raise unreadable(f"variable {name!r} is in {pieces:,} pieces; expected {MOST_CHUNKS:,} at most")
    if variable.id.get_num_chunks() != pieces:
        raise unreadable(
            f"variable {name!r} has {variable.id.get_num_chunks():,} of its {pieces:,} pieces. Upload it again"
        )
    check_chunks(name, variable, file_bytes, packed=1 in filters)


def check_chunks(name: str, variable: Any, file_bytes: int, *, packed: bool) -> None:
    """Refused `unreadable` when a piece is larger than the file, or a gzipped one unpacks to more than a piece holds:
    HDF5 would take the memory for either."""
    offsets: list[tuple[int, ...]] = []
    sizes: list[int] = []

    def note(piece: Any) -> None:
        offsets.append(piece.chunk_offset)
        sizes.append(piece.size)

    variable.id.chunk_iter(note)
    if max(sizes, default=0) > file_bytes:
        raise unreadable(
            f"a piece of variable {name!r} has {max(sizes):,} bytes by its own account, the file {file_bytes:,}"
        )
    room = math.prod(variable.chunks) * variable.dtype.itemsize + 8  # Fletcher's checksum may be in it
    for offset in offsets if packed else ():
        _, content = variable.id.read_direct_chunk(offset)
        stream = zlib.decompressobj()
        try:
            stream.decompress(content, room)
        except zlib.error:
            continue  # not gzipped, or damaged: HDF5 will say
        if stream.unconsumed_tail:
            raise unreadable(
                f"a piece of variable {name!r} unpacks to more than its {room:,} bytes. Upload the file again"
            )


def _listed(content: Any) -> list[Declared]:
    """The variables of the file, for the message that says the signal is not among them."""
    import h5py

    found: list[Declared] = []
    for name in itertools.islice(content, MOST_LISTED):
        if isinstance(content.get(name, getlink=True), h5py.HardLink):
            member = content[name]
            found.append(_declared(name, member) if isinstance(member, h5py.Dataset) else (name, None, "struct"))
    return found
