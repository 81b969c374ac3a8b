"""What CARIS says and leaves, and what is made of it: exit code 0 is not enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.bathymetry.caris.command import Rendered
from pipeline_assets.bathymetry.caris.output import in_words, parse_output, version_said, what_failed

IMPORT = Rendered("ImportToHIPS", ("--run", "ImportToHIPS", "a.gsf"), ("lines/a.gsf",), (), None, counts_lines=True)
EXPORT = Rendered(
    "ExportRaster", ("--run", "ExportRaster", "x"), (), ("exports/surface.bag",), None, counts_lines=False
)

LOG = """\
====== ImportToHIPS start: 21/11/2026 3:04:05 PM ======
Converted Line: D:\\s\\lines\\0001_E.gsf
Depths Converted: 1,234,567
Accepted: 1,200,000
Rejected by Disabled Beam: 34,567
Warning: static values used for line D:\\s\\lines\\0001_E.gsf
Converted Line: D:\\s\\lines\\0002 W.gsf
Depths Converted: 10
Warning: static values used for line D:\\s\\lines\\0002_W.gsf
WARNING No Svp was found for the specified time stamp
2 of 2 lines successfully converted.
====== ImportToHIPS end: 21/11/2026 3:06:16 PM (Elapsed Time: 00:02:11) ======""".splitlines()


def failed(lines: list[str], command: Rendered = IMPORT, code: int | None = 0, **more: object) -> str:
    said = parse_output(lines)
    sizes = more.get("sizes", {"exports/surface.bag": 10})
    return ", ".join(what_failed(command, code, more.get("stopped"), said, sizes))  # type: ignore[arg-type]


def test_a_log_as_caris_writes_it() -> None:
    said = parse_output(LOG)
    assert said.errors == ()
    assert said.converted == (2, 2)
    assert said.counts == {
        "0001_E.gsf": {"Depths Converted": 1_234_567, "Accepted": 1_200_000, "Rejected by Disabled Beam": 34_567},
        "0002 W.gsf": {"Depths Converted": 10},
    }
    assert said.warnings == {
        "Warning: static values used for line …": 2, "WARNING No Svp was found for the specified time stamp": 1,
    }  # fmt: skip
    assert said.elapsed_s == 131.0
    assert "profiles do not cover" in said.hints[0]
    assert failed(LOG) == ""


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        (LOG, 1, "its exit code is 1, where 0 means no errors"),
        ([*LOG, "Error: There is not enough disk space"], 0, "it said Error: There is not enough disk space"),
        ([*LOG, "  ERROR 42 the line cannot be read"], 0, "ERROR 42"),
        ([*LOG, "Converted LiError: broken in the middle"], 0, "broken in the middle"),
        ([*LOG, "Unhandled exception at 0x7ff"], 0, "Unhandled exception"),
        ([*LOG, "No lines were successfully merged"], 0, "No lines were successfully merged"),
        ([*LOG[:-2], "48 of 49 lines successfully converted."], 0, "it converted 48 of 49 lines"),
        ([*LOG, "0 of 1 lines successfully converted."], 0, "it converted 2 of 3 lines"),
        (LOG[:-2], 0, "it does not say how many lines it converted"),
        (["0 of 0 lines successfully converted."], 0, "it converted 0 of 0 lines"),
        ([], 0, "it does not say"),
        (["Error: a", "Error: b", "Error: c", "Error: d", *LOG], 0, "Error: c and 1 more errors"),
    ],
)
def test_known_bad_outcomes(lines: list[str], code: int, words: str) -> None:
    assert words in failed(lines, code=code)


def test_a_command_that_was_stopped_says_so_and_not_what_follows_from_that() -> None:
    assert failed(LOG[:3], code=None, stopped="no output for 600 s") == "it was stopped: no output for 600 s"


@pytest.mark.parametrize("sizes", [{}, {"exports/surface.bag": 0}, {"exports/surface.bag.xml": 10}])
def test_a_declared_output_must_be_there(sizes: dict[str, int]) -> None:
    assert failed([], EXPORT, sizes=sizes) == "it left no exports/surface.bag, or an empty one"
    assert failed([], EXPORT) == ""


@pytest.mark.parametrize("line", ["0 errors found", "Errors: 0", "Error: 0", "The warning light is off", "terror"])
def test_words_that_are_no_errors(line: str) -> None:
    assert (parse_output([line]).errors, dict(parse_output([line]).warnings)) == ((), {})


def test_the_message_names_command_reason_and_help() -> None:
    said = parse_output(["There is no overlapping data for the surface"])
    told = in_words(EXPORT, what_failed(EXPORT, 1, None, said, {}), said)
    assert told.startswith("ExportRaster failed: its exit code is 1")
    assert "carisbatch --run ExportRaster x" in told
    assert "different CRS" in told
    silent = parse_output(["first", "", "the last word"])
    assert "Its last words: first / the last word" in in_words(EXPORT, ["its exit code is 1"], silent)


def test_versions() -> None:
    assert version_said(["CARIS Batch 11.4.22", "HIPS 11.5  Yes"]) == "11.4.22"
    assert version_said(["no number", ""]) == "unknown"


@given(
    st.lists(
        st.one_of(st.text(max_size=60), st.sampled_from(LOG), st.from_regex(r"[0-9.,' ]{1,9} of [0-9.,']{1,9} lines"))
    )
)
def test_no_output_is_too_strange(lines: list[str]) -> None:
    said = parse_output([*lines, "Error: the last"])
    assert said.errors[-1] == "Error: the last"
    assert what_failed(IMPORT, 0, None, said, {})
