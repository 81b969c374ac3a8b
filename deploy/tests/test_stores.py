"""Where bytes lie, and how what lands is told of."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from deploy.aws.profiles import SOURCES
from deploy.tests.template import Template, text

READS_AT_ONCE = {"STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}


def test_every_bucket_is_versioned_encrypted_closed_and_speaks_tls_alone(template: Template) -> None:
    buckets = template.of("AWS::S3::Bucket")
    assert len(buckets) >= 2
    policies = {one["Bucket"]["Ref"]: one for one in template.of("AWS::S3::BucketPolicy").values()}
    for name, bucket in buckets.items():
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        denied = [one for one in policies[name]["PolicyDocument"]["Statement"] if one["Effect"] == "Deny"]
        conditions = json.dumps([one["Condition"] for one in denied])
        assert '"aws:SecureTransport": "false"' in conditions
        assert "s3:TlsVersion" in conditions
        assert all(one["Principal"] == {"AWS": "*"} and one["Action"] == "s3:*" for one in denied)


def test_nothing_moves_to_a_class_that_must_be_restored_before_it_is_read(template: Template) -> None:
    moved = 0
    for bucket in template.of("AWS::S3::Bucket").values():
        for rule in bucket["LifecycleConfiguration"]["Rules"]:
            for change in [*rule.get("Transitions", []), *rule.get("NoncurrentVersionTransitions", [])]:
                assert change["StorageClass"] in READS_AT_ONCE
                moved += 1
        # The tiers of Intelligent-Tiering that have to be restored are there only where they are configured.
        assert "IntelligentTieringConfigurations" not in bucket
    assert moved


@pytest.mark.parametrize("name", ["prod", "small", "full"])
def test_landed_files_never_expire(templates: Mapping[str, Template], name: str) -> None:
    _, landing = templates[name].one("AWS::S3::Bucket", "Landing")
    for rule in landing["LifecycleConfiguration"]["Rules"]:
        assert not {"ExpirationInDays", "ExpirationDate", "NoncurrentVersionExpiration"} & rule.keys()


@pytest.mark.parametrize(
    ("name", "policy"), [("prod", "Retain"), ("small", "Retain"), ("full", "Retain"), ("dev", "Delete")]
)
def test_data_outlive_the_stack_where_the_profile_says_so(
    templates: Mapping[str, Template], name: str, policy: str
) -> None:
    kinds = {
        "AWS::S3::Bucket": policy,
        "AWS::EFS::FileSystem": policy,
        "AWS::RDS::DBInstance": "Snapshot" if policy == "Retain" else policy,
    }
    for kind, wanted in kinds.items():
        for logical in templates[name].ids(kind):
            assert templates[name].resources[logical]["DeletionPolicy"] == wanted, logical
            assert templates[name].resources[logical]["UpdateReplacePolicy"] == wanted, logical


@pytest.mark.parametrize("name", ["prod", "small", "full", "dev"])
def test_a_landed_file_comes_to_a_queue_of_the_deployments_own(templates: Mapping[str, Template], name: str) -> None:
    template = templates[name]
    queue, properties = template.one("AWS::SQS::Queue", "EventsQueue")
    dead, _ = template.one("AWS::SQS::Queue", "DeadLetters")
    assert properties["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": [dead, "Arn"]}
    assert all(one["SqsManagedSseEnabled"] is True for one in template.of("AWS::SQS::Queue").values())

    rule_id, rule = template.one("AWS::Events::Rule", "LandingEvents")
    assert rule["EventPattern"]["source"] == ["aws.s3"]
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": [queue, "Arn"]}
    assert target["DeadLetterConfig"]["Arn"] == {"Fn::GetAtt": [dead, "Arn"]}

    sends = [
        statement
        for policy in template.of("AWS::SQS::QueuePolicy").values()
        if queue in json.dumps(policy["Queues"])
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert [one["Principal"] for one in sends] == [{"Service": "events.amazonaws.com"}]
    assert rule_id in json.dumps(sends[0]["Condition"])
    assert template.environment("code")["STRANDLINE_QUEUE_URL"] == f"${{{queue}}}"
    assert template.environment("code")["STRANDLINE_LISTING_INTERVAL_SECONDS"] == "900"


@pytest.mark.parametrize("name", ["prod", "small", "full"])
def test_the_landing_bucket_tells_eventbridge(templates: Mapping[str, Template], name: str) -> None:
    logical, landing = templates[name].one("AWS::S3::Bucket", "Landing")
    assert landing["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    _, rule = templates[name].one("AWS::Events::Rule", "LandingEvents")
    assert rule["EventPattern"]["detail"] == {"bucket": {"name": [{"Ref": logical}]}}


def test_a_deployment_beside_another_hears_of_the_same_bucket(templates: Mapping[str, Template]) -> None:
    dev = templates["dev"]
    assert not dev.has("AWS::S3::Bucket", "Landing")
    _, rule = dev.one("AWS::Events::Rule", "LandingEvents")
    assert rule["EventPattern"]["detail"] == {"bucket": {"name": ["strandline-landing-of-prod"]}}
    assert dev.environment("code")["STRANDLINE_LANDING"] == "s3://strandline-landing-of-prod"


def test_somebody_elses_bucket_is_listed_and_no_more(templates: Mapping[str, Template]) -> None:
    foreign = templates["foreign"]
    assert not foreign.has("AWS::SQS::Queue")
    assert not foreign.has("AWS::Events::Rule", "LandingEvents")
    assert not foreign.has("AWS::S3::Bucket", "Landing")
    environment = foreign.environment("code")
    assert "STRANDLINE_QUEUE_URL" not in environment
    assert environment["STRANDLINE_LANDING"] == "s3://a-university/exports"
    assert environment["STRANDLINE_LANDING_READ_ONLY"] == "1"
    assert float(environment["STRANDLINE_LISTING_INTERVAL_SECONDS"]) <= 60
    reads = [
        one for one in foreign.allowed() if one.covers("s3:GetObject") and "a-university" in "".join(one.resources)
    ]
    assert reads
    assert all(text(one.resources[0]).endswith("a-university/exports/*") for one in reads)


def test_tables_have_the_databases_that_the_platforms_catalog_asks_for(templates: Mapping[str, Template]) -> None:
    def names(name: str) -> set[str]:
        return {one["DatabaseInput"]["Name"] for one in templates[name].of("AWS::Glue::Database").values()}

    assert names("prod") == set(SOURCES)
    assert names("dev") == {f"branch_try__{source}" for source in SOURCES}


def test_athena_keeps_to_the_workgroups_settings(template: Template) -> None:
    _, group = template.one("AWS::Athena::WorkGroup")
    settings = group["WorkGroupConfiguration"]
    assert settings["EnforceWorkGroupConfiguration"] is True
    assert settings["BytesScannedCutoffPerQuery"] > 0
    assert settings["ResultConfiguration"]["EncryptionConfiguration"]["EncryptionOption"] == "SSE_S3"
    assert template.environment("code")["STRANDLINE_ATHENA_WORKGROUP"] == group["Name"]


def test_products_are_encrypted_on_the_way_and_at_rest(template: Template) -> None:
    _, system = template.one("AWS::EFS::FileSystem")
    assert system["Encrypted"] is True
    mounted = [
        volume["EFSVolumeConfiguration"]
        for task in template.of("AWS::ECS::TaskDefinition").values()
        for volume in task.get("Volumes", [])
    ]
    assert len(mounted) == 2
    assert all(one["TransitEncryption"] == "ENABLED" for one in mounted)
    assert all(one["AuthorizationConfig"]["IAM"] == "ENABLED" for one in mounted)
