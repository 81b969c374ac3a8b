"""Copying files of a lake, or to one: folders of this machine and buckets, in each direction.

Between two places of one server of S3 the server copies; the bytes do not pass through this machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from resources.errors import TransientFailure, UserError
from resources.lake.files import endpoint, is_remote, local, path_in

_AT_ONCE = 8
_PART_BYTES = 128 << 20
"""So that a server that copies answers each request within the client's patience."""
_GONE = {"NoSuchKey", "404", "NotFound"}

Tell = Callable[[int, int, int], None]
"""Is told how many files of how many are copied, and their bytes."""


class NotCopied(UserError, TransientFailure):
    """A server refused or did not answer. The message says what was to be copied, and what is needed."""

    exit_code = 1


def copy_files(pairs: Sequence[tuple[str, str]], tell: Tell) -> dict[str, int]:
    """Copy each source to its target; the sizes by source. What is not there is not among them.

    Raises NotCopied.
    """
    sizes: dict[str, int] = {}
    total = 0

    def note(source: str, size: int | None) -> None:
        nonlocal total
        if size is not None:
            sizes[source] = size
            total += size
        tell(len(sizes), len(pairs), total)

    if not any(is_remote(one) for pair in pairs for one in pair):
        for source, target in pairs:
            note(source, copy_file(source, target))
        return sizes
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        going = {pool.submit(copy_file, source, target): source for source, target in pairs}
        try:
            for done in as_completed(going):
                note(going[done], done.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sizes


def copy_file(source: str, target: str) -> int | None:
    """The size; None when there is no such file. The target is there whole or not at all.

    Raises NotCopied.
    """
    if not is_remote(source) and not Path(local(source)).exists():
        return None
    if not is_remote(target):
        return _to_folder(source, Path(local(target)))
    with said(f"{source} could not be copied to {target}"):
        client, transfer = _client(), _transfer()
        bucket, key = _parts(target)
        if not is_remote(source):
            client.upload_file(local(source), bucket, key, Config=transfer)
            return Path(local(source)).stat().st_size
        if (size := _size(client, source)) is not None:
            client.copy(dict(zip(("Bucket", "Key"), _parts(source), strict=True)), bucket, key, Config=transfer)
        return size


def _to_folder(source: str, target: Path) -> int | None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        if is_remote(source):
            with said(f"{source} could not be copied to {target}"):
                client = _client()
                if _size(client, source) is None:
                    return None
                client.download_file(*_parts(source), str(aside), Config=_transfer())
        else:
            shutil.copy2(local(source), aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return target.stat().st_size


def _size(client: Any, address: str) -> int | None:
    from botocore.exceptions import ClientError

    bucket, key = _parts(address)
    try:
        size: int = client.head_object(Bucket=bucket, Key=key)["ContentLength"]
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return None
        raise
    return size


def _parts(address: str) -> tuple[str, str]:
    bucket, _, key = path_in(address).partition("/")
    return bucket, key


def _client() -> Any:
    from resources.landing.s3_client import s3_client

    return s3_client(endpoint())


def _transfer() -> Any:
    from boto3.s3.transfer import TransferConfig

    # Files are copied side by side already.
    return TransferConfig(multipart_threshold=2 * _PART_BYTES, multipart_chunksize=_PART_BYTES, use_threads=False)


@contextmanager
def said(what: str) -> Iterator[None]:
    """What S3's libraries raise, as NotCopied. what: could not be done."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise NotCopied(
            f"{what}: {error}. Needed are s3:GetObject and s3:ListBucket where files come from, and s3:PutObject and "
            "s3:ListBucket where they go to; credentials are found by boto3's own rules."
        ) from error
