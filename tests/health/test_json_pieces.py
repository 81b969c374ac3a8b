"""Long lists in pieces: the same elements, cut only between them; broken files refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.health.json_pieces import pieces_of
from pipeline_assets.landed_file import Refused

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.sampled_from('a"\\{}[],:é '), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def cut(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


@settings(max_examples=120, deadline=None)
@given(st.lists(JSON, max_size=12), st.integers(1, 60), st.integers(1, 30), st.sampled_from([None, 1]))
def test_the_pieces_of_a_list_are_the_list(elements: list[Any], piece: int, chunk: int, indent: int | None) -> None:
    text = json.dumps(elements, indent=indent).encode()
    found: list[Any] = []
    for content, first in pieces_of("a.json", cut(text, chunk), 10_000, piece_bytes=piece):
        assert first == len(found)
        found += content
    assert found == elements


@settings(max_examples=80, deadline=None)
@given(st.lists(JSON, max_size=8), st.data())
def test_a_broken_list_is_refused_as_a_whole_one_would_be(elements: list[Any], data: st.DataObject) -> None:
    text = bytearray(json.dumps(elements).encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at : at + data.draw(st.integers(0, 1))] = data.draw(
        st.sampled_from([b"", b",", b"]", b"[", b"}", b'"', b"x", b"1", b"\xff"])
    )
    try:
        wanted: Any = json.loads(text)
    except ValueError:
        wanted = Refused
    if wanted is Refused:
        _all_refused(bytes(text))
    elif not _is_strange(wanted):
        found = [
            one for content, _ in pieces_of("a.json", [bytes(text)], 10_000, piece_bytes=5) for one in _list(content)
        ]
        assert found == _list(wanted)


def _all_refused(text: bytes) -> None:
    with pytest.raises(Refused, match=r"a\.json is no JSON"):
        list(pieces_of("a.json", [text], 10_000, piece_bytes=5))


def _list(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _is_strange(value: Any) -> bool:
    """What the standard library takes for JSON and is none, or is a number beyond a double."""
    text = json.dumps(value)
    return "NaN" in text or "Infinity" in text or "\\ud" in text


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"[1,]",
        b"[,1]",
        b"[1,,2]",
        b"[1 2]",
        b"[1",
        b"[{}",
        b"[1]]",
        b"[1],",
        b"{",
        b"NaN",
        b'["\xff"]',
        b'["\\ud800"]',
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 3, 4_000_000])
def test_what_is_no_json_is_refused(text: bytes, piece: int) -> None:
    with pytest.raises(Refused) as caught:
        list(pieces_of("a.json", [text], 100, piece_bytes=piece))
    assert (caught.value.error_class, caught.value.location) == ("bad_json", "a.json")


def test_a_byte_order_mark_is_no_part_of_the_document() -> None:
    assert list(pieces_of("a.json", [b"\xef\xbb\xbf[1]"], 100)) == [([1], 0)]


@pytest.mark.parametrize("text", [b'{"a": "' + b"x" * 200 + b'"}', b'["' + b"x" * 200 + b'"]', b"[" * 200])
def test_a_document_or_an_element_that_is_too_large_is_refused(text: bytes) -> None:
    with pytest.raises(Refused, match="STRANDLINE_HEALTH_MAX_DOCUMENT_MB") as caught:
        list(pieces_of("a.json", cut(text, 10), 100, piece_bytes=20))
    assert caught.value.error_class == "document_too_large"


def test_a_list_that_may_not_be_cut_is_a_document() -> None:
    text = json.dumps(list(range(30))).encode()
    assert list(pieces_of("a.json", cut(text, 7), 200, cut_lists=False, piece_bytes=10)) == [(list(range(30)), 0)]
    with pytest.raises(Refused, match="more than 5e-05 MB"):
        list(pieces_of("a.json", cut(text, 7), 50, cut_lists=False, piece_bytes=10))
