"""A JSON file as documents in memory; a long list piece by piece, so that memory does not follow its length."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from pipeline_assets.landed_file import Refused

PIECE_BYTES = 4_000_000
_WINDOW = 1 << 16
_TRIES = 8
_BETWEEN_OBJECTS = re.compile(rb"\}\s*(,)\s*\{")
_COMMA = re.compile(rb"(,)")
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"


def pieces_of(
    name: str,
    chunks: Iterable[bytes],
    max_document_bytes: int,
    *,
    cut_lists: bool = True,
    piece_bytes: int = PIECE_BYTES,
) -> Iterator[tuple[Any, int]]:
    """The document of a file; of a list longer than a piece, its elements in several lists, each with the place of its first.

    A list is cut at a comma; what comes before is taken only if it is whole values, so the cut is between elements. Refused:
    `bad_json`, `document_too_large` for a document that is no list, or one element, of more than `max_document_bytes`.

    cut_lists: whether lists may be cut; else they are documents like others.
    """
    source = iter(chunks)
    piece_bytes = min(piece_bytes, max_document_bytes + 1)
    buffer = _filled(bytearray(), source, piece_bytes)
    del buffer[: len(_BOM) if buffer.startswith(_BOM) else 0]
    if len(buffer) < piece_bytes:
        yield _parsed(name, bytes(buffer)), 0
        return
    if not cut_lists or not buffer.lstrip(_BLANK).startswith(b"["):
        buffer = _filled(buffer, source, max_document_bytes + 1)
        if len(buffer) > max_document_bytes:
            raise _too_large(name, max_document_bytes)
        yield _parsed(name, bytes(buffer)), 0
        return
    del buffer[: buffer.index(b"[") + 1]
    yield from _elements(name, buffer, source, max_document_bytes, piece_bytes)


def _elements(
    name: str, buffer: bytearray, source: Iterator[bytes], max_document_bytes: int, piece_bytes: int
) -> Iterator[tuple[list[Any], int]]:
    first, wanted = 0, piece_bytes
    while True:
        buffer = _filled(buffer, source, wanted)
        if len(buffer) < wanted:  # the end of the file
            rest = _parsed(name, b"[" + bytes(buffer))
            if first and not rest:
                raise _bad(name, "a comma before the list's end")
            yield rest, first
            return
        found = _cut(buffer)
        if found is None:
            if len(buffer) > max_document_bytes:
                raise _too_large(name, max_document_bytes)
            wanted = min(2 * wanted, max_document_bytes + 1)
            continue
        elements, end = found
        yield elements, first
        del buffer[:end]
        first, wanted = first + len(elements), piece_bytes


def _cut(buffer: bytearray) -> tuple[list[Any], int] | None:
    """Elements from the buffer's begin, as many as one of its last commas allows, and the place after that comma."""
    start = max(0, len(buffer) - _WINDOW)
    for pattern in (_BETWEEN_OBJECTS, _COMMA):
        commas = [match.start(1) for match in pattern.finditer(buffer, start)]
        for comma in reversed(commas[-_TRIES:]):
            try:
                elements = orjson.loads(b"[" + bytes(buffer[:comma]) + b"]")
            except orjson.JSONDecodeError:
                continue
            if elements:  # else nothing is before the comma, which is no JSON
                return elements, comma + 1
    return None


def _filled(buffer: bytearray, source: Iterator[bytes], size: int) -> bytearray:
    while len(buffer) < size:
        chunk = next(source, None)
        if chunk is None:
            break
        buffer += chunk
    return buffer


def _parsed(name: str, text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _bad(name, str(error)) from error


def _bad(name: str, why: str) -> Refused:
    return Refused("bad_json", f"{name} is no JSON: {why}. Correct the archive and land it again", location=name)


def _too_large(name: str, most: int) -> Refused:
    return Refused(
        "document_too_large",
        f"{name} holds a document, or an element of a list, of more than {most / 1e6:g} MB. Raise "
        "STRANDLINE_HEALTH_MAX_DOCUMENT_MB if that is right",
        location=name,
    )
