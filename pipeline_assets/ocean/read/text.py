"""Bytes of a text file as lines that can be trusted: one kind of line end, no mark in front, known characters."""

from __future__ import annotations

from pipeline_assets.landed_file import Refused
from pipeline_assets.ocean.findings import Findings

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


def begin_of(head: bytes) -> str:
    """How a text file begins, for recognising it: without a mark and blank space in front, in upper case."""
    for mark, codec in _UTF16_MARKS.items():
        if head.startswith(mark):
            head = head[2:].decode(codec, "replace").encode("latin-1", "replace")
            break
    return head.removeprefix(_UTF8_MARK).lstrip().decode("latin-1").upper()


def normalised(content: bytes, findings: Findings) -> bytes:
    """The text in ASCII or UTF-8 with plain line ends. What is not UTF-8 is taken for ISO-8859-1, where every byte is a
    character. Refused `wrong_encoding`: NUL bytes, as in a binary file."""
    for mark, codec in _UTF16_MARKS.items():
        if content.startswith(mark):
            findings.add("byte_order_mark", "info", f"the text is in {codec}; plain text in UTF-8 is expected")
            content = content[2:].decode(codec, "replace").encode()
    if content.startswith(_UTF8_MARK):
        findings.add("byte_order_mark", "info", "the file begins with a byte order mark; it is left out")
        content = content.removeprefix(_UTF8_MARK)
    if b"\0" in content:
        at = content.index(b"\0")
        raise Refused(
            "wrong_encoding",
            f"byte {at} of the text is NUL: the file is damaged or not text. Send it again as plain text.",
            location=f"byte {at}",
        )
    if b"\r" in content:
        findings.add("windows_line_ends", "info", "lines end as on Windows; they are read as they are meant")
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not content.isascii():
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            findings.add("latin_1", "info", "the text is no UTF-8; it is read as ISO-8859-1")
            content = content.decode("latin-1").encode("utf-8")
    return content
