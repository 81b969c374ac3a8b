"""Names that landed files may have, from a folder to the rows."""

from __future__ import annotations

import os
import subprocess
import unicodedata
from pathlib import Path

from resources.platform import Platform
from sensors.looking import look_for_arrivals
from tests.conftest import Put
from tests.running import look_and_run, toy, visible
from tests.toy_source import TOY


def landed(platform: Platform, name: str, content: str) -> None:
    """As a person copies it in, past what `put` would refuse."""
    path = platform.settings.home / "landing" / "toy" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_twins_of_one_name_are_two_files(platform: Platform) -> None:
    """One composed, one decomposed: they look alike and are different bytes, so different keys."""
    twins = [unicodedata.normalize(form, "Müller.csv") for form in ("NFC", "NFD")]
    for number, name in enumerate(twins):
        landed(platform, name, toy(number))
    look_and_run(platform)
    assert visible(platform) == {f"toy/{name}": [float(number)] for number, name in enumerate(twins)}


def test_names_that_would_act_on_a_terminal_or_a_log_are_not_taken(platform: Platform, put: Put) -> None:
    for name in ("a\nFAKE LINE.csv", "red\x1b[31m.csv", "del\x7f.csv", "folder\r/a.csv"):
        landed(platform, name, toy(1))
    put("toy/good.csv", toy(2))
    found = look_for_arrivals(platform, TOY)
    assert {one.name for one in found.skipped} == {
        "'toy/a\\nFAKE LINE.csv'", "'toy/red\\x1b[31m.csv'", "'toy/del\\x7f.csv'", "'toy/folder\\r'",
    }  # fmt: skip
    assert {one.reason for one in found.skipped} == {"its name has a control character; rename it"}
    look_and_run(platform, "run-2")
    assert visible(platform) == {"toy/good.csv": [2.0]}


def test_a_key_of_1024_bytes_is_read_and_one_of_1025_is_told(platform: Platform) -> None:
    folders = "/".join(["é" * 100] * 5)
    rest = 1024 - len(f"toy/{folders}/.csv".encode())
    landed(platform, f"{folders}/{'x' * rest}.csv", toy(1))
    landed(platform, f"{folders}/{'x' * (rest + 1)}.csv", toy(2))
    found = look_for_arrivals(platform, TOY)
    assert [one.reason for one in found.skipped] == ["its key is longer than 1,024 bytes; move it up"]
    look_and_run(platform, "run-2")
    assert [len(key.encode()) for key in visible(platform)] == [1024]


def test_folders_in_folders_in_folders_stop_no_listing(platform: Platform, put: Put, tmp_path: Path) -> None:
    """As many as a path can be made of, step by step: far more than Python would follow by recursion."""
    put("toy/good.csv", toy(1))
    here = Path.cwd()
    try:
        os.chdir(platform.settings.home / "landing" / "toy")
        for _ in range(3000):
            Path("d").mkdir()
            os.chdir("d")
    finally:
        os.chdir(here)
    try:
        found = look_for_arrivals(platform, TOY)
        assert [one.reason for one in found.skipped] == ["its key is longer than 1,024 bytes; move it up"]
        look_and_run(platform, "run-2")
        assert visible(platform) == {"toy/good.csv": [1.0]}
    finally:
        # What deletes pytest's folders some runs later does it by recursion.
        subprocess.run(["rm", "-rf", str(platform.settings.home / "landing" / "toy" / "d")], check=True)
