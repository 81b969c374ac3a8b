"""What wakes people, where they are told, and one page to look at."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_chatbot as chatbot
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from deploy.aws.cdk_helpers import waive
from deploy.aws.database import DatabaseServer
from deploy.aws.deployment import Deployment
from deploy.aws.emf import DIMENSION, METRICS_NAMESPACE, Metric
from deploy.aws.events import LandingEvents
from deploy.aws.front import FrontDoor
from deploy.aws.services import Services

_MINUTE = Duration.minutes(1)
_FIVE = Duration.minutes(5)
_GIB = 1 << 30


class Alarms(Construct):
    """Alarms → SNS → e-mail and Slack.

    Slack by AWS's own chat service (AWS::Chatbot), not by a function of ours: it needs no code, no token and no patching,
    formats alarms with their graphs, and still speaks when everything of ours is down. What it costs is one authorization by
    hand in the console. What the platform has to say of files goes to Slack by itself (STRANDLINE_SLACK_TOKEN).
    """

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        database: DatabaseServer,
        landing_events: LandingEvents | None,
        services: Services,
        front: FrontDoor | None,
    ) -> None:
        super().__init__(scope, "Alarms")
        self._deployment = deployment
        self.topic = sns.Topic(self, "Topic", topic_name=f"{deployment.stack_name}-alarms", enforce_ssl=True)
        waive(
            self.topic,
            CKV_AWS_26="CloudWatch cannot publish to a topic under SNS's own key, and alarms say nothing but names and numbers.",
        )
        # A policy that enforces TLS takes the place of SNS's default one: who publishes has to be said.
        self.topic.grant_publish(iam.ServicePrincipal("cloudwatch.amazonaws.com"))
        if deployment.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(deployment.alarm_email))
        if deployment.slack_workspace and deployment.slack_channel_id:
            self._tell_slack(deployment.slack_workspace, deployment.slack_channel_id)
        self._alarms: list[cloudwatch.Alarm] = []
        limits = deployment.profile.alarms
        self._of_platform(limits)
        self._of_database(database, limits)
        if landing_events:
            self._of_queue(landing_events, limits)
        if front:
            self._of_front(front)
        self._of_releases(services)
        self._dashboard(database, landing_events, front)

    def _tell_slack(self, workspace: str, channel: str) -> None:
        role = iam.Role(self, "SlackRole", assumed_by=iam.ServicePrincipal("chatbot.amazonaws.com"))
        reading = iam.ManagedPolicy.from_aws_managed_policy_name("CloudWatchReadOnlyAccess")
        role.add_managed_policy(reading)
        chatbot.CfnSlackChannelConfiguration(
            self,
            "Slack",
            configuration_name=f"{self._deployment.stack_name}-alarms",
            iam_role_arn=role.role_arn,
            slack_workspace_id=workspace,
            slack_channel_id=channel,
            sns_topic_arns=[self.topic.topic_arn],
            guardrail_policies=[reading.managed_policy_arn],
            logging_level="ERROR",
        )

    def _of_platform(self, limits: Mapping[str, float]) -> None:
        self._alarm(
            "Heartbeat",
            self._own(Metric.HEARTBEAT_AGE, "Maximum", _MINUTE),
            limits["heartbeat_seconds"],
            "Dagster's daemon gives no sign: nothing is discovered, no run starts. Look at the service `daemon`.",
            periods=5,
            is_missing_bad=True,
        )
        self._alarm(
            "FailedRuns",
            self._own(Metric.FAILED_RUNS, "Sum", Duration.minutes(15)),
            limits["failed_runs"],
            "Runs fail. `strandline status` says what is held, the runs' pages why.",
            is_at_least=True,
        )
        self._alarm(
            "HeldBatches",
            self._own(Metric.HELD_BATCHES, "Maximum", _FIVE),
            1,
            "A batch waits for a person: `strandline status` names it.",
            is_at_least=True,
        )

    def _of_queue(self, landing_events: LandingEvents, limits: Mapping[str, float]) -> None:
        self._alarm(
            "QueueAge",
            landing_events.queue.metric_approximate_age_of_oldest_message(period=_FIVE, statistic="Maximum"),
            limits["queue_age_seconds"],
            "Notifications are not taken. Files are found by listing all the same, later.",
        )
        self._alarm(
            "DeadLetters",
            landing_events.dead_letters.metric_approximate_number_of_messages_visible(
                period=_FIVE, statistic="Maximum"
            ),
            1,
            "Messages that nobody could take. Read one: `aws sqs receive-message`.",
            is_at_least=True,
        )

    def _of_database(self, database: DatabaseServer, limits: Mapping[str, float]) -> None:
        instance = database.instance
        self._alarm(
            "DatabaseCpu",
            instance.metric_cpu_utilization(period=_FIVE),
            limits["database_cpu_percent"],
            "The database is busy: everything gets slow.",
            periods=3,
        )
        self._alarm(
            "DatabaseDisk",
            instance.metric_free_storage_space(period=_FIVE, statistic="Minimum"),
            limits["database_free_gb"] * _GIB,
            "The database's disk is nearly full, and has grown as far as it may.",
            is_low_bad=True,
        )
        self._alarm(
            "DatabaseConnections",
            instance.metric_database_connections(period=_FIVE, statistic="Maximum"),
            limits["database_connections"],
            "Connections run out: fewer runs at once (STRANDLINE_MAX_RUNS), or a larger instance.",
        )

    def _of_front(self, front: FrontDoor) -> None:
        for role, target in front.groups.items():
            self._alarm(
                f"{role.title().replace('-', '')}Unhealthy",
                target.metrics.unhealthy_host_count(period=_MINUTE, statistic="Maximum"),
                1,
                f"The service {role} does not answer its health check.",
                periods=5,
                is_at_least=True,
            )

    def _of_releases(self, services: Services) -> None:
        events.Rule(
            self,
            "ReleaseFailed",
            description=f"{self._deployment.stack_name}: a release was taken back, or a service cannot start its tasks",
            event_pattern=events.EventPattern(
                source=["aws.ecs"],
                detail_type=["ECS Deployment State Change"],
                detail={"eventName": ["SERVICE_DEPLOYMENT_FAILED"]},
                resources=[service.service_arn for service in services.services.values()],
            ),
            targets=[targets.SnsTopic(self.topic)],
        )

    def _own(self, metric: Metric, statistic: str, period: Duration) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=METRICS_NAMESPACE,
            metric_name=metric.value,
            dimensions_map={DIMENSION: self._deployment.namespace},
            statistic=statistic,
            period=period,
        )

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        says: str,
        *,
        periods: int = 1,
        is_missing_bad: bool = False,
        is_low_bad: bool = False,
        is_at_least: bool = False,
    ) -> None:
        compare = cloudwatch.ComparisonOperator
        operator = compare.GREATER_THAN_OR_EQUAL_TO_THRESHOLD if is_at_least else compare.GREATER_THAN_THRESHOLD
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._deployment.stack_name}-{name}",
            alarm_description=says,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=compare.LESS_THAN_THRESHOLD if is_low_bad else operator,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING
            if is_missing_bad
            else cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))
        self._alarms.append(alarm)

    def _dashboard(
        self, database: DatabaseServer, landing_events: LandingEvents | None, front: FrontDoor | None
    ) -> None:
        board = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=self._deployment.stack_name)
        board.add_widgets(cloudwatch.AlarmStatusWidget(alarms=list(self._alarms), title="Alarms", width=24, height=3))
        rows: list[cloudwatch.IWidget] = [
            _graph(
                "Runs that failed, batches held",
                self._own(Metric.FAILED_RUNS, "Sum", _FIVE),
                self._own(Metric.HELD_BATCHES, "Maximum", _FIVE),
            ),
            _graph(
                "Runs",
                self._own(Metric.QUEUED_RUNS, "Maximum", _MINUTE),
                self._own(Metric.RUNNING_RUNS, "Maximum", _MINUTE),
            ),
            _graph("Age of the daemon's sign of life, s", self._own(Metric.HEARTBEAT_AGE, "Maximum", _MINUTE)),
            _graph("Database: CPU, %", database.instance.metric_cpu_utilization()),
            _graph("Database: connections", database.instance.metric_database_connections()),
        ]
        if landing_events:
            queue = landing_events.queue
            rows += [
                _graph("Notifications: age, s", queue.metric_approximate_age_of_oldest_message()),
                _graph("Notifications: taken", queue.metric_number_of_messages_deleted(statistic="Sum")),
            ]
        if front:
            rows.append(
                _graph(
                    "Answers 5xx",
                    front.balancer.metrics.http_code_target(elb.HttpCodeTarget.TARGET_5XX_COUNT, statistic="Sum"),
                )
            )
        for widget in rows:
            board.add_widgets(widget)


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=12)
