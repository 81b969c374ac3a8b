"""Who may do what, who may talk to whom, and where secrets are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from deploy.tests.template import Template, as_list, text

WRITES = (
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutObjectTagging",
    "s3:PutBucketPolicy",
    "s3:RestoreObject",
)
TAKES_NO_RESOURCE = {
    "ecr:GetAuthorizationToken", "ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition",
    "ec2:DescribeInstances", "ssm:GetCommandInvocation", "ssm:ListCommandInvocations", "elasticloadbalancing:DescribeTargetHealth",
    # What ECS Exec needs: the service authorization reference gives them no resource types.
    "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel", "logs:DescribeLogGroups",
}  # fmt: skip


def _landing_of(template: Template) -> str:
    """What a resource's ARN has in it if it is the landing store's."""
    if template.has("AWS::S3::Bucket", "Landing"):
        return f"${{{template.one('AWS::S3::Bucket', 'Landing')[0]}.Arn}}"
    return text(template.environment("code")["STRANDLINE_LANDING"]).removeprefix("s3://").split("/")[0]


def test_nobody_may_write_to_the_landing_store(template: Template) -> None:
    landing = _landing_of(template)
    reads, writes = [], []
    for one in template.allowed():
        touches = [resource for resource in one.resources if landing in resource or resource in {"*", "arn:aws:s3:::*"}]
        if touches and any(one.covers(action) for action in WRITES):
            writes.append((one.role, touches))
        if any(landing in resource for resource in touches) and one.covers("s3:GetObject"):
            reads.append(one.role)
    assert {role.partition("Role")[0] for role in reads} >= {"ServicesCode", "ServicesRun"}
    posting = template.environment("rates-api")["STRANDLINE_LANDING_READ_ONLY"] == "0" if _has_api(template) else False
    if not posting:
        assert writes == []
    else:
        ((role, (resource,)),) = writes
        assert role.startswith("ServicesRatesApiRole")
        assert resource == f"{landing}/rates/posted/*"


def _has_api(template: Template) -> bool:
    return any(container["Name"] == "rates-api" for _, _, container in template.containers())


def test_the_test_above_sees_a_role_that_may_write() -> None:
    statement = {
        "Effect": "Allow",
        "Action": "s3:Put*",
        "Resource": {"Fn::Join": ["", [{"Fn::GetAtt": ["Landing1", "Arn"]}, "/*"]]},
    }
    data = {
        "Resources": {
            "Landing1": {"Type": "AWS::S3::Bucket"},
            "P": {
                "Type": "AWS::IAM::Policy",
                "Properties": {"Roles": [{"Ref": "R"}], "PolicyDocument": {"Statement": [statement]}},
            },
        }
    }
    (one,) = Template(data).allowed()
    assert one.covers("s3:PutObject")
    assert _landing_of(Template(data)) in one.resources[0]


def test_every_service_has_a_role_of_its_own(template: Template) -> None:
    roles = template.task_roles()
    assert len(set(roles.values())) == len(roles)


def test_only_what_takes_no_resource_is_allowed_on_all(template: Template) -> None:
    for one in template.allowed():
        assert not any(action == "*" or action.endswith(":*") for action in one.actions), one
        if "*" in one.resources:
            assert set(one.actions) <= TAKES_NO_RESOURCE, one


def test_runs_are_started_by_the_daemon_alone_and_only_their_own(template: Template) -> None:
    starters = [one for one in template.allowed() if one.covers("ecs:RunTask")]
    may = {_role_of(template, "daemon")}
    if "STRANDLINE_TASK_PER_STEP" in template.environment("run"):
        may.add(_role_of(template, "run"))
    assert {one.role for one in starters} == may
    namespace = template.environment("daemon")["STRANDLINE_NAMESPACE"].replace("_", "-")
    assert all(f"task-definition/strandline-{namespace}-run:*" in one.resources[0] for one in starters)
    assert all(f"cluster/strandline-{namespace}" in one.conditions for one in starters)
    passed = [one for one in template.allowed() if one.covers("iam:PassRole")]
    assert {one.role for one in passed} == may
    assert all("ecs-tasks.amazonaws.com" in one.conditions for one in passed)


def test_the_read_only_twin_may_stop_nothing(templates: Mapping[str, Template]) -> None:
    twin = _role_of(templates["prod"], "webserver-read-only")
    for one in templates["prod"].allowed():
        if one.role == twin:
            for action in ("ecs:StopTask", "ecs:RunTask", "s3:PutObject", "sqs:DeleteMessage", "glue:UpdateTable"):
                assert not one.covers(action)


def _role_of(template: Template, role: str) -> str:
    return next(logical for family, logical in template.task_roles().items() if family.endswith(f"-{role}"))


def test_nothing_comes_in_from_outside_but_https_from_named_networks(template: Template) -> None:
    rules = [
        rule
        for group in template.of("AWS::EC2::SecurityGroup").values()
        for rule in group.get("SecurityGroupIngress", [])
    ]
    rules += list(template.of("AWS::EC2::SecurityGroupIngress").values())
    from_networks = [rule for rule in rules if "CidrIp" in rule or "CidrIpv6" in rule]
    if template.has("AWS::ElasticLoadBalancingV2::LoadBalancer"):
        (rule,) = from_networks
        assert (rule["CidrIp"], rule["FromPort"], rule["ToPort"]) == ("203.0.113.0/24", 443, 443)
    else:
        assert from_networks == []
    assert all("SourceSecurityGroupId" in rule for rule in rules if rule not in from_networks)


def test_what_goes_out_to_anywhere_is_https(template: Template) -> None:
    for name, group in template.of("AWS::EC2::SecurityGroup").items():
        for rule in group.get("SecurityGroupEgress", []):
            if "CidrIp" in rule and rule["CidrIp"] != "255.255.255.255/32":
                assert (rule["FromPort"], rule["ToPort"]) == (443, 443), name


def test_no_secret_stands_in_the_template(template: Template) -> None:
    whole = json.dumps(template.data)
    assert not re.search(r"postgresql://[^\"]*:[A-Za-z0-9]{8,}@", whole)
    for _, _, container in template.containers():
        for variable in container["Environment"]:
            assert not re.search(r"PASSWORD|TOKEN|SECRET|LEDGER_URL|SERVING_URL", variable["Name"])
    for secret in template.of("AWS::SecretsManager::Secret").values():
        given = text(secret.get("SecretString", ""))
        assert "GenerateSecretString" in secret or "{{resolve:secretsmanager:" in given


def test_every_secret_goes_only_to_who_uses_it(templates: Mapping[str, Template]) -> None:
    wanted = {
        "webserver": {"DAGSTER_PG_PASSWORD"},
        "webserver-read-only": {"DAGSTER_PG_PASSWORD"},
        "daemon": {"DAGSTER_PG_PASSWORD"},
        "metrics": {"DAGSTER_PG_PASSWORD", "STRANDLINE_LEDGER_URL"},
        "code": {"DAGSTER_PG_PASSWORD", "STRANDLINE_LEDGER_URL", "STRANDLINE_SERVING_URL", "STRANDLINE_SLACK_TOKEN"},
        "run": {"DAGSTER_PG_PASSWORD", "STRANDLINE_LEDGER_URL", "STRANDLINE_SERVING_URL", "STRANDLINE_SLACK_TOKEN"},
        "rates-api": {"STRANDLINE_LEDGER_URL", "STRANDLINE_SERVING_URL", "STRANDLINE_API_TOKEN"},
    }
    found = {
        container["Name"]: {one["Name"] for one in container["Secrets"]}
        for _, _, container in templates["full"].containers()
    }
    assert found == wanted


def test_the_database_is_reached_by_tasks_alone_and_by_tls(template: Template) -> None:
    _, database = template.one("AWS::RDS::DBInstance")
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True
    _, parameters = template.one("AWS::RDS::DBParameterGroup")
    assert parameters["Parameters"]["rds.force_ssl"] == "1"
    isolated = {name for name, subnet in template.of("AWS::EC2::Subnet").items() if "data" in name}
    _, group = template.one("AWS::RDS::DBSubnetGroup")
    assert {one["Ref"] for one in group["SubnetIds"]} <= isolated
    assert len(isolated) >= 2
    for _, _, container in template.containers():
        if container["Name"] != "rates-api":
            assert {"Name": "PGSSLMODE", "Value": "require"} in container["Environment"]


def test_releases_come_from_one_repositorys_environments_and_plans_may_only_look(
    templates: Mapping[str, Template],
) -> None:
    account = templates["account"]
    trusted = {
        role["RoleName"]: json.dumps(role["AssumeRolePolicyDocument"]) for role in account.of("AWS::IAM::Role").values()
    }
    assert "repo:example/strandline:environment:*" in trusted["strandline-release"]
    assert "pull_request" not in trusted["strandline-release"]
    assert all("sts.amazonaws.com" in one and "repo:example/strandline:" in one for one in trusted.values())
    for one in account.allowed():
        if one.role.startswith("Plan"):
            assert all(re.search(r":(Get|Describe|AssumeRole)", action) for action in one.actions), one
            assert not any(
                "deploy-role" in resource or "*-*" in resource for resource in one.resources if ":role/" in resource
            )
    _, images = account.one("AWS::ECR::Repository")
    assert images["ImageTagMutability"] == "IMMUTABLE"
    assert images["ImageScanningConfiguration"]["ScanOnPush"] is True
    rules = json.loads(images["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert all(rule["selection"]["tagStatus"] == "untagged" for rule in rules)


def test_the_caris_host_has_no_open_port_and_is_started_by_its_tag(templates: Mapping[str, Template]) -> None:
    full = templates["full"]
    group, properties = full.one("AWS::EC2::SecurityGroup", "Caris")
    assert "SecurityGroupIngress" not in properties
    ingress = full.of("AWS::EC2::SecurityGroupIngress").values()
    assert not any(group in json.dumps(rule["GroupId"]) for rule in ingress)
    _, host = full.one("AWS::EC2::Instance")
    assert {"Key": "strandline:caris", "Value": "all_of_it"} in host["Tags"]
    assert host["ImageId"] == "ami-0123456789abcdef0"
    disks = [one["Ebs"] for one in host["BlockDeviceMappings"]]
    assert all(one["Encrypted"] is True for one in disks)
    started = [one for one in full.allowed() if one.covers("ec2:StartInstances") or one.covers("ec2:StopInstances")]
    assert {one.role for one in started} == {_role_of(full, "run")}
    assert all('"aws:ResourceTag/strandline:caris": "all_of_it"' in one.conditions for one in started)
    commanded = [one for one in full.allowed() if one.covers("ssm:SendCommand")]
    assert all(
        "AWS-RunPowerShellScript" in one.resources[0] or "strandline:caris" in one.conditions for one in commanded
    )
    role = next(properties for name, properties in full.of("AWS::IAM::Role").items() if "CarisHostRole" in name)
    assert "AmazonSSMManagedInstanceCore" in json.dumps(role["ManagedPolicyArns"])
    _, component = full.one("AWS::ImageBuilder::Component")
    assert "s3://installers/caris/setup.exe" in json.dumps(json.loads(component["Data"]))
    assert full.has("AWS::ImageBuilder::ImagePipeline")


def test_without_caris_there_is_no_machine_and_no_right_to_one(templates: Mapping[str, Template]) -> None:
    for name in ("prod", "small", "dev"):
        assert not templates[name].has("AWS::EC2::Instance")
        assert not any("ssm:SendCommand" in as_list(one.actions) for one in templates[name].allowed())
