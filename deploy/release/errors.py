"""What can go wrong in a release, said so that whoever reads the log knows what to do."""

from __future__ import annotations


class ReleaseError(Exception):
    """A step cannot be done; its message alone is shown. What runs is what ran before."""

    exit_code = 1


class Unhealthy(ReleaseError):
    """What was started does not become healthy in time, or was stopped by ECS."""


class NotRestored(ReleaseError):
    """The release failed, and so did putting the earlier one back: a person is needed."""

    exit_code = 2
