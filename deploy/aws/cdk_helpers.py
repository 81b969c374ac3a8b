"""Small things that several parts of the stack use."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnResource
from aws_cdk import aws_logs as logs
from constructs import Construct, IConstruct

_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    7: logs.RetentionDays.ONE_WEEK,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}


def log_days(days: int) -> logs.RetentionDays:
    """CloudWatch keeps logs for certain numbers of days only. Raises KeyError for another."""
    return _RETENTION[days]


def resource_of(construct: IConstruct) -> CfnResource:
    """The resource of CloudFormation that a construct stands for."""
    child: Any = construct.node.default_child
    found = child if child is not None else construct
    if not isinstance(found, CfnResource):
        raise TypeError(f"{construct.node.path} stands for no single resource")
    return found


def waive(construct: Construct, **reasons: str) -> None:
    """Tell checkov which of its checks do not apply to a resource, and why."""
    resource = resource_of(construct)
    before = (resource.get_metadata("checkov") or {}).get("skip", [])
    skip = [*before, *({"id": check, "comment": reason} for check, reason in reasons.items())]
    resource.add_metadata("checkov", {"skip": skip})


def accept(construct: Construct, *checks: str) -> None:
    """Tell cfn-lint which of its checks do not apply to a resource; why stands beside the call."""
    resource_of(construct).add_metadata("cfn-lint", {"config": {"ignore_checks": list(checks)}})
