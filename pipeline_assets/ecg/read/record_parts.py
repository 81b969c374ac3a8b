"""Which files make one record, told from names and the header alone. Pure functions that load no library.

A WFDB record is a header (`100.hea`) with the signal files it names (`100.dat`), and perhaps annotations (`100.atr`);
a MATLAB file may have a sidecar (`rec.json`). All of them are in one folder and have one stem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

PART_SUFFIXES = frozenset((".hea", ".dat", ".atr", ".xyz", ".mat", ".json"))
PRIMARY_SUFFIXES = (".hea", ".mat")
HEADER_BYTES_MAX = 65_536
LINE_CHARACTERS_MAX = 2_000
SIGNALS_MAX = 256

# WFDB Applications Guide, header(5): the record line is name[/segments] signals [rate ...], a signal line is
# file format[xsamples][:skew][+offset] [gain[(baseline)][/units] ...].
RECORD_LINE = re.compile(
    r"(?P<name>[-\w]+)(?P<segments>/\d+)?[ \t]+(?P<signals>\d{1,4})(?:[ \t]+(?P<rest>\S.*))?", re.ASCII
)
SIGNAL_LINE = re.compile(
    r"(?P<file>\S+)[ \t]+(?P<format>\d{1,4})(?P<layout>[x:+\d]*)(?:[ \t]+(?P<rest>\S.*))?", re.ASCII
)
PLAIN_NAME = re.compile(r"[-\w]{1,100}(\.\w{1,20})?", re.ASCII)


class HeaderError(ValueError):
    """The bytes are no WFDB header. The message says where."""


@dataclass(frozen=True)
class SignalLine:
    """One signal as the header describes it: the file it is in, and the text of its gain (empty when it has none)."""

    file: str
    gain: str


@dataclass(frozen=True)
class Header:
    """What must be known of a header before any other file is touched."""

    segments: bool
    rate: str
    signals: tuple[SignalLine, ...]

    @property
    def files(self) -> list[str]:
        """The signal files it names, each once, in their order."""
        return list(dict.fromkeys(signal.file for signal in self.signals))


def record_name(key: str) -> str | None:
    """The record that a key is a part of: its folder and stem. None for a file that can be no part of any.

    `MLII/100.hea`, `MLII/100.dat` and `MLII/100.atr` are parts of `MLII/100`. A signal or annotation file has nothing
    in its content that would tell what it is, so its name must.
    """
    path = PurePosixPath(key)
    return str(path.with_suffix("")) if path.suffix.lower() in PART_SUFFIXES else None


def primary_part(names: Collection[str]) -> str | None:
    """Of the names of one record's parts, the file to read it from: the header, else the MATLAB file. None: not there."""
    for suffix in PRIMARY_SUFFIXES:
        for name in sorted(names):
            if PurePosixPath(name).suffix.lower() == suffix:
                return name
    return None


def missing_parts(header: bytes, present_names: Collection[str]) -> list[str]:
    """The signal files that a header names and that are not among the present ones, in the header's order.

    Empty for bytes that are no header, and without names that no landed file can have (paths, addresses): waiting would
    not help, and reading refuses the record for them.
    """
    try:
        files = parse_header(header).files
    except HeaderError:
        return []
    return [name for name in files if PLAIN_NAME.fullmatch(name) and name not in present_names]


def needed_parts(name: str, head: Callable[[], bytes]) -> list[str]:
    """The files without which the one of this name cannot be read: what a header names; nothing for a MATLAB file.

    head: gives the file's first `HEADER_BYTES_MAX` bytes.
    """
    return missing_parts(head(), ()) if PurePosixPath(name).suffix.lower() == ".hea" else []


def stands_alone(key: str) -> bool:
    """Whether the file is a recording by itself when nothing else is there, as a bare MATLAB file is."""
    return PurePosixPath(key).suffix.lower() == ".mat"


def looks_like_header(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a WFDB header: text, a record line, a signal line after it."""
    if b"\0" in head:
        return False
    lines = header_lines(head)
    record = RECORD_LINE.fullmatch(lines[0]) if lines else None
    if record is None:
        return False
    if record["segments"] or int(record["signals"]) == 0:
        return True
    # The last line may be cut by the end of the head.
    return len(lines) > 1 and SIGNAL_LINE.fullmatch(lines[1]) is not None


def parse_header(header: bytes) -> Header:
    """Raises HeaderError."""
    if len(header) > HEADER_BYTES_MAX:
        raise HeaderError(f"it has {len(header):,} bytes; expected {HEADER_BYTES_MAX:,} at most")
    lines = header_lines(header)
    if any(len(line) > LINE_CHARACTERS_MAX for line in lines):
        raise HeaderError(f"it has a line of more than {LINE_CHARACTERS_MAX:,} characters")
    record = RECORD_LINE.fullmatch(lines[0]) if lines else None
    if record is None:
        raise HeaderError("it has no record line (name, number of signals, sampling frequency)")
    rate = (record["rest"] or "").split()[:1]
    if record["segments"]:
        return Header(True, "", ())
    expected = int(record["signals"])
    if expected > SIGNALS_MAX or len(lines) - 1 != expected:
        raise HeaderError(f"its record line says {expected} signals, and {len(lines) - 1} signal lines follow")
    return Header(False, rate[0] if rate else "", tuple(_signal(line) for line in lines[1:]))


def _signal(line: str) -> SignalLine:
    match = SIGNAL_LINE.fullmatch(line)
    if match is None:
        raise HeaderError(f"this is no signal line (file, format, gain): {line[:60]!r}")
    gain = (match["rest"] or "").split()[:1]
    return SignalLine(match["file"], gain[0] if gain else "")


def header_lines(header: bytes) -> list[str]:
    """The lines that are neither empty nor comments, as the wfdb library sees them."""
    lines = (line.strip() for line in header.decode("ascii", "ignore").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
