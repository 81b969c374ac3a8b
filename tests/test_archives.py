"""Zips and packed files that want to do harm, and those that do not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import threading
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.archives import ArchiveLimits, is_packed, is_zip, open_archive, peek, read_ahead, unpacked
from pipeline_assets.landed_file import LandedFile, Refused

LIMITS = ArchiveLimits(
    members=20,
    member_bytes=5_000_000,
    total_bytes=8_000_000,
    ratio=100,
    name_bytes=100,
    setting="STRANDLINE_X",
    members_setting="STRANDLINE_MEMBERS",
)


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name, content, compress_type=method)
    return file.getvalue()


def contents(data: bytes, limits: ArchiveLimits = LIMITS) -> dict[str, bytes]:
    with open_archive(LandedFile("a.zip", data=data), limits) as members:
        return {member.name: member.read() for member in members}


def refusal(data: bytes, limits: ArchiveLimits = LIMITS) -> Refused:
    with pytest.raises(Refused) as caught:
        contents(data, limits)
    return caught.value


def test_members_come_in_order_without_folders() -> None:
    folder = zipfile.ZipInfo("b/")
    data = zipped((folder, b""), ("b/2.csv", b"two"), ("a.csv", b"one"), ("__MACOSX/._a.csv", b"x"))
    assert is_zip(data[:4])
    assert list(contents(data)) == ["b/2.csv", "a.csv", "__MACOSX/._a.csv"]
    with open_archive(LandedFile("a.zip", data=data), LIMITS) as members:
        assert [(member.file_name, member.is_litter) for member in members] == [
            ("2.csv", False), ("a.csv", False), ("._a.csv", True),
        ]  # fmt: skip


@given(st.lists(st.binary(max_size=400).filter(lambda content: not is_zip(content)), max_size=9))
def test_members_that_are_unpacked_ahead_come_in_the_order_asked_for(members_of: list[bytes]) -> None:
    given_files = [(f"{number}.csv", content) for number, content in enumerate(members_of)]
    with open_archive(LandedFile("a.zip", data=zipped(*given_files)), LIMITS) as members:
        backwards = list(reversed(members))
        found = [(member.name, content) for member, content in read_ahead(backwards)]
    assert found == given_files[::-1]


def test_of_members_unpacked_ahead_a_bad_one_is_refused_where_it_comes() -> None:
    data = zipped(*((f"{number}.csv", f"content {number}".encode()) for number in range(6)), method=zipfile.ZIP_STORED)
    damaged = data.replace(b"content 3", b"kontent 3")
    with open_archive(LandedFile("a.zip", data=damaged), LIMITS) as members:
        ahead = read_ahead(members)
        assert [next(ahead)[0].name for _ in range(3)] == ["0.csv", "1.csv", "2.csv"]
        with pytest.raises(Refused) as caught:
            next(ahead)
    assert (caught.value.error_class, caught.value.location) == ("damaged_archive", "3.csv")


def test_nothing_is_unpacked_any_more_once_the_caller_leaves() -> None:
    before = threading.active_count()
    data = zipped(*((f"{number}.csv", b"x" * 1000) for number in range(9)))
    with open_archive(LandedFile("a.zip", data=data), LIMITS) as members:
        ahead = read_ahead(members)
        assert next(ahead)[0].name == "0.csv"
        ahead.close()
        assert threading.active_count() == before


@given(st.dictionaries(st.text("abcxyz_/", min_size=1, max_size=9), st.binary(max_size=400), max_size=6))
def test_what_is_packed_comes_out_or_its_name_is_refused(files: dict[str, bytes]) -> None:
    data = zipped(*files.items())
    if any(not all(name.rstrip("/").split("/")) for name in files):
        assert refusal(data).error_class == "unsafe_member_name"
    elif any(is_zip(content) for name, content in files.items() if not name.endswith("/")):
        assert refusal(data).error_class == "nested_archive"
    else:
        assert contents(data) == {name: content for name, content in files.items() if not name.endswith("/")}


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up.csv", "a/../../b", "C:/x", "a\\b.csv", "a//b", "./a", "x" * 101, "tab\tname", "."]
)
def test_names_that_are_no_plain_paths(name: str) -> None:
    refused = refusal(zipped((name, b"x")))
    assert refused.error_class == "unsafe_member_name"
    assert "expected a plain path" in refused.message


def test_a_nul_in_a_name_is_not_hidden() -> None:
    data = zipped(("evilX.csv", b"x")).replace(b"evilX", b"evil\0")
    assert refusal(data).error_class == "unsafe_member_name"


def test_links() -> None:
    link = zipfile.ZipInfo("link.csv")
    link.external_attr = 0o120777 << 16
    assert refusal(zipped((link, b"/etc/passwd"))).error_class == "unsafe_member_name"


def test_two_members_of_one_name() -> None:
    assert refusal(zipped(("a.csv", b"1"), ("a.csv", b"2"))).error_class == "duplicate_member"
    refused = refusal(zipped(("a.csv", b"1"), ("A.csv", b"2")))
    assert refused.error_class == "duplicate_member"
    assert "'A.csv' and 'a.csv'" in refused.message


def test_encrypted() -> None:
    data = bytearray(zipped(("a.csv", b"1")))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + at] |= 1
    assert refusal(bytes(data)).error_class == "encrypted_archive"


def test_too_many_members() -> None:
    refused = refusal(zipped(*((f"{n}.csv", b"") for n in range(21))))
    assert refused.error_class == "archive_too_large"
    assert "21 members; expected 20 at most. Split it or raise STRANDLINE_MEMBERS." in refused.message


def test_a_directory_that_is_too_large_is_not_loaded() -> None:
    data = zipped(*((f"{n:05d}{'x' * 60}.csv", b"") for n in range(2000)))
    refused = refusal(data)
    assert "its directory has" in refused.message
    assert "or raise STRANDLINE_MEMBERS." in refused.message


def test_members_and_all_of_them_are_limited() -> None:
    noise = bytes(range(256)) * 12_000
    assert refusal(zipped(("a", b"0" * 6_000_000))).error_class == "archive_too_large"
    refused = refusal(zipped(("a", noise), ("b", noise), ("c", noise), method=zipfile.ZIP_STORED))
    assert (refused.error_class, "more than 8 MB" in refused.message) == ("archive_too_large", True)
    assert "raise STRANDLINE_X" in refused.message


def test_a_bomb() -> None:
    assert refusal(zipped(("a", bytes(4_000_000)))).error_class == "archive_bomb"
    assert contents(zipped(("a", bytes(900_000))))["a"] == bytes(900_000)


def test_a_member_that_says_it_is_smaller_than_it_is() -> None:
    data = zipped(("a.csv", b"x" * 5000))
    size = struct.pack("<I", 5000)
    lying = data.replace(size, struct.pack("<I", 10))
    assert refusal(lying).error_class == "damaged_archive"


def test_members_that_share_bytes() -> None:
    data = bytearray(zipped(("a.csv", b"x" * 100), ("b.csv", b"y" * 100), method=zipfile.ZIP_STORED))
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[second + 42 : second + 46] = struct.pack("<I", 5)
    assert refusal(bytes(data)).error_class == "archive_bomb"


def test_an_archive_within_an_archive() -> None:
    inner = zipped(("a.csv", b"1"))
    refused = refusal(zipped(("inner.zip", inner)))
    assert (refused.error_class, refused.location) == ("nested_archive", "inner.zip")
    with open_archive(LandedFile("a.zip", data=zipped(("inner.zip", inner))), LIMITS) as members:
        assert members[0].read(nested=True) == inner


def test_other_methods() -> None:
    assert refusal(zipped(("a.csv", b"1"), method=zipfile.ZIP_BZIP2)).error_class == "unsupported_archive"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:4] + bytes(len(data) - 4),
        lambda data: data[:50] + b"\xff" * 40 + data[90:],
        lambda data: b"PK\x03\x04",
    ],
)
def test_damage(damage: Callable[[bytes], bytes]) -> None:
    assert refusal(damage(zipped(("a.csv", bytes(range(256)) * 4)))).error_class == "damaged_archive"


@given(st.data())
def test_no_flipped_byte_gets_past_refused(data: st.DataObject) -> None:
    whole = bytearray(zipped(("a.csv", b"x,y\n1,2\n" * 50), ("b/c.csv", b"z" * 30)))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Refused):
        assert all(len(content) <= LIMITS.member_bytes for content in contents(bytes(whole)).values())


def pieces(data: bytes, size: int) -> list[bytes]:
    with open_archive(LandedFile("a.zip", data=data), LIMITS) as (member,):
        return list(member.chunks(size))


@given(st.binary(max_size=300), st.integers(1, 400))
def test_a_member_comes_in_pieces_too(content: bytes, size: int) -> None:
    found = pieces(zipped(("a.bin", content)), size)
    assert b"".join(found) == content
    assert all(0 < len(piece) <= size for piece in found)


@pytest.mark.parametrize("said", [20, 399, 401, 4000])
def test_pieces_end_at_what_the_archive_says_and_it_must_be_right(said: int) -> None:
    data = bytearray(zipped(("a.bin", bytes(range(200)) * 2)))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", said)
    with pytest.raises(Refused) as caught:
        pieces(bytes(data), 64)
    assert caught.value.error_class == "damaged_archive"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_files(pack: Callable[[bytes], bytes]) -> None:
    text = b"* Sea-Bird\n" * 1000
    data = pack(text)
    assert is_packed(data[:512])
    assert peek(data[:512]).startswith(b"* Sea-Bird")
    assert unpacked(data, 20_000) == text
    assert unpacked(data + data, 30_000) == text * 2
    for broken, error_class in (
        (data[:-10], "damaged_archive"),
        (data[:8] + bytes(len(data) - 8), "damaged_archive"),
        (pack(data), "nested_archive"),
        (pack(zipped(("a", b"1"))), "nested_archive"),
    ):
        with pytest.raises(Refused) as caught:
            unpacked(broken, 20_000)
        assert caught.value.error_class == error_class
    with pytest.raises(Refused) as caught:
        unpacked(data, 10_000, "STRANDLINE_Y")
    assert caught.value.error_class == "archive_too_large"
    assert "STRANDLINE_Y" in caught.value.message


def test_what_is_not_packed_stays() -> None:
    assert unpacked(b"CTD,2016", 3) == b"CTD,2016"
    assert peek(b"CTD,2016") == b""
