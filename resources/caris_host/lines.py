"""What a command says, in whole lines, however it came in pieces."""

from __future__ import annotations

import codecs
import re

LONGEST_LINE = 64 * 1024
"""Characters. A longer line is given in pieces: a program without line ends must not fill the memory."""
MOST_OUTPUT = 256 * 1024 * 1024
"""Bytes of one command. A survey of a thousand lines says some hundred kilobytes."""

_END = re.compile(r"\r\n|\n|\r(?!\Z)")
"""A lone carriage return ends a line as well (progress on one line of a terminal); at the very end it may be half of one."""


class Lines:
    """Joins pieces of output to lines. Bytes that are no UTF-8 are replaced, never an error."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self.bytes = 0

    def feed(self, piece: bytes) -> list[str]:
        """The lines that a piece completes, without their ends."""
        self.bytes += len(piece)
        return self._split(self._decoder.decode(piece))

    def end(self) -> list[str]:
        """What is left when nothing more comes."""
        lines = self._split(self._decoder.decode(b"", final=True))
        last, self._rest = self._rest.removesuffix("\r"), ""
        return [*lines, last] if last else lines

    def _split(self, text: str) -> list[str]:
        *lines, self._rest = _END.split(self._rest + text)
        while len(self._rest) > LONGEST_LINE:
            lines.append(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]
        return lines
