"""docs/operations.md as tests read it: its entries, and the messages that an entry quotes.

An entry is a heading below "When something is wrong", or a row of a table whose first column is what one sees. It quotes
what stands in code and in double quotes, in the words of a heading, and in code in the first column of a table;
``...`` stands for anything.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
_FIRST_COLUMNS = ("you see", "the check `balanced` says")


def _entries() -> dict[str, list[str]]:
    """The messages that each entry quotes, by its heading or first column."""
    text = PAGE.read_text()
    found: dict[str, list[str]] = {}
    for part in text.partition("\n## When something is wrong\n")[2].split("\n### ")[1:]:
        heading, _, body = part.partition("\n")
        found[heading] = re.findall(r'`"(.+?)"`', body)
    is_entry = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            is_entry = False
        elif cells[0] in _FIRST_COLUMNS:
            is_entry = True
        elif is_entry and not set(cells[0]) <= set("-"):
            found[cells[0]] = re.findall(r"`(.+?)`", cells[0])
    return found


ENTRIES = _entries()
WALKED: dict[str, str] = {}
"""The test of each entry, by the entry's name."""
_seen: set[str] = set()


def walks(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Marks the test of some entries. It fails unless it shows, by `saw`, what each of them quotes."""

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def walked(*arguments: Any, **named: Any) -> None:
            _seen.clear()
            test(*arguments, **named)
            assert set(names) == _seen, f"shown {sorted(_seen)}, not {sorted(names)}"

        for name in names:
            assert name not in WALKED, f"{name} has two tests"
            WALKED[name] = test.__name__
        return walked

    return mark


def saw(name: str, *outputs: object) -> None:
    """Fail unless every message that the entry quotes is in what was shown."""
    shown = "\n".join(map(str, outputs))
    for message in ENTRIES[name]:
        pattern = ".*?".join(re.escape(part) for part in message.split("..."))
        assert re.search(pattern, shown, re.DOTALL), f"{name}: {message!r} is not in\n{shown}"
    _seen.add(name)
