"""A bucket as landing store: Amazon S3 or any server that speaks its language. A file's version is its ETag."""

from __future__ import annotations

import hashlib
import io
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from resources.landing.s3_client import ATTEMPTS, CONNECT_SECONDS, READ_SECONDS, s3_client, translated
from resources.landing.shards import NONE_CLOSED, Closed, Passed
from resources.landing.spool import new_spool_file
from resources.landing.store import (
    BIG_FILE_BYTES,
    LONGEST_KEY_BYTES,
    PAGE_KEYS,
    BadKey,
    FileChanged,
    FileGone,
    Page,
    Skipped,
    StoreError,
    check_any_key,
    check_writable,
    sha256_of,
)
from resources.ledger.arrivals import Look
from resources.settings import S3Address

_CHUNK_BYTES = 1024 * 1024
_MOST_INTERRUPTIONS = 3
_SECONDS_TO_GIVE_UP = ATTEMPTS * (CONNECT_SECONDS + READ_SECONDS) + 20
"""Longest that one request takes to fail, with the pauses between its attempts."""
_SLACK_SECONDS = 20
_SLOWEST_BYTES_A_SECOND = 1024 * 1024
_SHA256 = "strandline-sha256"
_HEADS_AT_ONCE = 16
_WORTH_A_PAGE = 20


@dataclass(frozen=True)
class S3Fetcher:
    """Reads objects, each pinned to its ETag. Its client is made in the process that fetches."""

    address: S3Address
    endpoint: str | None
    spool: Path
    at_once: int = 8

    def fetch(self, key: str, version: str, size_bytes: int) -> bytes | Path:
        if size_bytes < BIG_FILE_BYTES:
            buffer = io.BytesIO()
            self._download(key, version, size_bytes, buffer)
            return buffer.getvalue()
        path = new_spool_file(self.spool, Path(key).suffix)
        try:
            with path.open("wb") as file:
                self._download(key, version, size_bytes, file)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def done(self, content: bytes | Path) -> None:
        if isinstance(content, Path):
            content.unlink(missing_ok=True)

    def longest_seconds(self, size_bytes: int) -> float:
        return _SLACK_SECONDS + size_bytes / _SLOWEST_BYTES_A_SECOND + _SECONDS_TO_GIVE_UP

    def _download(self, key: str, version: str, size_bytes: int, into: BinaryIO) -> None:
        """Copy the object, going on where a broken connection stopped. Raises as `fetch` does."""
        from botocore.exceptions import BotoCoreError, HTTPClientError
        from urllib3.exceptions import HTTPError

        deadline = time.monotonic() + self.longest_seconds(size_bytes) - _SECONDS_TO_GIVE_UP
        reason = "the connection is too slow"
        for _ in range(_MOST_INTERRUPTIONS):
            if time.monotonic() > deadline:
                break
            with closing(self._open(key, version, into)) as body:
                try:
                    while chunk := body.read(_CHUNK_BYTES):
                        into.write(chunk)
                        if time.monotonic() > deadline:
                            break
                    if into.tell() == size_bytes:
                        return
                    reason = "the connection is too slow"
                except (BotoCoreError, HTTPClientError, HTTPError, TimeoutError, ConnectionError) as error:
                    reason = f"the connection broke ({type(error).__name__})"
        raise StoreError(f"{self.address} gave {into.tell():,} of {size_bytes:,} bytes of {key!r}: {reason}.")

    def _open(self, key: str, version: str, into: BinaryIO) -> Any:
        begin = into.tell()
        options = {"Range": f"bytes={begin}-"} if begin else {}
        try:
            with translated(str(self.address), key):
                response = s3_client(self.endpoint).get_object(
                    Bucket=self.address.bucket, Key=self.address.prefix + key, IfMatch=f'"{version}"', **options
                )
        except FileGone:
            _check_bucket(self.address, self.endpoint)
            raise
        if _version(response) != version:  # a server that knows no If-Match
            raise FileChanged(key)
        if begin and "ContentRange" not in response:
            into.seek(0)
            into.truncate()
        return response["Body"]


