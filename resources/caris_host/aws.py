"""Clients of AWS for the host, and the words for what goes wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from resources.caris_host.host import HostNotReady, HostUnavailable

_CONNECT_SECONDS = 5
_READ_SECONDS = 30
_ATTEMPTS = 6

_NO_RIGHT = {
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure", "UnrecognizedClientException",
    "InvalidClientTokenId", "ExpiredToken", "ExpiredTokenException",
}  # fmt: skip
_NO_SUCH = {"InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed", "InvalidDocument", "UnsupportedPlatformType"}


def make_client(service: str) -> Any:
    """A client by boto3's own rules for region and credentials. Throttled requests are asked again, later and later."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "adaptive", "total_max_attempts": _ATTEMPTS},
    )
    session = boto3.Session()
    if session.region_name is None:
        raise HostNotReady("no AWS region is set for the CARIS host. Set AWS_REGION to the region of its instance.")
    return session.client(service, config=config)


@contextmanager
def in_our_words(host: str, does: str) -> Iterator[None]:
    """Raise what boto3 raises as HostNotReady where a person has to do something, else as HostUnavailable.

    does: the action that is asked, such as ``ssm:SendCommand``.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        message = str(error.response.get("Error", {}).get("Message", ""))
        if code in _NO_RIGHT:
            raise HostNotReady(
                f"AWS refuses {does} for the CARIS host {host} ({code}: {message}). The credentials that boto3 finds need "
                "that right; see AWS_PROFILE, AWS_ACCESS_KEY_ID or the machine's role."
            ) from error
        if code in _NO_SUCH:
            raise HostNotReady(
                f"AWS cannot do {does} for the CARIS host {host} ({code}: {message}). Correct the instance's id in "
                "STRANDLINE_CARIS_HOST or STRANDLINE_CARIS_INSTANCE, and the region in AWS_REGION."
            ) from error
        raise HostUnavailable(f"AWS answers {does} for the CARIS host {host} with {code}: {message}") from error
    except (BotoCoreError, Boto3Error, OSError) as error:
        raise HostUnavailable(f"AWS cannot be asked for {does} of the CARIS host {host}: {error}") from error


def code_of(error: BaseException) -> str:
    """AWS's name of what went wrong; empty where it did not come from AWS."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return str((response or {}).get("Error", {}).get("Code", ""))
