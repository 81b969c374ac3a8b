"""Ending a `dev` deployment, against moto: its stack, its buckets with all versions, its tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from deploy.aws.teardown import Refused, check_may_go, empty, tear_down

BUCKET, CLUSTER = "strandline-branch-try-lake", "strandline-branch-try"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield boto3.client


def _make(client: Any, profile: str = "dev") -> None:
    template = {
        "Resources": {
            "Lake": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}},
            "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": CLUSTER}},
        }
    }
    tags = [{"Key": "strandline-profile", "Value": profile}]
    client("cloudformation").create_stack(StackName=CLUSTER, TemplateBody=json.dumps(template), Tags=tags)
    s3 = client("s3")
    # moto's CloudFormation leaves out what the template says of versions.
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        for name in ("a", "b"):
            s3.put_object(Bucket=BUCKET, Key=name, Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key="a")


def _service(client: Any) -> None:
    ecs = client("ecs")
    ecs.register_task_definition(family="code", containerDefinitions=[{"name": "code", "image": "x", "memory": 128}])
    ecs.create_service(cluster=CLUSTER, serviceName="code", taskDefinition="code", desiredCount=1)


def test_everything_goes_all_versions_included(client: Any) -> None:
    _make(client)
    _service(client)
    said: list[str] = []
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        assert len(waited) < 50

    tear_down("branch_try", client, said.append, wait=wait)
    assert said[-1] == f"{CLUSTER} is gone"
    assert f"{BUCKET}: 5 versions deleted" in said
    assert BUCKET not in [one["Name"] for one in client("s3").list_buckets()["Buckets"]]


def test_services_are_told_to_start_nothing_more_before_anything_is_deleted(client: Any) -> None:
    _make(client)
    _service(client)
    ecs = client("ecs")
    seen: list[int] = []

    def watching(name: str) -> Any:
        if name == "s3":
            seen.append(ecs.describe_services(cluster=CLUSTER, services=["code"])["services"][0]["desiredCount"])
        return client(name)

    tear_down("branch_try", watching, lambda _: None, wait=lambda _: None)
    assert seen == [0]


@pytest.mark.parametrize("profile", ["prod", "small", "of_nobody"])
def test_a_deployment_whose_data_are_to_stay_is_refused(client: Any, profile: str) -> None:
    _make(client, profile)
    with pytest.raises(Refused, match="whose data outlive it"):
        tear_down("branch_try", client, lambda _: None)
    assert client("s3").get_object(Bucket=BUCKET, Key="b")["Body"].read() == b"x"


def test_a_stack_that_is_not_there_is_said(client: Any) -> None:
    with pytest.raises(Refused, match="there is no stack strandline-nothing"):
        check_may_go(client("cloudformation"), "strandline-nothing")


def test_more_than_a_page_of_versions_is_deleted(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.aws.teardown._AT_ONCE", 40)
    s3 = client("s3")
    s3.create_bucket(Bucket="many")
    s3.put_bucket_versioning(Bucket="many", VersioningConfiguration={"Status": "Enabled"})
    for number in range(95):
        s3.put_object(Bucket="many", Key=f"{number % 7}", Body=b"")
    assert empty(s3, "many") == 95
    assert "Versions" not in s3.list_object_versions(Bucket="many")
