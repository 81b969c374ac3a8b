"""What a command of CARIS Batch said, and whether it did its work. Exit code 0 alone does not tell.

The help promises: 0 without processing errors, 1 with; text on standard output, errors on standard error. Everything else here
is as CARIS HIPS was seen to write it in logs of processing pipelines: `====== <Process> start: ... ======`, `Converted Line: ...`,
`N of M lines successfully converted.`, lines that begin with `Warning` or `Error`. Other output may stand in the middle of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline_assets.bathymetry.caris.command import Rendered

_ERROR = re.compile(
    r"^\s*(?:\*+\s*)?(?:fatal\b|unhandled exception|error\b(?!s?\s*[:=]\s*0\b))|(?-i:Error|ERROR):\s+(?!0\b)",
    re.IGNORECASE,
)
_WARNING = re.compile(r"^\s*(?:\*+\s*)?warning\b|(?-i:Warning|WARNING):\s", re.IGNORECASE)
_CONVERTED = re.compile(r"([0-9][0-9.,']*) of ([0-9][0-9.,']*) lines? successfully converted", re.IGNORECASE)
_LINE = re.compile(r"Converted Line:\s*(.+?)\s*$")
_COUNT = re.compile(
    r"^\s*(Depths Converted|Accepted|Rejected(?: by [A-Za-z ]+)?|Total \w+ records applied):\s*([0-9][0-9.,']*)\s*$"
)
_ELAPSED = re.compile(r"\(Elapsed Time:\s*(\d+):(\d\d):(\d\d)\)")
_VERSION = re.compile(r"\b(\d+\.\d+(?:\.\d+)*)\b")
_VARIES = re.compile(r"\S*[\d/\\]\S*")
_MOST_SHOWN = 3
_LAST_LINES = 5

KNOWN: Mapping[str, tuple[bool, str]] = {
    "There is no GPS Height data available for this line": (
        False, "import auxiliary files with heights, or georeference without GPS",
    ),
    "No lines were successfully merged": (True, "look at what was georeferenced with: heights or tide are missing"),
    "No TPU found for any survey lines to process": (
        True, "the lines have no uncertainties: land GSF with them, or declare caris.georeference, which computes them",
    ),
    "TPU does not exist": (
        True, "the lines have no uncertainties: land GSF with them, or declare caris.georeference, which computes them",
    ),
    "Insufficient data provided for swath estimation": (True, "most often the CRS is the UTM zone of another place"),
    "There is no overlapping data for the surface": (True, "surface and lines are in different CRS"),
    "Delayed heave was selected but no data was found": (
        False, "no auxiliary file covers the line: compare their times, or choose another heave_source",
    ),
    "Input datum model does not completely cover survey data": (True, "give a datum model of the whole area"),
    "No Svp was found for the specified time stamp": (False, "the sound velocity profiles do not cover the line's time"),
    "The post-processed data has gaps greater than the max allowed": (
        False, "auxiliary data have gaps: look for missing files",
    ),
}  # fmt: skip
"""Messages of CARIS that people meet: whether the command failed with it, whatever its exit code, and what helps. The messages
are those that NOAA's Charlene looks for in CARIS's logs; which of them fail a command is our own."""


@dataclass(frozen=True)
class Said:
    """The output of one command, understood.

    warnings: how many of each kind; names and numbers are left out of a kind. converted: lines converted, and lines there
    were; None where it does not say. counts: by line that was converted, and "" before the first, what was counted.
    hints: what helps against what was said. elapsed_s: as the command itself says.
    """

    errors: tuple[str, ...] = ()
    warnings: Mapping[str, int] = field(default_factory=dict)
    converted: tuple[int, int] | None = None
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    hints: tuple[str, ...] = ()
    elapsed_s: float | None = None
    last: tuple[str, ...] = ()


def parse_output(lines: Sequence[str]) -> Said:
    """What whole lines of output say. Never fails, whatever the lines are."""
    errors: list[str] = []
    warnings: Counter[str] = Counter()
    counts: dict[str, dict[str, int]] = {}
    converted: tuple[int, int] | None = None
    elapsed: float | None = None
    hints: dict[str, None] = {}
    line = ""
    for text in lines:
        known = next((phrase for phrase in KNOWN if phrase.lower() in text.lower()), None)
        if known is not None:
            hints[f"{known}: {KNOWN[known][1]}"] = None
        if _ERROR.search(text) or (known is not None and KNOWN[known][0]):
            errors.append(text.strip())
        elif _WARNING.search(text):
            warnings[_VARIES.sub("…", text.strip())[:200]] += 1
        if found := _CONVERTED.search(text):
            done, of = (_number(part) for part in found.groups())
            # Several such lines are of several groups of lines; together they are all.
            converted = (done, of) if converted is None else (converted[0] + done, converted[1] + of)
        if found := _LINE.search(text):
            line = re.split(r"[\\/]", found[1])[-1][:200]
        if found := _COUNT.search(text):
            of_line = counts.setdefault(line, {})
            of_line[found[1]] = of_line.get(found[1], 0) + _number(found[2])
        if found := _ELAPSED.search(text):
            hours, minutes, seconds = map(int, found.groups())
            elapsed = (elapsed or 0.0) + 3600.0 * hours + 60.0 * minutes + seconds
    last = tuple(text.strip()[:300] for text in lines if text.strip())[-_LAST_LINES:]
    return Said(tuple(errors), dict(warnings), converted, counts, tuple(hints), elapsed, last)


def version_said(lines: Sequence[str]) -> str:
    """The version in what `carisbatch --version` says; the first number with a point in it; `unknown` if there is none."""
    for text in lines:
        if found := _VERSION.search(text):
            return found[1]
    return "unknown"


def _number(text: str) -> int:
    return int(re.sub(r"[.,']", "", text) or 0)


def what_failed(
    command: Rendered, exit_code: int | None, stopped: str | None, said: Said, sizes: Mapping[str, int]
) -> list[str]:
    """Why a command did not do its work, in sentences; nothing where it did: exit code 0, no error said, all lines
    converted, and every file that it makes is there with bytes in it.

    sizes: bytes of the files that are there, by path.
    """
    found = []
    if stopped is not None:
        found.append(f"it was stopped: {stopped}")
    elif exit_code != 0:
        found.append(f"its exit code is {exit_code}, where 0 means no errors")
    if said.errors:
        more = len(said.errors) - _MOST_SHOWN
        shown = "; ".join(text[:300] for text in said.errors[:_MOST_SHOWN])
        found.append(f"it said {shown}" + (f" and {more} more errors" if more > 0 else ""))
    if command.counts_lines and stopped is None:
        if said.converted is None:
            found.append("it does not say how many lines it converted")
        elif said.converted[0] != said.converted[1] or said.converted[1] < 1:
            found.append(f"it converted {said.converted[0]} of {said.converted[1]} lines")
    lacking = [path for path in command.makes if not sizes.get(path)]
    if lacking and stopped is None:
        found.append(f"it left no {', '.join(lacking)}, or an empty one")
    return found


def in_words(command: Rendered, failed: Collection[str], said: Said) -> str:
    """The failure of a command for people: what, why, what helps."""
    told = f"{command.process} failed: {', '.join(failed)}. It ran as: {command.line}"
    if said.hints:
        told += f". What may help: {'; '.join(said.hints)}"
    elif not said.errors and said.last:
        told += f". Its last words: {' / '.join(said.last)}"
    return told
