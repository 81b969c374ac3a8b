"""What one deployment is told from outside (CDK's context): checked here, with errors that say what to do."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.aws.profiles import PROFILES, Profile


class WrongContext(Exception):
    """A value of the context is missing or malformed. The message names each."""


@dataclass(frozen=True)
class Oidc:
    """Who signs people in. secret: the name of the Secrets Manager secret that has the client's secret as its text."""

    issuer: str
    authorization: str
    token: str
    user_info: str
    client_id: str
    secret: str


@dataclass(frozen=True)
class Front:
    """How people come in by HTTPS. certificate: of ACM, for the domain and all names below it."""

    domain: str
    certificate: str
    oidc: Oidc
    allow: tuple[str, ...]
    """networks that may connect at all"""
    hosted_zone_id: str | None
    is_internal: bool


@dataclass(frozen=True)
class Deployment:
    """One deployment: `strandline-<namespace>`."""

    namespace: str
    profile: Profile
    region: str
    image: str
    """repository and digest: what is tested is what runs"""
    landing: str | None
    """s3://BUCKET[/PREFIX] that is there already; None: the stack makes one"""
    is_listing_only: bool
    """somebody else's bucket: no notifications, and nothing is written there"""
    front: Front | None
    has_posting: bool
    """prices may be posted to the rates API, which then may write below rates/posted/ of the landing store"""
    task_per_step: str | None
    """sources each step of whose runs gets a task of its own: their runs then start tasks as well"""
    has_caris: bool
    caris_ami: str | None
    caris_installer: str | None
    """s3://BUCKET/KEY of the licensed installer"""
    alarm_email: str | None
    slack_workspace: str | None
    slack_channel_id: str | None
    slack_token_secret: str | None
    """the name of the secret with the token by which the platform itself posts its alerts"""
    slack_channel: str | None

    @property
    def stack_name(self) -> str:
        return f"strandline-{self.label}"

    @property
    def label(self) -> str:
        """The namespace as names in AWS take it. A namespace has no hyphen, so no two share a label."""
        return self.namespace.replace("_", "-")

    @property
    def table_prefix(self) -> str:
        """What stands before the names of Glue databases; as the platform's own settings have it."""
        return "" if self.namespace == "default" else f"{self.namespace}__"

    @property
    def landing_bucket(self) -> str | None:
        return self.landing.removeprefix("s3://").partition("/")[0] if self.landing else None

    @property
    def landing_prefix(self) -> str:
        """Empty, or ending with a slash."""
        prefix = self.landing.removeprefix("s3://").partition("/")[2].rstrip("/") if self.landing else ""
        return f"{prefix}/" if prefix else ""


_NAMESPACE = re.compile(r"[a-z][a-z0-9_]{0,30}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9][a-z0-9._/-]*@sha256:[0-9a-f]{64}")
_LANDING = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?")
_DOMAIN = re.compile(r"([a-z0-9-]+\.)+[a-z]{2,}")
_CERTIFICATE = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/\S+")
_HTTPS = re.compile(r"https://\S+")
_SECRET = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_AMI = re.compile(r"ami-[0-9a-f]{8,17}")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_SLACK_ID = re.compile(r"[A-Z0-9]{6,}")
_SOURCES = re.compile(r"[a-z_]+(,[a-z_]+)*")
_MOST_NETWORKS = 4
"""A rule of a load balancer takes five conditions in all, one of which is the name."""

KEYS: Mapping[str, str] = {
    "namespace": "name of the deployment: letters, digits, _, at most 31; STRANDLINE_NAMESPACE",
    "profile": f"one of {', '.join(PROFILES)}",
    "region": "region of AWS, such as eu-west-1",
    "image": "ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY@sha256:DIGEST",
    "landing": "s3://BUCKET[/PREFIX] that is there; else the stack makes a bucket",
    "listing_only": "yes: somebody else's bucket: no notifications, nothing is written there",
    "domain": "name of the UI, such as data.example.org; view.DOMAIN is its read-only twin, api.DOMAIN the rates API",
    "certificate": "ARN of an ACM certificate for DOMAIN and *.DOMAIN",
    "allow": "networks that may connect, such as 203.0.113.0/24, at most four with commas; 0.0.0.0/0 is everybody",
    "hosted_zone": "id of DOMAIN's zone in Route 53; else make the records by hand",
    "internal": "yes: the load balancer has private addresses only",
    "oidc_issuer": "https://..., and likewise the three endpoints",
    "oidc_authorization": "the authorization endpoint",
    "oidc_token": "the token endpoint",
    "oidc_user_info": "the user info endpoint",
    "oidc_client_id": "the client's id",
    "oidc_secret": "name of the secret with the client's secret",
    "posting": "yes: prices may be posted to the rates API",
    "task_per_step": "sources each step of whose runs gets a task of its own, with commas",
    "caris": "yes: an image pipeline for a CARIS host, and with caris_ami the host",
    "caris_ami": "the image that the pipeline made",
    "caris_installer": "s3://BUCKET/KEY of the licensed installer",
    "alarm_email": "who is told of alarms",
    "slack_workspace": "id of the Slack workspace for alarms (T...), authorized once in the console",
    "slack_channel_id": "id of its channel (C...)",
    "slack_token_secret": "name of the secret with the Slack token of the platform's own alerts",
    "slack_channel": "the channel that they go to",
}
"""Every value of the context, as docs/deploy.md lists them."""


