"""A complete context for each profile: what the tests and the cost table are made of, and a start for one's own."""

from __future__ import annotations

_IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/strandline@sha256:{'0' * 64}"
_COMMON = {"region": "us-east-1", "image": _IMAGE}
_FRONT = {
    "domain": "data.example.org",
    "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555",
    "allow": "203.0.113.0/24",
    "oidc_issuer": "https://id.example.org",
    "oidc_authorization": "https://id.example.org/authorize",
    "oidc_token": "https://id.example.org/token",
    "oidc_user_info": "https://id.example.org/userinfo",
    "oidc_client_id": "strandline",
    "oidc_secret": "strandline/oidc",
}
_EXAMPLES = {
    "prod": {
        **_COMMON,
        **_FRONT,
        "namespace": "default",
        "hosted_zone": "Z0123456789ABCDEFGHIJ",
        "alarm_email": "on-call@example.org",
        "slack_workspace": "T01234567",
        "slack_channel_id": "C01234567",
        "slack_token_secret": "strandline/slack",
        "slack_channel": "data-alerts",
    },
    "small": {**_COMMON, **_FRONT, "namespace": "default", "alarm_email": "team@example.org"},
    "dev": {**_COMMON, "namespace": "branch_try", "landing": "s3://strandline-landing-of-prod"},
}


def example(profile: str) -> dict[str, str]:
    """A context with everything that the profile needs, and no real name in it."""
    return {"profile": profile, **_EXAMPLES[profile]}
