"""How people come in, and how they are told."""

from __future__ import annotations

import json
from collections.abc import Mapping

from deploy.aws.emf import METRICS_NAMESPACE, UNITS, Metric, line
from deploy.tests.template import Template, as_list, text


def test_only_https_and_nothing_without_a_rule(fronted: Template) -> None:
    _, listener = fronted.one("AWS::ElasticLoadBalancingV2::Listener")
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    assert "TLS13" in listener["SslPolicy"]
    (action,) = listener["DefaultActions"]
    assert action["FixedResponseConfig"]["StatusCode"] == "404"


def test_the_ui_is_behind_a_sign_in(fronted: Template) -> None:
    rules = list(fronted.of("AWS::ElasticLoadBalancingV2::ListenerRule").values())
    by_host = {rule["Conditions"][0]["HostHeaderConfig"]["Values"][0]: rule for rule in rules}
    for host, rule in by_host.items():
        kinds = [action["Type"] for action in sorted(rule["Actions"], key=lambda one: one.get("Order", 0))]
        if host.startswith("api."):
            assert kinds == ["forward"]
            assert [
                one["Values"] for one in (condition.get("SourceIpConfig") for condition in rule["Conditions"]) if one
            ] == [["203.0.113.0/24"]]
        else:
            assert kinds == ["authenticate-oidc", "forward"]
            oidc = next(one for one in rule["Actions"] if one["Type"] == "authenticate-oidc")["AuthenticateOidcConfig"]
            assert oidc.get("OnUnauthenticatedRequest", "authenticate") == "authenticate"
            assert text(oidc["ClientSecret"]).startswith("{{resolve:secretsmanager:strandline/oidc")
    assert "data.example.org" in by_host
    assert ("view.data.example.org" in by_host) == any(
        one["ServiceName"] == "webserver-read-only" for one in fronted.of("AWS::ECS::Service").values()
    )


def test_the_balancer_is_safe_and_says_who_came(fronted: Template) -> None:
    _, balancer = fronted.one("AWS::ElasticLoadBalancingV2::LoadBalancer")
    settings = {one["Key"]: text(one["Value"]) for one in balancer["LoadBalancerAttributes"]}
    assert settings["deletion_protection.enabled"] == "true"
    assert settings["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert settings["access_logs.s3.enabled"] == "true"


def test_a_task_has_time_to_start_before_the_balancer_judges_it(template: Template) -> None:
    """And no such time is given where there is no balancer, which ECS refuses."""
    for service in template.of("AWS::ECS::Service").values():
        if service.get("LoadBalancers"):
            assert service["HealthCheckGracePeriodSeconds"] >= 120
        else:
            assert "HealthCheckGracePeriodSeconds" not in service


def test_dev_has_no_way_in_but_the_tunnel(templates: Mapping[str, Template]) -> None:
    dev = templates["dev"]
    assert not dev.has("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert all(service["EnableExecuteCommand"] is True for service in dev.of("AWS::ECS::Service").values())


def test_records_lead_to_the_balancer_where_there_is_a_zone(templates: Mapping[str, Template]) -> None:
    names = {one["Name"] for one in templates["prod"].of("AWS::Route53::RecordSet").values()}
    assert names == {"data.example.org.", "view.data.example.org.", "api.data.example.org."}
    assert not templates["small"].has("AWS::Route53::RecordSet")


def test_every_alarm_tells_somebody(template: Template) -> None:
    topic, _ = template.one("AWS::SNS::Topic")
    alarms = template.of("AWS::CloudWatch::Alarm")
    for name, alarm in alarms.items():
        assert alarm["AlarmDescription"]
        if "Caris" not in name:
            assert alarm["AlarmActions"] == [{"Ref": topic}]
            assert alarm["OKActions"] == [{"Ref": topic}]
    _, policy = template.one("AWS::SNS::TopicPolicy")
    publishers = [
        service
        for one in policy["PolicyDocument"]["Statement"]
        if one["Effect"] == "Allow"
        for service in as_list(one["Principal"]["Service"])
    ]
    assert {"cloudwatch.amazonaws.com", "events.amazonaws.com"} <= set(publishers)


def test_what_was_promised_has_an_alarm(template: Template) -> None:
    metrics = {(one.get("Namespace"), one.get("MetricName")) for one in template.of("AWS::CloudWatch::Alarm").values()}
    own = {
        (METRICS_NAMESPACE, metric.value) for metric in (Metric.HEARTBEAT_AGE, Metric.FAILED_RUNS, Metric.HELD_BATCHES)
    }
    database = {("AWS/RDS", name) for name in ("CPUUtilization", "FreeStorageSpace", "DatabaseConnections")}
    queue = {("AWS/SQS", "ApproximateAgeOfOldestMessage"), ("AWS/SQS", "ApproximateNumberOfMessagesVisible")}
    assert own | database <= metrics
    assert (queue <= metrics) is template.has("AWS::SQS::Queue")


def test_a_daemon_that_says_nothing_at_all_is_an_alarm(template: Template) -> None:
    _, alarm = template.one("AWS::CloudWatch::Alarm", "Heartbeat")
    assert alarm["TreatMissingData"] == "breaching"
    namespace = template.environment("daemon")["STRANDLINE_NAMESPACE"]
    assert alarm["Dimensions"] == [{"Name": "namespace", "Value": namespace}]
    metrics = next(container for _, _, container in template.containers() if container["Name"] == "metrics")
    assert metrics["Command"] == ["python", "-m", "deploy.aws.emit_metrics"]
    # The daemon is not stopped when what watches it ends.
    assert metrics["Essential"] is False


def test_a_line_is_in_the_embedded_metric_format() -> None:
    """By "Specification: Embedded metric format" of the CloudWatch User Guide."""
    values: dict[Metric, float] = dict.fromkeys(Metric, 2.0)
    found = json.loads(line("team", values, 1_700_000_000.25))
    (directive,) = found["_aws"]["CloudWatchMetrics"]
    assert found["_aws"]["Timestamp"] == 1_700_000_000_250
    assert directive["Namespace"] == METRICS_NAMESPACE
    assert directive["Dimensions"] == [["namespace"]]
    assert found["namespace"] == "team"
    assert {one["Name"]: one["Unit"] for one in directive["Metrics"]} == {
        metric.value: unit for metric, unit in UNITS.items()
    }
    assert all(found[one["Name"]] == 2.0 for one in directive["Metrics"])


def test_slack_and_mail_hear_of_alarms_where_they_are_given(templates: Mapping[str, Template]) -> None:
    prod = templates["prod"]
    topic, _ = prod.one("AWS::SNS::Topic")
    _, slack = prod.one("AWS::Chatbot::SlackChannelConfiguration")
    assert slack["SnsTopicArns"] == [{"Ref": topic}]
    assert slack["GuardrailPolicies"]
    assert {one["Endpoint"] for one in prod.of("AWS::SNS::Subscription").values()} == {"on-call@example.org"}
    assert not templates["dev"].has("AWS::Chatbot::SlackChannelConfiguration")


def test_a_release_that_failed_is_told(template: Template) -> None:
    _, rule = template.one("AWS::Events::Rule", "ReleaseFailed")
    assert rule["EventPattern"]["detail"]["eventName"] == ["SERVICE_DEPLOYMENT_FAILED"]
    assert len(rule["EventPattern"]["resources"]) == len(template.ids("AWS::ECS::Service"))
