"""Files that come from, or go by way of, a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resources.caris_host.host import HostUnavailable
from resources.landing.s3_client import s3_client, translated
from resources.landing.store import FileGone, StoreError

_SCHEME = "s3://"


def is_uri(source: str) -> bool:
    return source.startswith(_SCHEME)


@dataclass(frozen=True)
class Buckets:
    """Buckets of AWS, or of the server at `endpoint`."""

    endpoint: str | None = None

    @property
    def client(self) -> Any:
        return s3_client(self.endpoint)

    def download(self, uri: str, to: Path) -> None:
        bucket, key = split(uri)
        with _in_our_words(uri):
            self.client.download_file(bucket, key, str(to))

    def upload(self, path: Path, uri: str) -> None:
        bucket, key = split(uri)
        with _in_our_words(uri):
            self.client.upload_file(str(path), bucket, key)

    def read(self, uri: str) -> bytes:
        bucket, key = split(uri)
        with _in_our_words(uri):
            return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def size(self, uri: str) -> int:
        bucket, key = split(uri)
        with _in_our_words(uri):
            return int(self.client.head_object(Bucket=bucket, Key=key)["ContentLength"])

    def below(self, uri: str) -> list[str]:
        """The URIs of all objects whose key begins so."""
        bucket, prefix = split(uri)
        with _in_our_words(uri):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [f"{_SCHEME}{bucket}/{entry['Key']}" for page in pages for entry in page.get("Contents", ())]

    def delete(self, uris: list[str]) -> None:
        for uri in uris:
            bucket, key = split(uri)
            with _in_our_words(uri):
                self.client.delete_object(Bucket=bucket, Key=key)


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``."""
    bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
    return bucket, key


@contextmanager
def _in_our_words(uri: str) -> Iterator[None]:
    try:
        with translated(f"s3://{split(uri)[0]}", split(uri)[1]):
            yield
    except FileGone as error:
        raise HostUnavailable(f"{uri} is not there (any more), so it cannot be brought to or from the host") from error
    except StoreError as error:
        raise HostUnavailable(f"{uri} cannot be brought to or from the CARIS host: {error}") from error
