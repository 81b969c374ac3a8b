"""What an account has once, for all deployments: where images are, where templates are handed over, and who may release."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aws_cdk import Aws, CfnOutput, DefaultStackSynthesizer, Duration, Environment, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from constructs import Construct

from deploy.aws.access import allow
from deploy.aws.cdk_helpers import waive
from deploy.aws.deployment import WrongContext

NAME = "strandline-account"
REPOSITORY = "strandline"
_ISSUER = "token.actions.githubusercontent.com"
STAGING = "staging"
"""The namespace whose golden files a release is judged by (`.github/workflows/deploy.yml`)."""
_QUALIFIER = "hnb659fds"
"""Of the roles that `cdk bootstrap` makes: its own default."""
_UNTAGGED_DAYS = Duration.days(30)
_MOST_SESSION = Duration.hours(2)


class AccountStack(Stack):
    """github: owner/repository whose workflows may release; without it only people can.

    Releases go through two roles: what GitHub becomes may only hand templates to CloudFormation and push images; what
    CloudFormation then becomes may make the resources, and roles that are named `strandline-*` alone.
    """

    def __init__(self, scope: Construct, context: Mapping[str, Any]) -> None:
        region = str(context.get("region") or "")
        github = str(context.get("github") or "")
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
            raise WrongContext(f"region={region!r}: expected a region of AWS, such as eu-west-1")
        if github and not re.fullmatch(r"[\w.-]+/[\w.-]+", github):
            raise WrongContext(f"github={github!r}: expected OWNER/REPOSITORY")
        super().__init__(
            scope,
            NAME,
            stack_name=NAME,
            env=Environment(region=region),
            description="Strandline: what all deployments of this account share",
            synthesizer=DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
            termination_protection=True,
            analytics_reporting=False,
        )
        images = ecr.Repository(
            self,
            "Images",
            repository_name=REPOSITORY,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            removal_policy=RemovalPolicy.RETAIN,
            # Tagged ones stay: any of them may be what somebody rolls back to.
            lifecycle_rules=[ecr.LifecycleRule(tag_status=ecr.TagStatus.UNTAGGED, max_image_age=_UNTAGGED_DAYS)],
        )
        waive(images, CKV_AWS_136="Encrypted with the service's key; images hold code and no secrets.")
        CfnOutput(self, "Repository", value=images.repository_uri)
        if github:
            provider = iam.CfnOIDCProvider(
                self, "GitHub", url=f"https://{_ISSUER}", client_id_list=["sts.amazonaws.com"]
            )
            # Jobs of an environment, whose rules in GitHub say who releases where.
            releaser = self._role("release", provider, [f"repo:{github}:environment:*"])
            planner = self._role("plan", provider, [f"repo:{github}:pull_request", f"repo:{github}:ref:refs/heads/*"])
            images.grant_pull_push(releaser)
            for statement in _may_release():
                releaser.add_to_policy(statement)
            for role in (releaser, planner):
                for statement in _may_look():
                    role.add_to_policy(statement)
            waive(
                releaser.node.find_child("DefaultPolicy"),
                CKV_AWS_111="Task definitions take no resource when they are registered; what they may be is in PassRole.",
            )
            CfnOutput(self, "ReleaseRole", value=releaser.role_arn)
            CfnOutput(self, "PlanRole", value=planner.role_arn)

    def _role(self, name: str, provider: iam.CfnOIDCProvider, subjects: list[str]) -> iam.Role:
        """What a workflow of the repository becomes, by the token that GitHub gives it: no key lies anywhere."""
        conditions = {
            "StringEquals": {f"{_ISSUER}:aud": "sts.amazonaws.com"},
            "StringLike": {f"{_ISSUER}:sub": subjects},
        }
        principal = iam.FederatedPrincipal(provider.attr_arn, conditions, "sts:AssumeRoleWithWebIdentity")
        return iam.Role(
            self, name.title(), role_name=f"strandline-{name}", assumed_by=principal, max_session_duration=_MOST_SESSION
        )


def _arn(service: str, rest: str) -> str:
    return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{rest}"


def _may_look() -> list[iam.PolicyStatement]:
    """What `cdk diff` asks."""
    roles = f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/cdk-{_QUALIFIER}-lookup-role-*"
    return [
        allow(["sts:AssumeRole"], [roles]),
        allow(
            ["cloudformation:GetTemplate", "cloudformation:DescribeStacks"],
            [_arn("cloudformation", "stack/strandline-*/*")],
        ),
        allow(["ecr:DescribeImages"], [_arn("ecr", f"repository/{REPOSITORY}")]),
        allow(["ecs:DescribeServices"], [_arn("ecs", "service/strandline-*/*")]),
        # Takes no resource.
        allow(["ecs:DescribeTaskDefinition"], ["*"]),
    ]


def _may_release() -> list[iam.PolicyStatement]:
    """Stacks through CDK's own roles, which `cdk bootstrap` made; services of strandline's clusters by itself."""
    cdk = f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/cdk-{_QUALIFIER}-*"
    own = f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/strandline-*"
    to_tasks: dict[str, object] = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    return [
        allow(["sts:AssumeRole"], [cdk]),
        allow(["cloudformation:DeleteStack"], [_arn("cloudformation", "stack/strandline-branch-*/*")]),
        allow(
            ["s3:ListBucketVersions", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucket"],
            [f"arn:{Aws.PARTITION}:s3:::strandline-branch-*"],
        ),
        # The golden files of the regression land in staging from outside; no task may write there.
        allow(
            ["s3:ListBucket", "s3:GetObject", "s3:PutObject"],
            [f"arn:{Aws.PARTITION}:s3:::strandline-{STAGING}-*landing*"],
        ),
        allow(
            ["ecs:UpdateService", "ecs:RunTask", "ecs:StopTask", "ecs:DescribeTasks", "ecs:ListTasks", "ecs:TagResource",
             "ecs:DeregisterTaskDefinition"],
            [_arn("ecs", f"{kind}/strandline-*") for kind in ("service", "task", "task-definition", "cluster", "container-instance")],
        ),
        allow(["iam:PassRole"], [own], to_tasks),
        # These take no resource.
        allow(["ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition", "elasticloadbalancing:DescribeTargetHealth"], ["*"]),
        allow(["logs:GetLogEvents"], [_arn("logs", "log-group:/strandline/*")]),
    ]  # fmt: skip
