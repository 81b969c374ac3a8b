"""Archives that come from outside: their members one by one, each within limits. Pure; all it raises of a file is `Refused`.

What an archive says of itself is checked before anything is unpacked, and unpacking then stops at what it said.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from pipeline_assets.landed_file import LandedFile, Refused

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
"""How a zip begins: with a member, empty, or as the first part of several."""

_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END, _END_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_SIZE, _LOCATOR_SIZE, _LONGEST_COMMENT = 22, 20, 65_535
_DIRECTORY_BYTES_A_MEMBER = 1_500
"""Of the central directory: 46 fixed bytes, a name and its extra fields. More for each is nothing but hunger for memory."""
_SMALL = 1_000_000
"""Members up to so many bytes may be packed as tightly as they like: rows of equal text are."""
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CHUNK = 1 << 16


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may ask for.

    members: most members. member_bytes, total_bytes: most bytes of one, and of all, unpacked.
    ratio: most that a member of more than a million bytes may grow by when unpacked.
    name_bytes: longest name. setting, members_setting: those that raise `total_bytes` and `members`, for messages.
    """

    members: int = 10_000
    member_bytes: int = 256_000_000
    total_bytes: int = 1_000_000_000
    ratio: float = 200.0
    name_bytes: int = 512
    setting: str = ""
    members_setting: str = ""


@dataclass(frozen=True)
class Member:
    """One file of an archive. name: its path in there, which is safe to show and is never used as a path here."""

    name: str
    size_bytes: int
    _archive: zipfile.ZipFile
    _info: zipfile.ZipInfo

    @property
    def file_name(self) -> str:
        return PurePosixPath(self.name).name

    @property
    def is_litter(self) -> bool:
        """Whether an operating system left it there, such as `__MACOSX/._a.csv`, `.DS_Store` and `Thumbs.db`."""
        return self.name.startswith("__MACOSX/") or self.file_name.startswith("._") or self.file_name in _LITTER

    def read(self, *, nested: bool = False) -> bytes:
        """Its bytes. Refused: `damaged_archive`; `nested_archive` for an archive in the archive unless `nested`."""
        with _damage_refused(self.name), self._archive.open(self._info) as stream:
            content = stream.read(self.size_bytes + 1)
        if len(content) != self.size_bytes:
            raise Refused(
                "damaged_archive",
                f"member {self.name!r} has {self.size_bytes:,} bytes by its own account and unpacks to "
                f"{'more' if len(content) > self.size_bytes else f'{len(content):,}'}. Pack and send it again.",
                location=self.name,
            )
        if not nested and content.startswith(ZIP_MAGIC):
            raise Refused(
                "nested_archive",
                f"member {self.name!r} is an archive itself; expected files. Unpack it and send its files in one archive.",
                location=self.name,
            )
        return content

    def chunks(self, size: int = 1 << 20) -> Iterator[bytes]:
        """Its bytes in pieces, for members that are not to be held whole. Refused: `damaged_archive`, at the piece that shows it."""
        left = self.size_bytes
        with _damage_refused(self.name), self._archive.open(self._info) as stream:
            while chunk := stream.read(min(size, left + 1)):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
        if left:
            raise Refused(
                "damaged_archive",
                f"member {self.name!r} has {self.size_bytes:,} bytes by its own account and unpacks to "
                f"{'more' if left < 0 else f'{self.size_bytes - left:,}'}. Pack and send it again.",
                location=self.name,
            )


def read_ahead(members: Sequence[Member]) -> Generator[tuple[Member, bytes]]:
    """Members with their bytes, in their order; while the caller works on one, a thread unpacks the next.

    Refused: as `Member.read`, where that member comes.
    """
    # Two are in memory beside the caller's. One thread: the archive's file is shared, and has one place where it is read.
    with ThreadPoolExecutor(1, thread_name_prefix="unpack") as thread:
        waiting = iter(members)
        ahead = deque((member, thread.submit(member.read)) for member in islice(waiting, 2))
        try:
            while ahead:
                member, content = ahead.popleft()
                found = content.result()
                ahead.extend((following, thread.submit(following.read)) for following in islice(waiting, 1))
                yield member, found
        finally:
            for _, content in ahead:
                content.cancel()


