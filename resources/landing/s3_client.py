"""Clients for S3 and SQS, made at first use, and the words for what goes wrong with them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from resources.landing.store import FileArchived, FileChanged, FileGone, StoreError

CONNECT_SECONDS = 5
READ_SECONDS = 15
ATTEMPTS = 3
_CONNECTIONS = 16
_AWS_REGION_IF_NONE = "us-east-1"

_GONE = {"NoSuchKey", "404", "NotFound"}
_CHANGED = {"PreconditionFailed", "412"}

_clients: dict[tuple[str, str | None, int], Any] = {}
_making = threading.Lock()  # boto3's sessions are not made for several threads; its clients are


def s3_client(endpoint: str | None) -> Any:
    """This process's client for a server; AWS when there is no endpoint."""
    return _client("s3", endpoint)


def sqs_client(endpoint: str) -> Any:
    return _client("sqs", endpoint)


def _client(service: str, endpoint: str | None) -> Any:
    key = (service, endpoint, os.getpid())
    with _making:
        if key not in _clients:
            _clients[key] = _make_client(service, endpoint)
        return _clients[key]


def _make_client(service: str, endpoint: str | None) -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    session = boto3.Session()
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "adaptive", "total_max_attempts": ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
    )
    if service == "s3" and endpoint:
        # Not every S3-compatible server knows names of buckets as hosts, or the newer checksums.
        config = config.merge(
            Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
        )
    if service == "s3" and session.get_credentials() is None:
        config = config.merge(Config(signature_version=UNSIGNED))
    region = _region_in(endpoint) if service == "sqs" else None
    return session.client(
        service,
        endpoint_url=endpoint,
        region_name=region or session.region_name or _AWS_REGION_IF_NONE,
        config=config,
    )


def _region_in(endpoint: str | None) -> str | None:
    """The region that an address of SQS names: ``https://sqs.eu-west-1.amazonaws.com``."""
    parts = (endpoint or "").split("//")[-1].split(".")
    return parts[1] if len(parts) > 3 and parts[0] == "sqs" and "amazonaws" in parts else None


def _forget_anonymous_clients() -> None:
    # Credentials may have been late, as those of a machine's role sometimes are: look for them again next time.
    from botocore import UNSIGNED

    with _making:
        for key in [key for key, client in _clients.items() if client.meta.config.signature_version is UNSIGNED]:
            del _clients[key]


@contextmanager
def translated(place: str, key: str = "") -> Iterator[None]:
    """Raise what boto3 raises in the landing store's own words.

    FileGone, FileChanged and FileArchived are about the key; StoreError is about everything else. No time-out leaves
    here as a builtin TimeoutError, which in a reader process means that the file's reader took too long.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as NoConnection

    try:
        yield
    except ClientError as error:
        raise _explain(error, place, key) from error
    except (NoConnection, HTTPClientError, TimeoutError, ConnectionError) as error:
        raise StoreError(
            f"{place} does not answer: {_short(error)}. Is it up, and can this machine reach it?"
        ) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StoreError(f"{place} cannot be asked: {_short(error)}") from error


def _explain(error: Any, place: str, key: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if key and code in _GONE:
        return FileGone(key)
    if key and code in _CHANGED:
        return FileChanged(key)
    if key and code == "InvalidObjectState":
        kept = error.response["Error"].get("StorageClass") or "an archive"
        return FileArchived(
            f"the object is archived (storage class {kept}) and cannot be read. Restore it (aws s3api restore-object), "
            "then replay the file."
        )
    if code in {"NoSuchBucket", "404"}:
        return StoreError(f"There is no bucket at {place}. Correct STRANDLINE_LANDING or STRANDLINE_S3_ENDPOINT.")
    if status in {401, 403}:
        _forget_anonymous_clients()
        of = f" {key!r}" if key else ""
        return StoreError(
            f"{place} refuses access{of} ({code}: {message}). The credentials that boto3 finds need s3:ListBucket and "
            "s3:GetObject there, and s3:PutObject to land files; see AWS_PROFILE, AWS_ACCESS_KEY_ID or the machine's role."
        )
    return StoreError(f"{place} answers with an error ({code}: {message}).")


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
