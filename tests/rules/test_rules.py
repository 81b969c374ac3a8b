"""Every rule has its file here, and the tests that these files name exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(Path(__file__).parent.glob("test_r[0-9]*.py"))
NAMED_ELSEWHERE = {13, 16}
"""R13 comes with the rates, R16 is documents."""


def test_every_rule_has_its_file() -> None:
    found = {int(path.name[6:8]) for path in FILES}
    assert found | NAMED_ELSEWHERE == set(range(1, 17))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_tests_it_names_exist(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert text.startswith(f"R{int(path.name[6:8])} ")
    named = re.findall(r"(tests/[\w/]+\.py)::(\w+)", text)
    own = re.findall(r"^def test_", path.read_text(), re.M)
    assert named or own
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.M), f"{file}::{test}"
