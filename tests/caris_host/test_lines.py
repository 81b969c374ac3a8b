"""Lines of output, however they were cut."""

from __future__ import annotations

from itertools import pairwise

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from resources.caris_host.lines import LONGEST_LINE, Lines
from resources.caris_host.paths import checked, folder_name

TEXT = st.text(alphabet="aü\r\n =%", max_size=60)


def heard(pieces: list[bytes]) -> list[str]:
    lines = Lines()
    return [line for piece in pieces for line in lines.feed(piece)] + lines.end()


@given(TEXT, st.lists(st.integers(0, 120), max_size=8))
def test_cuts_make_no_difference(text: str, cuts: list[int]) -> None:
    whole = text.encode()
    places = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(places)]
    assert heard(pieces) == heard([whole])
    assert not any(sign in line for line in heard(pieces) for sign in "\r\n")


def test_each_kind_of_line_end() -> None:
    assert heard([b"a\r\nb\nc\rd\r"]) == ["a", "b", "c", "d"]
    assert heard([b"a\r", b"\nb"]) == ["a", "b"], "a line end in two pieces is one"
    assert heard([b"\n\n"]) == ["", ""]
    assert heard([b"\xff\xc3"]) == ["��"]


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    lines = Lines()
    found = [line for _ in range(10) for line in lines.feed(b"x" * LONGEST_LINE)]
    assert len(found) >= 9
    assert max(map(len, found)) <= LONGEST_LINE
    assert "".join([*found, *lines.end()]) == "x" * LONGEST_LINE * 10


@hypothesis.settings(max_examples=40)
@given(st.text(min_size=1, max_size=80))
def test_every_survey_has_a_folder_that_windows_takes(survey: str) -> None:
    name = folder_name(survey)
    assert checked(name) == name
    assert len(name) <= 60
    assert name == name.lower()


def test_folders_tell_surveys_apart() -> None:
    surveys = [
        "survey-7",
        "Survey-7",
        "SURVEY-7",
        "survey 7",
        "survey/7",
        "con",
        "CON",
        "a",
        "a.",
        "süd",
        "sud",
        "-",
        "x" * 200,
        "x" * 201,
    ]
    assert len({folder_name(one) for one in surveys}) == len(surveys)
    assert folder_name("survey-7") == "survey-7"