class S3Store:
    """Every object below a prefix of a bucket, but for the empty ones that stand for folders."""

    kind = "bucket"
    is_atomic = True

    def __init__(
        self, address: S3Address, *, endpoint: str | None = None, spool: Path, read_only: bool = False
    ) -> None:
        self.address = address
        self.endpoint = endpoint
        self.spool = spool
        self.read_only = read_only
        self.name = str(address)

    def __repr__(self) -> str:
        return f"S3Store({self.address})"

    @property
    def _client(self) -> Any:
        return s3_client(self.endpoint)

    def list(self, prefix: str) -> Iterator[Look | Skipped]:
        for page in self.pages(prefix):
            yield from (one for one in page.seen if not isinstance(one, Passed))

    def pages(self, prefix: str, after: str | None = None, closed: Closed = NONE_CLOSED) -> Iterator[Page]:
        """Pages in the server's own order: by bytes on S3, by folders on some others; each resumes in its own."""
        if prefix not in closed.above:
            yield from self._pages(prefix, after)
            return
        yield from self._pages_around(prefix, after or "", closed)
        yield Page((), None)

    def _pages_around(self, folder: str, after: str, closed: Closed) -> Iterator[Page]:
        """Pages of a folder with closed shards somewhere below it, each page with its position. The folder's own level is
        listed by itself, so that a shard costs one name in it."""
        seen: deque[Look | Skipped | Passed] = deque()
        last = folder
        for name, found in self._level(folder):
            if found is not None:
                if name <= after or _is_folder_marker(found):
                    continue
                seen.append(self._seen(found))
                last = name
            elif name == after or (name < after and not after.startswith(name)):
                continue  # a folder as position means that it lies behind
            elif name in closed:
                seen.append(Passed(name))
                last = name
            else:
                if seen:
                    yield Page(tuple(seen), last)
                    seen.clear()
                begin = after if after.startswith(name) else ""
                if name in closed.above:
                    yield from self._pages_around(name, begin, closed)
                else:
                    yield from self._within(name, begin)
            if len(seen) >= PAGE_KEYS:
                yield Page(tuple(seen), last)
                seen.clear()
        if seen:
            yield Page(tuple(seen), last)

    def _within(self, folder: str, after: str) -> Iterator[Page]:
        for page in self._pages(folder, after or None):
            if page.seen:
                looks = [one for one in page.seen if isinstance(one, Look)]
                yield Page(page.seen, page.position or (looks[-1].key if looks else folder))

    def _level(self, folder: str) -> Sequence[tuple[str, dict[str, Any] | None]]:
        """What is directly in a folder, all of it and in the order of names, which not every server keeps: keys, and
        folders without an object."""
        level: deque[tuple[str, dict[str, Any] | None]] = deque()
        options: dict[str, str] = {}
        while True:
            response = self._list(folder, Delimiter="/", **options)
            level += [(self._relative(found["Key"]), found) for found in response.get("Contents", [])]
            level += [(self._relative(found["Prefix"]), None) for found in response.get("CommonPrefixes", [])]
            if not response.get("IsTruncated"):
                return sorted(level, key=lambda item: item[0])
            if not response.get("NextContinuationToken"):
                raise StoreError(f"{self.name} cannot be listed: the server breaks off the folders of {folder!r}.")
            options = {"ContinuationToken": response["NextContinuationToken"]}

    def _list(self, prefix: str, **options: str) -> dict[str, Any]:
        with translated(self.name):
            response: dict[str, Any] = self._client.list_objects_v2(
                Bucket=self.address.bucket, Prefix=self.address.prefix + prefix, MaxKeys=PAGE_KEYS, **options
            )
        return response

    def _pages(self, prefix: str, after: str | None) -> Iterator[Page]:
        position = after
        while True:
            response = self._list(prefix, **({"StartAfter": self.address.prefix + position} if position else {}))
            objects = response.get("Contents", [])
            seen = tuple(self._seen(found) for found in objects if not _is_folder_marker(found))
            if not response.get("IsTruncated") or not objects:
                yield Page(seen, None)
                return
            last = self._relative(objects[-1]["Key"])
            if last == position:
                raise StoreError(f"{self.name} cannot be listed: the server gives the same keys again after {last!r}.")
            position = last
            yield Page(seen, position)

    def _relative(self, full_key: str) -> str:
        return full_key.removeprefix(self.address.prefix)

    def _seen(self, found: dict[str, Any]) -> Look | Skipped:
        key = self._relative(found["Key"])
        if "\0" in key or "\ufffd" in key:
            return Skipped(ascii(key), "its key has a NUL or is not UTF-8; copy the object to another key")
        return Look(key, found["Size"], _nanoseconds(found["LastModified"]), _version(found))

    def look(self, key: str) -> Look | None:
        try:
            with translated(self.name, key):
                found = self._client.head_object(Bucket=self.address.bucket, Key=self.address.prefix + key)
        except FileGone:
            _check_bucket(self.address, self.endpoint)
            return None
        return Look(key, found["ContentLength"], _nanoseconds(found["LastModified"]), _version(found))

    def look_at_many(self, keys: Sequence[str]) -> dict[str, Look | None]:
        """`look` for several keys: by listing where many of them lie close together, else several at once."""
        found: dict[str, Look | None] = {}
        found |= self._look_by_listing(keys)
        alone = [key for key in keys if key not in found]
        if len(alone) == 1:
            return {**found, alone[0]: self.look(alone[0])}
        with ThreadPoolExecutor(_HEADS_AT_ONCE) as pool:
            return {**found, **dict(zip(alone, pool.map(self.look, alone), strict=True))}

    def _look_by_listing(self, keys: Sequence[str]) -> dict[str, Look]:
        """Those of the keys that are in pages which hold many of them. A request for a page costs about as much as
        five for a key each, and tells the same of a thousand. What no page holds may be gone, or be listed elsewhere: some servers
        have an order of their own."""
        found: dict[str, Look] = {}
        left = deque(sorted(set(keys)))
        while len(left) >= _WORTH_A_PAGE:
            first = left.popleft()
            before = self.address.prefix + first[:-1]
            response = self._list("", **({"StartAfter": before} if before else {}))
            seen = {one.key: one for one in map(self._seen, response.get("Contents", [])) if isinstance(one, Look)}
            here = {key: seen[key] for key in (first, *left) if key in seen}
            found |= here
            left = deque(key for key in left if key not in here)
            if len(here) < _WORTH_A_PAGE:
                break
        return found

    def version_of(self, look: Look) -> str:
        assert look.version is not None
        return look.version

    def fetcher(self) -> S3Fetcher:
        return S3Fetcher(self.address, self.endpoint, self.spool)

    def uri(self, key: str) -> str:
        return f"s3://{self.address.bucket}/{self.address.prefix}{key}"

    def check_key(self, key: str) -> None:
        check_any_key(key)
        if len((self.address.prefix + key).encode()) > LONGEST_KEY_BYTES:
            raise BadKey(f"{key[:80]!r}... is too long: at most 1,024 bytes with the bucket's prefix.")

    def put(self, source_path: Path, key: str) -> bool:
        """Upload a file, a large one in parts; S3 shows it whole or not at all."""
        from boto3.s3.transfer import TransferConfig

        check_writable(self)
        self.check_key(key)
        sha256 = sha256_of(source_path)
        if self._has_bytes(key, source_path, sha256):
            return False
        with translated(self.name):
            self._client.upload_file(
                str(source_path),
                self.address.bucket,
                self.address.prefix + key,
                ExtraArgs={"Metadata": {_SHA256: sha256}},
                Config=TransferConfig(multipart_threshold=BIG_FILE_BYTES, multipart_chunksize=BIG_FILE_BYTES // 4),
            )
        return True

    def _has_bytes(self, key: str, path: Path, sha256: str) -> bool:
        try:
            with translated(self.name, key):
                found = self._client.head_object(Bucket=self.address.bucket, Key=self.address.prefix + key)
        except FileGone:
            return False
        if found["ContentLength"] != path.stat().st_size:
            return False
        with path.open("rb") as file:
            # The ETag of an object uploaded in one piece and not encrypted with a key of its own is its MD5.
            same = _version(found) == hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return same or found.get("Metadata", {}).get(_SHA256) == sha256


def _check_bucket(address: S3Address, endpoint: str | None) -> None:
    """Raise StoreError when it is the whole bucket that is gone: then no key of it is known to be."""
    with translated(str(address)):
        s3_client(endpoint).head_bucket(Bucket=address.bucket)


def _is_folder_marker(found: dict[str, Any]) -> bool:
    return bool(found["Key"].endswith("/") and found["Size"] == 0)


def _version(found: dict[str, Any]) -> str:
    return str(found["ETag"]).strip('"')


def _nanoseconds(moment: Any) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
