"""The files of the lake by their addresses, on this machine (a path, or ``file:///...``) or in a bucket (``s3://...``).

Where the bucket is, and with which rights, is found as boto3 finds it; `AWS_ENDPOINT_URL_S3` names a server other than AWS.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_REMOTE = "s3://"
_REGION_IF_NONE = "us-east-1"
_DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class FileInLake:
    """A file as a listing has it. written: seconds since 1970."""

    address: str
    size_bytes: int
    written: float


def is_remote(address: str) -> bool:
    return address.startswith(_REMOTE)


def local(address: str) -> str:
    """The path of a file on this machine; an address in a bucket as it is."""
    return address.removeprefix("file://")


def place(address: str) -> dict[str, Any]:
    """Where a file is, as functions of pyarrow.parquet take it beside the path of `path_in`."""
    return {"filesystem": _arrow_files(os.getpid())} if is_remote(address) else {}


def path_in(address: str) -> str:
    """The path within what `place` names."""
    return address.removeprefix(_REMOTE) if is_remote(address) else local(address)


def make_room(address: str) -> None:
    """Make the folder that a file is to be written to. Buckets have none."""
    if not is_remote(address):
        os.makedirs(os.path.dirname(local(address)), exist_ok=True)


def let_read(connection: DuckDBPyConnection, addresses: Collection[str]) -> list[str]:
    """The files as `read_parquet` of this connection takes them."""
    if any(is_remote(one) for one in addresses) and not connection.filesystem_is_registered("s3"):
        connection.register_filesystem(_fsspec_files(os.getpid()))
    return [local(one) for one in addresses]


def missing(addresses: Collection[str]) -> list[str]:
    """Those of the files that are not there."""
    there = {one for one in addresses if not is_remote(one) and Path(local(one)).exists()}
    remote = [one for one in addresses if is_remote(one)]
    if remote:
        from pyarrow.fs import FileType

        found = _arrow_files(os.getpid()).get_file_info([path_in(one) for one in remote])
        there |= {one for one, info in zip(remote, found, strict=True) if info.type is FileType.File}
    return [one for one in addresses if one not in there]


def listing(folder: str) -> Iterator[FileInLake]:
    """Every file below a folder, in no order; nothing where there is no such folder. Links are not followed."""
    if is_remote(folder):
        yield from _listing_of_bucket(folder)
        return
    folders = [local(folder)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
                continue
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                yield FileInLake(entry.path, found.st_size, found.st_mtime)


def _listing_of_bucket(folder: str) -> Iterator[FileInLake]:
    bucket, _, prefix = path_in(folder).partition("/")
    pages = _s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix.rstrip('/')}/")
    for page in pages:
        for one in page.get("Contents", []):
            yield FileInLake(f"{_REMOTE}{bucket}/{one['Key']}", one["Size"], one["LastModified"].timestamp())


def delete(addresses: Collection[str]) -> int:
    """Delete files; how many of them were there. Of a bucket that keeps versions, what anybody sees goes."""
    gone = 0
    for address in addresses:
        if not is_remote(address):
            with suppress(FileNotFoundError):
                Path(local(address)).unlink()
                gone += 1
    by_bucket: dict[str, list[str]] = {}
    for address in addresses:
        if is_remote(address):
            bucket, _, key = path_in(address).partition("/")
            by_bucket.setdefault(bucket, []).append(key)
    for bucket, keys in by_bucket.items():
        for at in range(0, len(keys), _DELETED_AT_ONCE):
            part = [{"Key": key} for key in keys[at : at + _DELETED_AT_ONCE]]
            answer = _s3().delete_objects(Bucket=bucket, Delete={"Objects": part, "Quiet": True})
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise OSError(f"s3://{bucket}/{first['Key']} could not be deleted: {first['Code']} {first['Message']}")
            gone += len(part)
    return gone


def read_small(address: str) -> bytes | None:
    """The content of a small file; None when there is none."""
    if not is_remote(address):
        try:
            return Path(local(address)).read_bytes()
        except FileNotFoundError:
            return None
    from botocore.exceptions import ClientError

    bucket, _, key = path_in(address).partition("/")
    try:
        content: bytes = _s3().get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
            return None
        raise
    return content


def write_small(address: str, content: bytes) -> None:
    """Write a small file: it is there whole or not at all, and stays when the machine fails."""
    if is_remote(address):
        bucket, _, key = path_in(address).partition("/")
        _s3().put_object(Bucket=bucket, Key=key, Body=content)
        return
    path = Path(local(address))
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def endpoint() -> str | None:
    """A server other than AWS, as boto3 is told of it."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _REGION_IF_NONE


def _s3() -> Any:
    from resources.landing.s3_client import s3_client

    return s3_client(endpoint())


@cache
def _arrow_files(process: int) -> Any:
    """process: the id of this process, for what another one opened is of no use here."""
    from pyarrow.fs import S3FileSystem

    parts = urlsplit(endpoint() or "")
    other = {"endpoint_override": parts.netloc, "scheme": parts.scheme} if parts.netloc else {}
    return S3FileSystem(region=region(), connect_timeout=10, request_timeout=60, **other)


@cache
def _fsspec_files(process: int) -> Any:
    from fsspec.implementations.arrow import ArrowFSWrapper

    return ArrowFSWrapper(_arrow_files(process))
