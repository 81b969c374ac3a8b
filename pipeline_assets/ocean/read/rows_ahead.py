"""Rows of casts with equal columns, parsed while the casts after them are still unpacked and cut."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import pyarrow as pa

from pipeline_assets.ocean.read.delimited import Ragged, parse_fast
from pipeline_assets.ocean.read.exchange_lines import ExchangeText

_PIECE_BYTES = 1 << 20


class RowsAhead:
    """Takes texts one after the other, and parses their rows in a thread, some casts at once.

    texts: names of columns that are read as text. To be used as a context, whose end stops the thread.
    """

    def __init__(self, texts: Collection[str]) -> None:
        self._texts = texts
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parse")
        self._alike: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._differ = False
        self._bodies: list[bytes] = []
        self._size = 0
        self._parsed: list[Future[list[pa.Array]]] = []
        self.counts: list[int] = []
        """rows of each text"""

    def __enter__(self) -> RowsAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def add(self, text: ExchangeText) -> None:
        """Take up the rows of one more text. One with other columns than those before ends the parsing of all."""
        columns = (text.names, text.units)
        self._alike = self._alike or columns
        if self._differ or columns != self._alike:
            self._differ = True
            self._bodies, self._parsed = [], []
            return
        body = text.body
        if not body or body.isspace():
            self.counts.append(0)
            return
        # A blank line among the rows is counted here and is no row to the parser, so the counts tell.
        is_closed = body.endswith(b"\n")
        self.counts.append(body.count(b"\n") + (not is_closed))
        self._bodies.append(body if is_closed else body + b"\n")
        self._size += len(body)
        if self._size >= _PIECE_BYTES:
            self._parse()

    def columns(self) -> list[pa.Array] | None:
        """The columns of all rows; None if the texts have unequal columns, or rows that are not well formed."""
        if self._differ or self._alike is None:
            return None
        if self._bodies or not self._parsed:
            self._parse()
        try:
            parts = [part.result() for part in self._parsed]
        except Ragged:
            return None
        if sum(len(part[0]) for part in parts) != sum(self.counts):
            return None
        return [pa.concat_arrays(pieces) for pieces in zip(*parts, strict=True)]

    def _parse(self) -> None:
        assert self._alike is not None
        names = self._alike[0]
        texts = {number for number, name in enumerate(names) if name in self._texts}
        body = b"".join(self._bodies)
        self._parsed.append(self._thread.submit(parse_fast, body, len(names), texts))
        self._bodies, self._size = [], 0
