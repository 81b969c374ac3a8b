"""The parts of a WHP-Exchange text: stamp, comments, header, names, units, rows. The same for bottle and CTD files.

Format: WHP-Exchange, https://exchange-format.readthedocs.io (Swift & Diggs 2008, Description of WHP-Exchange format).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline_assets.landed_file import Refused
from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.read.delimited import check_columns

END = re.compile(rb"(?mi)^[ \t]*\"?END[_ ]DATA\b.*$")
_STAMP = re.compile(r"\s*\"?(BOTTLE|CTD)\b", re.IGNORECASE)
_HEADER = re.compile(r"\s*([A-Za-z_][^=,]{0,80}?)\s*=\s*(.*)")
_NUMBER = re.compile(r"\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*")
_MOST_COMMENT_CHARACTERS = 200_000
_MOST_HEADERS = 1_000


@dataclass
class ExchangeText:
    """One file, or one cast of a file, cut into its parts.

    headers: the "KEY = value" lines of a CTD file. names, units: one for each column. body: the data rows' bytes;
    first_line: the number of their first line. is_closed: whether END_DATA came.
    """

    stamp: str
    comments: list[str]
    headers: dict[str, str]
    names: tuple[str, ...]
    units: tuple[str, ...]
    body: bytes
    first_line: int
    is_closed: bool
    findings: Findings = field(default_factory=Findings)


def is_stamp(text: str, kind: str) -> bool:
    """Whether a line is the first one of an Exchange file of this kind (BOTTLE or CTD)."""
    found = _STAMP.match(text)
    return found is not None and found[1].upper() == kind


def recognises(begin: str, kind: str) -> bool:
    """Whether a text begins as an Exchange file of this kind, be it after comments."""
    for line in begin.split("\n"):
        if line.strip() and not line.lstrip().startswith("#"):
            return is_stamp(line, kind)
    return False


def split_casts(content: bytes, kind: str) -> Iterator[tuple[bytes, bool, int]]:
    """The texts that follow each other in one file: bytes up to END_DATA, whether that came, and their first line."""
    start, line = 0, 1
    for begin, after in _ends(content):
        yield content[start:begin], True, line
        line += content.count(b"\n", start, after) + 1
        start = after + 1
        following = content[start : start + 2000].decode("utf-8", "replace")
        if not recognises(following, kind):
            return
    if start < len(content) and not content[start:].isspace():
        yield content[start:], False, line


def _ends(content: bytes) -> Iterator[tuple[int, int]]:
    """Where each END_DATA line begins and ends."""
    # Looking for the plain word first spares a pass with the pattern over the rows of most files.
    at = content.find(b"\nEND_DATA")
    found = END.finditer(content, at) if at >= 0 else END.finditer(content)
    yield from (match.span() for match in found)


def cut(content: bytes, kind: str, is_closed: bool, line: int = 1) -> ExchangeText:
    """One text in its parts. Refused: `wrong_magic_number`, `no_columns`, `no_units`."""
    lines = _Lines(content, line)
    comments: list[str] = []
    stamp = lines.next()
    while stamp is not None and (not stamp.strip() or stamp.lstrip().startswith("#")):
        comments.append(stamp)
        stamp = lines.next()
    if stamp is None or not is_stamp(stamp, kind):
        raise Refused(
            "wrong_magic_number",
            f"line {lines.number} is {(stamp or '')[:80]!r}; expected a WHP-Exchange file, whose first line begins with {kind}.",
            location=f"line {lines.number}",
        )
    found = ExchangeText(stamp.strip(), comments, {}, (), (), b"", 0, is_closed)
    _read_headers(lines, found, kind)
    names_line, names_at = lines.current, lines.number
    if names_line is None:
        raise Refused("no_columns", "the file ends before its line of column names. Send it again whole.")
    found.names = tuple(name.strip().strip('"').upper() for name in names_line.split(","))
    check_columns(found.names)
    _read_units(lines, found, names_at)
    found.body, found.first_line = lines.rest()
    if not is_closed:
        found.findings.add("no_end_data", "warning", "the file has no END_DATA line: its end may be missing")
    return found


def _read_headers(lines: _Lines, found: ExchangeText, kind: str) -> None:
    """Comments and "KEY = value" lines, up to the line of column names, which stays the current one."""
    declared, seen, comment_room = None, 0, _MOST_COMMENT_CHARACTERS
    line = lines.next()
    while line is not None:
        text = line.strip()
        header = _HEADER.fullmatch(line) if kind == "CTD" else None
        if not text or text.startswith("#"):
            comment_room -= len(line)
            if comment_room > 0 and text:
                found.comments.append(line)
        elif header is not None and len(found.headers) < _MOST_HEADERS:
            key = header[1].strip().upper().replace(" ", "_")
            seen += 1
            if key == "NUMBER_HEADERS":
                declared = int(header[2]) if header[2].strip().isdigit() else None
            elif key in found.headers:
                found.findings.add("duplicate_header", "warning", f"header {key} comes twice; the first counts")
            else:
                found.headers[key] = header[2].strip().rstrip(",").strip()
        elif kind == "CTD" and declared is not None and seen < declared and "CTDPRS" not in text.upper():
            seen += 1
            found.findings.add(
                "odd_header", "warning", "a header line is no KEY = value; left out", places=[f"line {lines.number}: {text[:60]}"]
            )  # fmt: skip
        else:
            break
        line = lines.next()
    if kind == "CTD" and line is not None:
        if declared is None:
            found.findings.add("no_number_headers", "info", "the file does not say NUMBER_HEADERS")
        elif declared != seen:
            found.findings.add(
                "number_headers", "warning", f"NUMBER_HEADERS is {declared}, and there are {seen} header lines"
            )


def _read_units(lines: _Lines, found: ExchangeText, names_at: int) -> None:
    line = lines.peek()
    while line is not None and (line.lstrip().startswith("#") or not line.strip()):
        lines.next()  # a remark between names and units
        line = lines.peek()
    cells = [] if line is None else [cell.strip().strip('"') for cell in line.split(",")]
    if line is None or _is_data(found.names, cells):
        found.findings.add(
            "no_units", "warning", "there is no line of units after the column names", places=[f"line {names_at + 1}"]
        )
        cells = []
    else:
        lines.next()
    found.names = _without_empty_end(found.names)
    width = len(found.names)
    if cells and len(cells) != width and any(cells[width:]):
        raise Refused(
            "unit_alignment",
            f"there are {width} column names and {len(cells)} units, so that they cannot be told which belongs to which. "
            "Correct the two lines.",
            location=f"lines {names_at} and {names_at + 1}",
        )
    if cells and len(cells) < width:
        found.findings.add("unit_alignment", "warning", f"there are {width} column names and only {len(cells)} units")
    found.units = tuple((*cells, *[""] * width)[:width])


def _without_empty_end(names: Sequence[str]) -> tuple[str, ...]:
    end = len(names)
    while end and not names[end - 1]:
        end -= 1
    return tuple(names[:end])


def _is_data(names: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether a line after the column names holds values already."""
    keys = {"EXPOCODE", "STNNBR", "CASTNO", "DATE", "LATITUDE", "LONGITUDE", "CTDPRS", "SAMPNO"}
    values = [cell for name, cell in zip(names, cells, strict=False) if name in keys and cell]
    return sum(_NUMBER.fullmatch(cell) is not None for cell in values) >= max(1, (len(values) + 1) // 2)


class _Lines:
    """The lines of a text, one after the other, and what is left of it."""

    def __init__(self, content: bytes, first: int) -> None:
        self._content, self._at, self._next = content, 0, first
        self.current: str | None = None
        self.number = first

    def _end(self) -> int:
        end = self._content.find(b"\n", self._at)
        return end if end >= 0 else len(self._content)

    def peek(self) -> str | None:
        if self._at >= len(self._content):
            return None
        return self._content[self._at : self._end()].decode("utf-8")

    def next(self) -> str | None:
        self.number = self._next
        if self._at >= len(self._content):
            self.current = None
            return None
        end = self._end()
        self.current = self._content[self._at : end].decode("utf-8")
        self._at = min(end + 1, len(self._content))
        self._next += 1
        return self.current

    def rest(self) -> tuple[bytes, int]:
        return self._content[self._at :], self._next
