"""The list of long tests names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.long import LONG

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("begin", LONG)
def test_it_is_there(begin: str) -> None:
    file, _, test = begin.partition("::")
    text = (ROOT / file).read_text()
    assert not test or re.search(rf"^def {re.escape(test.partition('[')[0])}", text, re.M)
