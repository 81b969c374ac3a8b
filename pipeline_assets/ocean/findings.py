"""What is odd in a file and does not make it useless: counted, with the first places, to be told to the data manager."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Severity = Literal["info", "warning", "error"]
MOST_PLACES = 5
LONGEST_TEXT = 300


@dataclass
class Finding:
    """One kind of oddity of one file.

    code: a stable snake_case word. severity: `error` for what makes data wrong or unusable, `warning` for what should be
    mended, `info` for what is only worth knowing. parameter: the column it is about, empty when it is the file.
    places: where it was seen first, such as "row 12 (station 3, cast 1)"; count: how often it was seen.
    """

    code: str
    severity: Severity
    message: str
    parameter: str = ""
    count: int = 0
    places: list[str] = field(default_factory=list)


@dataclass
class Findings:
    """The findings of one file; equal ones are counted together."""

    found: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def add(
        self,
        code: str,
        severity: Severity,
        message: str,
        *,
        parameter: str = "",
        count: int = 1,
        places: Iterable[str] = (),
    ) -> None:
        """Note something that was seen `count` times; nothing for 0 times."""
        if count <= 0:
            return
        parameter = parameter[:LONGEST_TEXT]
        finding = self.found.setdefault(
            (code, parameter), Finding(code, severity, message[: 2 * LONGEST_TEXT], parameter)
        )
        finding.count += int(count)
        for place in places:
            if len(finding.places) >= MOST_PLACES:
                break
            finding.places.append(place[:LONGEST_TEXT])

    def add_rows(
        self, code: str, severity: Severity, message: str, mask: NDArray[Any], where: Any, *, parameter: str = ""
    ) -> None:
        """Note the rows for which the mask holds. where: a row's number to its place in words."""
        count = int(np.count_nonzero(mask))
        if count:
            rows = np.flatnonzero(mask)[:MOST_PLACES]
            places = [where(int(row)) for row in rows]
            self.add(code, severity, message, parameter=parameter, count=count, places=places)

    def update(self, other: Findings, place: str = "") -> None:
        """Take over the findings of a part of the file, such as a member of an archive."""
        for finding in other.found.values():
            places = [f"{place}: {one}" if place else one for one in finding.places] or ([place] if place else [])
            self.add(
                finding.code, finding.severity, finding.message, parameter=finding.parameter, count=finding.count,
                places=places,
            )  # fmt: skip

    def __iter__(self) -> Any:
        return iter(self.found.values())

    def count(self, code: str, parameter: str | None = None) -> int:
        """How often something was found, in one parameter or in all."""
        return sum(
            finding.count
            for finding in self.found.values()
            if finding.code == code and parameter in (None, finding.parameter)
        )