class _Reader:
    def __init__(self, context: Mapping[str, Any]) -> None:
        self._context = context
        self.wrong: list[str] = []

    def text(self, key: str, pattern: re.Pattern[str], *, needed: bool = True) -> str:
        value = str(self._context.get(key) or "").strip()
        if not value:
            if needed:
                self.wrong.append(f"{key} is missing: {KEYS[key]}")
        elif pattern.fullmatch(value) is None:
            self.wrong.append(f"{key}={value!r}: expected {KEYS[key]}")
        return value

    def maybe(self, key: str, pattern: re.Pattern[str]) -> str | None:
        return self.text(key, pattern, needed=False) or None

    def yes(self, key: str) -> bool:
        value = str(self._context.get(key) or "no").strip().lower()
        if value not in {"yes", "no", "true", "false"}:
            self.wrong.append(f"{key}={value!r}: expected yes or no")
        return value in {"yes", "true"}

    def networks(self, key: str) -> tuple[str, ...]:
        parts = [part.strip() for part in str(self._context.get(key) or "").split(",") if part.strip()]
        if not 0 < len(parts) <= _MOST_NETWORKS:
            self.wrong.append(f"{key}: expected {KEYS[key]}")
        for part in parts:
            try:
                ipaddress.IPv4Network(part)
            except ValueError:
                self.wrong.append(f"{key}={part!r}: expected a network such as 203.0.113.0/24")
        return tuple(parts)


def read(context: Mapping[str, Any]) -> Deployment:
    """The deployment that a context describes. Raises WrongContext naming every wrong value."""
    reader = _Reader(context)
    name = str(context.get("profile") or "")
    profile = PROFILES.get(name)
    if profile is None:
        raise WrongContext(f"Correct the context (-c KEY=VALUE):\n  profile={name!r}: expected {KEYS['profile']}")
    landing = reader.maybe("landing", _LANDING)
    deployment = Deployment(
        namespace=reader.text("namespace", _NAMESPACE),
        profile=profile,
        region=reader.text("region", _REGION),
        image=reader.text("image", _IMAGE),
        landing=landing,
        is_listing_only=reader.yes("listing_only"),
        front=_front(reader) if profile.front == "alb" else None,
        has_posting=reader.yes("posting"),
        task_per_step=reader.maybe("task_per_step", _SOURCES),
        has_caris=reader.yes("caris"),
        caris_ami=reader.maybe("caris_ami", _AMI),
        caris_installer=reader.maybe("caris_installer", _LANDING),
        alarm_email=reader.maybe("alarm_email", _EMAIL),
        slack_workspace=reader.maybe("slack_workspace", _SLACK_ID),
        slack_channel_id=reader.maybe("slack_channel_id", _SLACK_ID),
        slack_token_secret=reader.maybe("slack_token_secret", _SECRET),
        slack_channel=reader.maybe("slack_channel", re.compile(r"\S+")),
    )
    if deployment.is_listing_only and landing is None:
        reader.wrong.append("listing_only is for a bucket that is there: give it as landing=s3://BUCKET")
    if deployment.is_listing_only and deployment.has_posting:
        reader.wrong.append("posting writes to the landing store, which listing_only says is somebody else's")
    if deployment.has_caris and deployment.caris_installer is None:
        reader.wrong.append(f"caris_installer is missing: {KEYS['caris_installer']}")
    if (deployment.slack_workspace is None) != (deployment.slack_channel_id is None):
        reader.wrong.append("slack_workspace and slack_channel_id go together")
    if (deployment.slack_token_secret is None) != (deployment.slack_channel is None):
        reader.wrong.append("slack_token_secret and slack_channel go together")
    if reader.wrong:
        raise WrongContext("Correct the context (-c KEY=VALUE):\n  " + "\n  ".join(reader.wrong))
    return deployment


def _front(reader: _Reader) -> Front:
    return Front(
        domain=reader.text("domain", _DOMAIN),
        certificate=reader.text("certificate", _CERTIFICATE),
        allow=reader.networks("allow"),
        hosted_zone_id=reader.maybe("hosted_zone", re.compile(r"Z[A-Z0-9]+")),
        is_internal=reader.yes("internal"),
        oidc=Oidc(
            issuer=reader.text("oidc_issuer", _HTTPS),
            authorization=reader.text("oidc_authorization", _HTTPS),
            token=reader.text("oidc_token", _HTTPS),
            user_info=reader.text("oidc_user_info", _HTTPS),
            client_id=reader.text("oidc_client_id", re.compile(r"\S+")),
            secret=reader.text("oidc_secret", _SECRET),
        ),
    )
