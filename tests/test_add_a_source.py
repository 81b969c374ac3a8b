"""docs/add-a-source.md, carried out word for word; and what `strandline new-source` writes.

Half a minute for each: every command is a process of its own in a copy of the repository, as a newcomer types it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from cli.new_source import write_new_source
from resources.errors import UserError
from tests.checkout import ROOT, Checkout

PAGE = ROOT / "docs/add-a-source.md"
NEW_ASSETS = """
import json, sys
from pipeline_assets.definitions import defs
from tests.metadata_contract import missing
specs = [spec for spec in defs.resolve_all_asset_specs() if spec.key.path[0] == {name!r}]
print(json.dumps([sorted(spec.key.to_user_string() for spec in specs), missing(specs)]))
"""


@dataclass(frozen=True)
class Block:
    """One fenced block. before: the paragraph that leads to it."""

    kind: str
    text: str
    before: str

    @property
    def path(self) -> str:
        """The file that the paragraph before the block names last."""
        return re.findall(r"`([\w/]+\.\w+)`", self.before)[-1]


def blocks_of(page: str) -> list[Block]:
    found = re.finditer(r"((?:[^\n]+\n)*)\n?```(\w+)\n(.*?)```\n", page, re.DOTALL)
    return [Block(one[2], one[3], one[1]) for one in found]


def carry_out(checkout: Checkout, blocks: list[Block]) -> int:
    """Do what the blocks say, in their order; how many answers were compared."""
    printed, compared = "", 0
    for block in blocks:
        if block.kind == "sh":
            printed = checkout.sh(block.text)
        elif block.kind == "text":
            assert printed == block.text
            compared += 1
        elif block.kind == "diff":
            registry = checkout.root / block.path
            before = registry.read_text()
            names = re.search(r"NAMES = \[\n(?:    .*\n)*", before)
            assert names is not None
            after = before.replace(names[0], names[0] + block.text.removeprefix("+"))
            registry.write_text(after)
        else:
            assert not (checkout.root / block.path).exists()
            (checkout.root / block.path).write_text(block.text)
    return compared


def test_the_page_followed_word_for_word_gives_a_source(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    blocks = [block for block in blocks_of(PAGE.read_text()) if "new-source" not in block.text]
    assert [block.kind for block in blocks] == [
        "csv", "sh", "python", "python", "diff", "sh", "text", "csv", "sh", "text",
    ]  # fmt: skip
    assert carry_out(checkout, blocks) == 2

    written = [block for block in blocks if block.kind in {"python", "diff"}]
    assert sum(len(block.text.splitlines()) for block in written) < 40
    places = "pipeline_assets/tides pipeline_assets/registry.py"
    checkout.sh(f"ruff check {places} && ruff format --check {places}")
    assert checkout.python(NEW_ASSETS.format(name="tides")) == '[["tides/raw_files", "tides/readings"], []]\n'
    checkout.sh("python -m pytest -p no:cacheprovider tests/test_docs.py")


def test_a_new_source_works_as_it_stands(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    printed = checkout.sh("strandline new-source rainfall")
    assert 'pipeline_assets/registry.py: "rainfall",' in printed
    places = "pipeline_assets/rainfall tests/rainfall pipeline_assets/registry.py"
    checkout.sh(f"ruff check {places} && ruff format --check {places}")
    checkout.sh("lint-imports")
    checkout.sh("python -m pytest -p no:cacheprovider tests/rainfall tests/test_docs.py -k 'rainfall or source'")
    assert checkout.python(NEW_ASSETS.format(name="rainfall")) == '[["rainfall/raw_files", "rainfall/readings"], []]\n'
    checkout.sh("strandline land rainfall tests/rainfall/sample.csv && strandline drain --source rainfall")
    assert checkout.sh("strandline sql 'SELECT sum(value) AS v FROM rainfall.readings' --format csv") == '"v"\n3.75\n'
    with pytest.raises(AssertionError, match=r"pipeline_assets/rainfall is there already\. Choose another name"):
        checkout.sh("strandline new-source rainfall")


def test_what_a_new_source_is_of_types_alone(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.sh("strandline new-source rainfall")
    checkout.sh("mypy --follow-imports=silent pipeline_assets/rainfall")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Tides", "use lower-case letters, digits and underscores"),
        ("2tides", "a letter first"),
        ("../tides", "use lower-case letters"),
        ("t" * 42, "at most 41"),
        ("class", "is a word of Python or SQL"),
        ("order", "is a word of Python or SQL"),
        ("ecg", "pipeline_assets/ecg is there already"),
        ("metadata", r"pipeline_assets/metadata\.py is there already"),
        ("model", "tests/model is there already"),
        ("landing", "its settings would look like STRANDLINE_LANDING"),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_nothing_is_written(name: str, message: str) -> None:
    before = sorted((ROOT / "pipeline_assets").iterdir())
    with pytest.raises(UserError, match=message):
        write_new_source(name)
    assert sorted((ROOT / "pipeline_assets").iterdir()) == before


def test_outside_of_a_checkout_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no checkout of the platform"):
        write_new_source("tides", tmp_path)


def test_the_command_shows_the_message_alone() -> None:
    done = CliRunner().invoke(main, ["new-source", "ecg"])
    assert done.exit_code == UserError.exit_code
    assert "Error: pipeline_assets/ecg is there already." in done.output
