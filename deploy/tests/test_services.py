"""The services and what runs are started from: held against the one list of roles."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from deploy import roles
from deploy.aws.profiles import PROFILES, Profile
from deploy.tests.conftest import VARIANTS
from deploy.tests.template import Template, text

FARGATE_MEMORY_MB = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16_384 + 1, 1024),
    4096: range(8192, 30_720 + 1, 1024),
}
"""Amazon ECS Developer Guide, "Task CPU and memory"."""


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda one: one.name)
def test_sizes_are_pairs_that_fargate_gives(profile: Profile) -> None:
    assert set(profile.sizes) == set(roles.ROLES)
    for role, size in profile.sizes.items():
        assert size.memory in FARGATE_MEMORY_MB[size.cpu], role


@pytest.mark.parametrize("name", VARIANTS)
def test_there_is_a_service_for_each_role_that_the_profile_wants(templates: Mapping[str, Template], name: str) -> None:
    profile = PROFILES[VARIANTS[name]["profile"]]
    wanted = {"code": 1, "daemon": 1, "webserver": profile.webservers, "webserver-read-only": profile.read_only_twins,
              "rates-api": profile.rates_apis}  # fmt: skip
    found = {one["ServiceName"]: one["DesiredCount"] for one in templates[name].of("AWS::ECS::Service").values()}
    assert found == {role: count for role, count in wanted.items() if count}


def test_a_container_runs_what_its_role_says(template: Template) -> None:
    for family, task, container in template.containers():
        if container["Name"] == "metrics":
            assert family.endswith("-daemon")
            continue
        role = roles.ROLES[container["Name"]]
        assert container.get("Command", []) == list(role.command)
        assert [one["ContainerPort"] for one in container.get("PortMappings", [])] == ([role.port] if role.port else [])
        if role.health:
            check = container["HealthCheck"]
            assert check["Command"] == ["CMD", *role.health]
            assert (check["Interval"], check["Timeout"], check["StartPeriod"], check["Retries"]) == (
                role.interval, role.timeout, role.start, role.retries,
            )  # fmt: skip
        assert container["StopTimeout"] == role.stop_seconds
        assert role.environment.items() <= {one["Name"]: one["Value"] for one in container["Environment"]}.items()
        assert task["NetworkMode"] == "awsvpc"
        assert container.get("Privileged") is not True


def test_all_run_the_one_image_by_its_digest(template: Template) -> None:
    images = {text(container["Image"]) for _, _, container in template.containers()}
    assert len(images) == 1
    assert re.fullmatch(r".+@sha256:[0-9a-f]{64}", images.pop())
    # A release looks for it in the whole template, and takes it only if there is one.
    assert len(set(re.findall(r"[\w./-]+@sha256:[0-9a-f]{64}", json.dumps(template.data)))) == 1


def test_a_release_that_does_not_get_healthy_is_taken_back_and_never_runs_two_daemons(template: Template) -> None:
    for service in template.of("AWS::ECS::Service").values():
        settings = service["DeploymentConfiguration"]
        assert settings["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        limits = (settings["MinimumHealthyPercent"], settings["MaximumPercent"])
        assert limits == ((100, 200) if roles.ROLES[service["ServiceName"]].may_overlap else (0, 100))


def test_definitions_are_healthy_before_what_asks_for_them_starts_anew(template: Template) -> None:
    code, _ = template.one("AWS::ECS::Service", "Code")
    for name, service in template.of("AWS::ECS::Service").items():
        if service["ServiceName"] != "code":
            assert code in template.resources[name]["DependsOn"]


def test_tasks_have_public_addresses_only_without_gateways(template: Template) -> None:
    has_gateways = template.has("AWS::EC2::NatGateway")
    public = {name for name in template.ids("AWS::EC2::Subnet") if "public" in name}
    for service in template.of("AWS::ECS::Service").values():
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["AssignPublicIp"] == ("DISABLED" if has_gateways else "ENABLED")
        assert ({one["Ref"] for one in network["Subnets"]} <= public) is not has_gateways
    environment = template.environment("daemon")
    assert environment["DAGSTER_RUN_PUBLIC_ADDRESS"] == ("DISABLED" if has_gateways else "ENABLED")


def test_runs_are_started_from_a_definition_of_this_release(template: Template) -> None:
    logical, task = template.one("AWS::ECS::TaskDefinition", "RunTask")
    namespace = template.environment("daemon")["STRANDLINE_NAMESPACE"]
    assert task["Family"] == roles.run_family(namespace)
    assert set(task["RequiresCompatibilities"]) == {"EC2", "FARGATE"}
    assert [one["Name"] for one in task["ContainerDefinitions"]] == ["run"]
    for role in ("daemon", "webserver", "code"):
        assert template.environment(role)["DAGSTER_RUN_TASK_DEFINITION"] == f"${{{logical}}}"
    # A run that is resumed goes on from the revision that it began with.
    assert template.resources[logical]["DeletionPolicy"] == "Retain"
    group, _ = template.one("AWS::EC2::SecurityGroup", "RunGroup")
    assert template.environment("daemon")["DAGSTER_RUN_SECURITY_GROUPS"] == f"${{{group}.GroupId}}"


def test_all_roles_that_load_dagster_are_told_what_its_instance_asks_for(template: Template) -> None:
    asked = {"DAGSTER_PG_HOST", "DAGSTER_PG_PORT", "DAGSTER_PG_DB", "DAGSTER_PG_USER", "DAGSTER_LOG_BUCKET",
             "DAGSTER_RUN_CLUSTER", "DAGSTER_RUN_SUBNETS", "DAGSTER_RUN_SECURITY_GROUPS", "DAGSTER_RUN_TASK_DEFINITION",
             "DAGSTER_CODE_HOST", "STRANDLINE_NAMESPACE", "STRANDLINE_LANDING", "STRANDLINE_LAKE"}  # fmt: skip
    for _, _, container in template.containers():
        assert asked <= {one["Name"] for one in container["Environment"]}, container["Name"]
    assert template.environment("run")["STRANDLINE_RUNS_ON"] == "ecs"


def test_the_code_location_is_found_by_its_name(template: Template) -> None:
    _, zone = template.one("AWS::ServiceDiscovery::PrivateDnsNamespace")
    _, service = template.one("AWS::ServiceDiscovery::Service")
    assert template.environment("webserver")["DAGSTER_CODE_HOST"] == f"{service['Name']}.{zone['Name']}"


def test_every_log_ends(template: Template) -> None:
    groups = template.of("AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] > 0 for group in groups.values())
    for _, _, container in template.containers():
        options = container["LogConfiguration"]["Options"]
        assert options["awslogs-group"]["Ref"] in groups


def test_the_database_is_as_safe_as_the_profile_says(templates: Mapping[str, Template]) -> None:
    found = {name: templates[name].one("AWS::RDS::DBInstance")[1] for name in ("prod", "small", "dev")}
    assert {name: one.get("MultiAZ") for name, one in found.items()} == {"prod": True, "small": False, "dev": False}
    assert {name: one["DeletionProtection"] for name, one in found.items()} == {
        "prod": True,
        "small": True,
        "dev": False,
    }
    assert found["prod"]["BackupRetentionPeriod"] >= 14
    assert found["small"]["BackupRetentionPeriod"] >= 7


def test_machines_for_large_runs_are_there_only_while_such_a_run_is(templates: Mapping[str, Template]) -> None:
    prod = templates["prod"]
    _, group = prod.one("AWS::AutoScaling::AutoScalingGroup")
    assert (group["MinSize"], int(group["MaxSize"])) == ("0", PROFILES["prod"].large_runs)
    assert group["NewInstancesProtectedFromScaleIn"] is True
    logical, provider = prod.one("AWS::ECS::CapacityProvider")
    assert provider["AutoScalingGroupProvider"]["ManagedScaling"]["Status"] == "ENABLED"
    _, capacity = prod.one("AWS::ECS::ClusterCapacityProviderAssociations")
    assert [text(one) for one in capacity["CapacityProviders"]] == ["FARGATE", "FARGATE_SPOT", f"${{{logical}}}"]
    assert prod.environment("code")["STRANDLINE_EC2_PROVIDER"] == f"${{{logical}}}"
    _, launch = prod.one("AWS::EC2::LaunchTemplate")
    data = launch["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert "ECS_AWSVPC_BLOCK_IMDS=true" in text(data["UserData"])
    for name in ("small", "dev"):
        assert not templates[name].has("AWS::AutoScaling::AutoScalingGroup")
        assert "STRANDLINE_EC2_PROVIDER" not in templates[name].environment("code")


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda one: one.name)
def test_large_runs_need_gateways(profile: Profile) -> None:
    """Tasks on EC2 get no public address, so that without gateways they would reach nothing."""
    assert profile.nat_gateways or not profile.large_runs


def test_two_deployments_of_an_account_have_no_name_in_common(templates: Mapping[str, Template]) -> None:
    def names(template: Template) -> set[tuple[str, str]]:
        keys = ("Name", "ClusterName", "Family", "LogGroupName", "AlarmName", "TopicName", "DashboardName", "DBInstanceIdentifier",
                "RoleName", "BucketName", "QueueName")  # fmt: skip
        return {
            (one["Type"], text(one["Properties"][key]))
            for one in template.resources.values()
            for key in keys
            if key in one.get("Properties", {}) and isinstance(one["Properties"][key], str)
        } | {("database", one["DatabaseInput"]["Name"]) for one in template.of("AWS::Glue::Database").values()}

    # Named within their zone, and a family that is PostgreSQL's.
    inside = {("AWS::ServiceDiscovery::Service", "code"), ("AWS::RDS::DBParameterGroup", "postgres17")}
    records = {("AWS::Route53::RecordSet", f"{host}data.example.org.") for host in ("", "view.", "api.")}
    some = [names(templates[name]) - inside - records for name in ("dev", "foreign", "full", "prod")]
    assert all(len(one) > 10 for one in some)
    for at, one in enumerate(some):
        for other in some[at + 1 :]:
            assert not one & other