_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def is_zip(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a zip, whatever its name."""
    return head.startswith(ZIP_MAGIC)


@contextmanager
def open_archive(file: LandedFile, limits: ArchiveLimits) -> Iterator[tuple[Member, ...]]:
    """The members of a zip in the order of its directory, without its folders; read them within the block.

    Refused: `damaged_archive`, `unsupported_archive` (a method of packing, several parts), `encrypted_archive`,
    `archive_too_large`, `archive_bomb`, `unsafe_member_name`, `duplicate_member`.
    """
    with file.open() as stream:
        _check_directory(stream, limits)
        with _damage_refused(""):
            archive = zipfile.ZipFile(stream)
        with archive:
            yield checked_members(archive, limits)


def checked_members(archive: zipfile.ZipFile, limits: ArchiveLimits) -> tuple[Member, ...]:
    """The members of an open zip, once all that it says of them is within the limits."""
    infos = archive.infolist()
    if len(infos) > limits.members:
        raise _too_large(f"it has {len(infos):,} members; expected {limits.members:,} at most", limits.members_setting)
    members: list[Member] = []
    names: dict[str, str] = {}
    total = 0
    for info in infos:
        _check_name(info, limits)
        if info.is_dir():
            continue
        _check_member(info, limits)
        total += info.file_size
        if total > limits.total_bytes:
            raise _too_large(f"it unpacks to more than {limits.total_bytes / 1e6:,.0f} MB", limits.setting)
        other = names.setdefault(info.filename.casefold(), info.filename)
        if len(names) == len(members):
            raise Refused(
                "duplicate_member",
                f"two members are called {_shown(info.filename)}{'' if other == info.filename else f' and {_shown(other)}'};"
                " expected names that differ by more than their case. Pack it again.",
                location=_shown(info.filename),
            )
        members.append(Member(info.filename, info.file_size, archive, info))
    _check_overlap(infos)
    return tuple(members)


def _check_directory(stream: BinaryIO, limits: ArchiveLimits) -> None:
    """Hold the size of the zip's directory against the limits before the library loads all of it."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT))
    tail = stream.read()
    at = tail.rfind(_END)
    if at < 0 or at + _END_SIZE > len(tail):
        raise Refused("damaged_archive", "it begins as a zip and has no directory at its end. Send it again whole.")
    directory: int = struct.unpack_from("<I", tail, at + 12)[0]
    if directory == 0xFFFFFFFF and at >= _LOCATOR_SIZE and tail[at - _LOCATOR_SIZE :].startswith(_LOCATOR_64):
        stream.seek(min(struct.unpack_from("<Q", tail, at - _LOCATOR_SIZE + 8)[0], size))
        record = stream.read(56)
        if record.startswith(_END_64) and len(record) == 56:
            directory = struct.unpack_from("<Q", record, 40)[0]
    if directory > limits.members * _DIRECTORY_BYTES_A_MEMBER:
        raise _too_large(
            f"its directory has {directory:,} bytes, more than {limits.members:,} members need", limits.members_setting
        )
    stream.seek(0)


def _check_name(info: zipfile.ZipInfo, limits: ArchiveLimits) -> None:
    # The library cuts a name at a NUL and may turn backslashes; what the archive says is what is judged.
    original = info.orig_filename
    parts = original.rstrip("/").split("/")
    if (
        original.startswith("/")
        or "\\" in original
        or _DRIVE.match(original)
        or _CONTROL.search(original)
        or any(part in {"", ".", ".."} for part in parts)
        or len(original.encode("utf-8", "surrogatepass")) > limits.name_bytes
    ):
        raise Refused(
            "unsafe_member_name",
            f"a member is called {_shown(original)}; expected a plain path of at most {limits.name_bytes} bytes without "
            "`..`, drive letters, backslashes and control characters. Pack it again.",
            location=_shown(original),
        )


def _check_member(info: zipfile.ZipInfo, limits: ArchiveLimits) -> None:
    name = _shown(info.filename)
    if info.flag_bits & 0x1:
        raise Refused("encrypted_archive", f"member {name} is encrypted. Send it without a password.", location=name)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind and kind != stat.S_IFREG:
        raise Refused(
            "unsafe_member_name", f"member {name} is a link or a device; expected plain files.", location=name
        )
    if info.compress_type not in _METHODS:
        raise Refused(
            "unsupported_archive",
            f"member {name} is packed by method {info.compress_type}; expected deflated or stored. Pack it again.",
            location=name,
        )
    if info.file_size > limits.member_bytes:
        raise _too_large(f"member {name} unpacks to {info.file_size:,} bytes", limits.setting)
    if info.file_size > _SMALL and info.file_size > limits.ratio * max(info.compress_size, 1):
        raise Refused(
            "archive_bomb",
            f"member {name} unpacks from {info.compress_size:,} to {info.file_size:,} bytes, more than {limits.ratio:g} "
            "times as much. If that is right, send the file itself.",
            location=name,
        )


def _check_overlap(infos: list[zipfile.ZipInfo]) -> None:
    """Members that share packed bytes make a small file unpack to anything (Fifield 2019, A better zip bomb)."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    for info, following in pairwise(ordered):
        if info.header_offset + info.compress_size > following.header_offset:
            raise Refused(
                "archive_bomb",
                f"members {_shown(info.filename)} and {_shown(following.filename)} share the same bytes. Pack it again.",
                location=_shown(following.filename),
            )


def _too_large(what: str, setting: str) -> Refused:
    raise_it = f" or raise {setting}" if setting else ""
    return Refused("archive_too_large", f"{what}. Split it{raise_it}.")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:79] + "…")


@contextmanager
def _damage_refused(name: str) -> Iterator[None]:
    try:
        yield
    except NotImplementedError as error:
        raise Refused(
            "unsupported_archive", f"{error}. Pack it again, deflated and in one part.", location=name
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, RuntimeError, OverflowError) as error:
        where = f"member {name!r} is damaged" if name else "the zip is damaged"
        raise Refused("damaged_archive", f"{where} ({error}). Pack and send it again.", location=name) from error
    except OSError as error:
        if error.errno is not None and error.errno != 22:  # EINVAL: it says that its bytes lie before its begin
            raise
        raise Refused(
            "damaged_archive", f"the zip is damaged ({error}). Pack and send it again.", location=name
        ) from error


_Unpacker = Any
"""Of zlib, bz2 or lzma: they share `decompress`, `eof` and `unused_data`."""


def is_packed(head: bytes) -> bool:
    """Whether a file that begins with these bytes is one file packed by gzip, bzip2 or xz."""
    return head.startswith((_GZIP, _BZIP2, _XZ))


def unpacked(data: bytes, max_bytes: int, setting: str = "") -> bytes:
    """The one file that gzip, bzip2 or xz packed, all parts of it; `data` itself if it is not packed.

    Refused: `damaged_archive`; `archive_too_large` beyond `max_bytes`; `nested_archive` if what is in it is packed again.
    """
    if not is_packed(data):
        return data
    parts: list[bytes] = []
    room, rest = max_bytes, data
    while rest:
        unpacker = _unpacker(rest)
        if unpacker is None:
            break  # what follows a whole part, such as padding, is no part
        content, rest = _unpack_part(unpacker, rest, room, max_bytes, setting)
        parts.append(content)
        room -= len(content)
    whole = b"".join(parts)
    if is_packed(whole) or is_zip(whole):
        raise Refused("nested_archive", "what is packed in it is an archive itself. Send that, or its files.")
    return whole


def peek(head: bytes, size: int = _CHUNK) -> bytes:
    """How a file begins once it is unpacked, as far as these first bytes of it tell; empty if they tell nothing."""
    unpacker = _unpacker(head)
    if unpacker is None:
        return b""
    try:
        return unpacker.decompress(head, size)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return b""


def _unpacker(data: bytes) -> _Unpacker:
    """What unpacks data that begin so; None for data that are not packed."""
    if data.startswith(_GZIP):
        return zlib.decompressobj(wbits=31)
    if data.startswith(_BZIP2):
        return bz2.BZ2Decompressor()
    if data.startswith(_XZ):
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=256_000_000)
    return None


def _unpack_part(unpacker: _Unpacker, data: bytes, room: int, max_bytes: int, setting: str) -> tuple[bytes, bytes]:
    try:
        content = unpacker.decompress(data, max(room, 0) + 1)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise Refused("damaged_archive", f"what is packed in it is damaged ({error}). Send it again.") from error
    if len(content) > room:
        raise _too_large(f"it unpacks to more than {max_bytes / 1e6:,.0f} MB", setting)
    if not unpacker.eof:
        raise Refused("damaged_archive", "what is packed in it ends too early. Send it again whole.")
    return content, unpacker.unused_data
