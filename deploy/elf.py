"""Libraries and programs in machine code (ELF, 64 bits, as Linux has them) without what is never mapped into memory.

The loader goes by the table of parts ("program headers") alone. Symbol tables, debugging information and the table of
sections are for linkers and debuggers; a library that is only loaded works without. `strip` of binutils does not serve: in
libraries that were repaired for a wheel, where parts were appended behind the symbols, it changes bytes that are mapped.
Here those bytes only move within the file, by whole pages.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass

_HEAD = struct.Struct("<16sHHIQQQIHHHHHH")
_PART = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_LIBRARY_OR_PROGRAM = (2, 3)
_LOADED = 1
_NO_BITS = 8
"""A section that takes no room in the file."""


@dataclass(frozen=True)
class Part:
    """A program header. Only parts of kind 1 are mapped; the others say what lies where within them."""

    kind: int
    rights: int
    offset: int
    place: int
    physical: int
    in_file: int
    in_memory: int
    align: int


@dataclass(frozen=True)
class _File:
    head: tuple[int, ...]
    """all numbers after the identification"""
    parts: tuple[Part, ...]

    @property
    def table(self) -> int:
        """Where in the file the parts are told of."""
        return self.head[4]

    @property
    def sections(self) -> int:
        """Where in the file the sections are told of."""
        return self.head[5]


def _read(content: bytes) -> _File | None:
    """None for what is no library or program of this kind, or is broken."""
    if len(content) < _HEAD.size or content[:6] != b"\x7fELF\x02\x01":
        return None
    head = _HEAD.unpack_from(content)[1:]
    kind, table, size, number = head[0], head[4], head[8], head[9]
    if kind not in _LIBRARY_OR_PROGRAM or size != _PART.size or table + number * size > len(content):
        return None
    parts = tuple(Part(*_PART.unpack_from(content, table + index * size)) for index in range(number))
    whole = all(part.offset + part.in_file <= len(content) for part in parts)
    return _File(head, parts) if whole else None


def loaded(content: bytes) -> tuple[tuple[object, ...], ...] | None:
    """What the loader makes of it: of each part its kind, rights, place and size in memory, and of mapped ones whether they
    can be mapped and a digest of what they hold. None for any other file. Offsets are not in it: where in the file a
    part lies makes no difference to what is loaded.
    """
    file = _read(content)
    if file is None:
        return None
    made: list[tuple[object, ...]] = []
    for part in file.parts:
        if part.kind != _LOADED:
            made.append((part.kind, part.rights, part.place, part.in_memory))
            continue
        mapped = bytearray(content[part.offset : part.offset + part.in_file])
        # Offsets are told in the head and in the table of parts, which are mapped themselves.
        for start, size in ((32, 16), (58, 6), (file.table, len(file.parts) * _PART.size)):
            first, last = max(start - part.offset, 0), min(start + size - part.offset, len(mapped))
            if first < last:
                mapped[first:last] = bytes(last - first)
        can_be = part.align <= 1 or part.offset % part.align == part.place % part.align
        made.append((part.kind, part.rights, part.place, part.in_memory, can_be, hashlib.sha256(mapped).digest()))
    return tuple(made)


def without_symbols(content: bytes) -> bytes:
    """What is mapped, moved together by whole pages. The content as it was where that would save nothing, for a file of
    another kind, and for one with something appended that no section accounts for (programs that read themselves).
    """
    file = _read(content)
    if file is None or file.sections == 0 or content[_accounted(content, file) :].strip(b"\0"):
        return content
    page = math.lcm(4096, *(part.align or 1 for part in file.parts if part.kind == _LOADED))
    table = (file.table, file.table + len(file.parts) * _PART.size)
    ranges = [(0, _HEAD.size), table] + [
        (part.offset, part.offset + part.in_file) for part in file.parts if part.in_file
    ]
    shorter = bytearray()
    shifts: list[tuple[int, int]] = []
    for start, end in _merged(ranges):
        shift = (start - len(shorter)) // page * page
        shifts.append((start, shift))
        shorter += bytes(start - shift - len(shorter)) + content[start:end]

    def moved(offset: int) -> int:
        return offset - next(shift for start, shift in reversed(shifts) if start <= offset)

    head = list(file.head)
    head[4] = moved(file.table)
    head[5] = head[11] = head[12] = 0  # no table of sections, none in it, no names of them
    _HEAD.pack_into(shorter, 0, content[:16], *head)
    for index, part in enumerate(file.parts):
        told = (part.kind, part.rights, moved(part.offset), part.place, part.physical, part.in_file, part.in_memory)
        _PART.pack_into(shorter, head[4] + index * _PART.size, *told, part.align)
    return bytes(shorter) if len(shorter) < len(content) else content


def _accounted(content: bytes, file: _File) -> int:
    """Where in the file the last thing ends that its tables tell of. 0 if they cannot be read."""
    size, number = file.head[10], file.head[11]
    if size != _SECTION.size or file.sections + number * size > len(content):
        return 0
    ends = [file.sections + number * size, *(part.offset + part.in_file for part in file.parts)]
    for index in range(number):
        _, kind, _, _, offset, length, *_ = _SECTION.unpack_from(content, file.sections + index * size)
        if kind != _NO_BITS:
            ends.append(offset + length)
    return max(ends)


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """In order, without overlap."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
