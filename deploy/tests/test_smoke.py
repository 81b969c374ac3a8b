"""A pruned template, brought up in moto; each resource that moto says it has made is asked for again.

It proves that the template is one that a CloudFormation engine can order and make, and no more: moto takes many properties without a
look. What was pruned, and what it makes without there being anything to ask for, is printed, and is a list here, so that a change shows.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from deploy.tests.template import Template

PRUNED = {
    # moto does not know these and says so, or has no API to ask for them.
    "AWS::Athena::WorkGroup", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::EC2::SecurityGroupEgress", "AWS::EFS::AccessPoint", "AWS::Glue::Database", "AWS::RDS::DBParameterGroup", "AWS::S3::BucketPolicy", "AWS::SecretsManager::Secret",
    "AWS::SecretsManager::SecretTargetAttachment", "AWS::ServiceDiscovery::PrivateDnsNamespace", "AWS::ServiceDiscovery::Service",
    "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy",
}  # fmt: skip


NO_ATTRIBUTES = {"AWS::EFS::FileSystem"}
"""moto makes these and cannot say their ARN: what asks for it gets a word in its place."""


def pruned(template: Mapping[str, Any], kinds: set[str]) -> tuple[dict[str, Any], list[str]]:
    """The template without resources of some kinds; what refers to them has a word in their place."""
    data = copy.deepcopy(dict(template))
    gone = [name for name, one in data["Resources"].items() if one["Type"] in kinds]
    for name in gone:
        del data["Resources"][name]
    for one in data["Resources"].values():
        if "DependsOn" in one:
            wanted = one["DependsOn"] if isinstance(one["DependsOn"], list) else [one["DependsOn"]]
            one["DependsOn"] = [name for name in wanted if name not in gone]
    data.pop("Rules", None)
    silent = {name for name, one in data["Resources"].items() if one["Type"] in NO_ATTRIBUTES}
    return {**_without(data, set(gone), silent), "Outputs": {}}, gone


def _without(value: Any, gone: set[str], silent: set[str]) -> Any:
    if isinstance(value, dict):
        if value.get("Ref") in gone:
            # Of what may be left out, nothing.
            return {"Ref": "AWS::NoValue"}
        if "Fn::GetAtt" in value and value["Fn::GetAtt"][0] in gone | silent:
            return "arn:aws:pruned:us-east-1:123456789012:pruned"
        return {key: _without(one, gone, silent) for key, one in value.items()}
    if isinstance(value, list):
        return [_without(one, gone, silent) for one in value]
    return value


Ask = Callable[[Any, str, Mapping[str, Any]], Any]


def _bucket(client: Any, name: str, properties: Mapping[str, Any]) -> None:
    rules = client("s3").get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def _queue(client: Any, url: str, properties: Mapping[str, Any]) -> None:
    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert int(found["VisibilityTimeout"]) == properties["VisibilityTimeout"]
    assert ("RedrivePolicy" in found) == ("RedrivePolicy" in properties)


def _role(client: Any, name: str, properties: Mapping[str, Any]) -> None:
    found = client("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    assert found["Statement"] == properties["AssumeRolePolicyDocument"]["Statement"]


def _task(client: Any, arn: str, properties: Mapping[str, Any]) -> None:
    found = client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
    assert found["family"] == properties["Family"]
    assert [one["name"] for one in found["containerDefinitions"]] == [
        one["Name"] for one in properties["ContainerDefinitions"]
    ]
    assert all("@sha256:" in one["image"] for one in found["containerDefinitions"])


def _service(client: Any, arn: str, properties: Mapping[str, Any]) -> None:
    cluster = arn.split("/")[1]
    found = client("ecs").describe_services(cluster=cluster, services=[arn])["services"][0]
    assert (found["serviceName"], found["desiredCount"]) == (properties["ServiceName"], properties["DesiredCount"])


def _database(client: Any, name: str, properties: Mapping[str, Any]) -> None:
    found = client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    assert found["DBInstanceClass"] == properties["DBInstanceClass"]
    assert found["StorageEncrypted"] is True


def _log(client: Any, name: str, properties: Mapping[str, Any]) -> None:
    found = client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]
    assert found["retentionInDays"] == properties["RetentionInDays"]


def _rule(client: Any, name: str, properties: Mapping[str, Any]) -> None:
    found = client("events").describe_rule(Name=name)
    assert json.loads(found["EventPattern"])["source"] == properties["EventPattern"]["source"]


def _group(client: Any, name: str, properties: Mapping[str, Any]) -> None:
    found = client("ec2").describe_security_groups(GroupIds=[name])["SecurityGroups"][0]
    assert found["Description"] == properties["GroupDescription"]


READ_BACK: Mapping[str, Ask] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::SQS::Queue": _queue,
    "AWS::IAM::Role": _role,
    "AWS::IAM::ManagedPolicy": lambda client, arn, _: client("iam").get_policy(PolicyArn=arn),
    "AWS::ECS::Cluster": lambda client, name, _: _one(client("ecs").describe_clusters(clusters=[name])["clusters"]),
    "AWS::ECS::TaskDefinition": _task,
    "AWS::ECS::Service": _service,
    "AWS::RDS::DBInstance": _database,
    "AWS::RDS::DBSubnetGroup": lambda client, name, _: client("rds").describe_db_subnet_groups(DBSubnetGroupName=name),
    "AWS::Logs::LogGroup": _log,
    "AWS::Events::Rule": _rule,
    "AWS::SNS::Topic": lambda client, arn, _: client("sns").get_topic_attributes(TopicArn=arn),
    "AWS::EC2::VPC": lambda client, name, _: _one(client("ec2").describe_vpcs(VpcIds=[name])["Vpcs"]),
    "AWS::EC2::Subnet": lambda client, name, _: _one(client("ec2").describe_subnets(SubnetIds=[name])["Subnets"]),
    "AWS::EC2::SecurityGroup": _group,
    "AWS::EC2::RouteTable": lambda client, name, _: _one(
        client("ec2").describe_route_tables(RouteTableIds=[name])["RouteTables"]
    ),
    "AWS::EC2::InternetGateway": lambda client, name, _: _one(
        client("ec2").describe_internet_gateways(InternetGatewayIds=[name])["InternetGateways"]
    ),
    "AWS::EC2::VPCEndpoint": lambda client, name, _: _one(
        client("ec2").describe_vpc_endpoints(VpcEndpointIds=[name])["VpcEndpoints"]
    ),
    "AWS::EFS::FileSystem": lambda client, name, _: _one(
        client("efs").describe_file_systems(FileSystemId=name)["FileSystems"]
    ),
    "AWS::EFS::MountTarget": lambda client, name, _: _one(
        client("efs").describe_mount_targets(MountTargetId=name)["MountTargets"]
    ),
}
PARTS = {
    # Parts of what was read back, with no name of their own to ask for.
    "AWS::EC2::Route", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment", "AWS::IAM::Policy",
}  # fmt: skip


def _one(found: list[Any]) -> Any:
    (one,) = found
    return one


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield boto3.client


def test_a_pruned_template_comes_up_and_is_read_back(
    templates: Mapping[str, Template], client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    data, gone = pruned(templates["dev"].data, PRUNED)
    assert {templates["dev"].resources[name]["Type"] for name in gone} == PRUNED
    cloudformation = client("cloudformation")
    cloudformation.create_stack(
        StackName="strandline-branch-try", TemplateBody=json.dumps(data), Capabilities=["CAPABILITY_IAM"]
    )
    assert (
        cloudformation.describe_stacks(StackName="strandline-branch-try")["Stacks"][0]["StackStatus"]
        == "CREATE_COMPLETE"
    )
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName="strandline-branch-try")
    made = {
        one["LogicalResourceId"]: one["PhysicalResourceId"] for page in pages for one in page["StackResourceSummaries"]
    }
    missing = sorted(data["Resources"].keys() - made.keys())
    assert missing == [], f"moto has ignored {missing}"

    read = 0
    for logical, resource in data["Resources"].items():
        if resource["Type"] in PARTS:
            continue
        READ_BACK[resource["Type"]](client, made[logical], resource["Properties"])
        read += 1
    with capsys.disabled():
        print(f"\n{read} of {len(templates['dev'].resources)} resources were made and read back; pruned: {', '.join(sorted(PRUNED))}; "
              f"made without a way to ask: {', '.join(sorted(PARTS))}")  # fmt: skip
    assert read >= 40
