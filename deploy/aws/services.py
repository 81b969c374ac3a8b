"""The services: one image, and a role of it in each."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_servicediscovery as discovery
from constructs import Construct

from deploy import roles
from deploy.aws import access
from deploy.aws.cdk_helpers import log_days, resource_of, waive
from deploy.aws.database import DATABASE, PORT, USER, DatabaseServer
from deploy.aws.deployment import Deployment
from deploy.aws.events import LandingEvents
from deploy.aws.large_runs import LargeRuns
from deploy.aws.network import Network
from deploy.aws.stores import Stores

PRODUCTS = "/mnt/products"
_VOLUME = "products"
_DNS_SECONDS = 10
_GRACE_SECONDS = 180
"""Before a load balancer's word ends a task: a webserver that loads in 9 s on a core of its own has a quarter of one. Our own."""
_LISTING_SECONDS = "900"
_TOKEN_ROLES = {"STRANDLINE_SLACK_TOKEN": {"code", "run"}, "STRANDLINE_API_TOKEN": {"rates-api"}}
METRICS = ("python", "-m", "deploy.aws.emit_metrics")
_ROOT_FILESYSTEM = (
    "Roles write below /app/home and Dagster below its home; an empty volume in their place would belong to root, and "
    "they do not run as root."
)


class Services(Construct):
    """Cluster, task definitions and services. Each role has a task role of its own with what it does, and no more."""

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        network: Network,
        stores: Stores,
        database: DatabaseServer,
        events: LandingEvents | None,
    ) -> None:
        super().__init__(scope, "Services")
        self._deployment, self._network, self._stores, self._database = deployment, network, stores, database
        self._events = events
        profile = deployment.profile
        name = deployment.stack_name
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            cluster_name=name,
            vpc=network.vpc,
            # Whoever opens a shell in a container leaves what was typed there in a log.
            execute_command_configuration=ecs.ExecuteCommandConfiguration(
                logging=ecs.ExecuteCommandLogging.OVERRIDE,
                log_configuration=ecs.ExecuteCommandLogConfiguration(cloud_watch_log_group=self._log_group("exec")),
            ),
            container_insights_v2=ecs.ContainerInsights.ENABLED
            if profile.has_container_insights
            else ecs.ContainerInsights.DISABLED,
        )
        waive(
            self.cluster,
            CKV_AWS_65="What matters is in metrics of our own, which the alarms read; Insights is $10 and more.",
        )
        self.large_runs = LargeRuns(self, deployment, network) if profile.large_runs else None
        providers = ["FARGATE", "FARGATE_SPOT"]
        ecs.CfnClusterCapacityProviderAssociations(
            self,
            "Capacity",
            cluster=self.cluster.cluster_name,
            capacity_providers=[*providers, *([self.large_runs.provider.ref] if self.large_runs else [])],
            default_capacity_provider_strategy=[
                ecs.CfnClusterCapacityProviderAssociations.CapacityProviderStrategyProperty(
                    capacity_provider="FARGATE", weight=1
                )
            ],
        )
        self.logs = {role: self._log_group(role) for role in self._roles()}
        self._execution = self._execution_role()
        self._tokens = self._token_secrets()
        self._dns = discovery.PrivateDnsNamespace(self, "Names", name=f"{deployment.label}.strandline", vpc=network.vpc)
        self.run_definition = self._run_definition()
        self.services = self._start()
        self._let_runs_be_started()

    def _roles(self) -> list[str]:
        profile = self._deployment.profile
        counts = {"webserver-read-only": profile.read_only_twins, "rates-api": profile.rates_apis}
        return [name for name in roles.ROLES if counts.get(name, 1)]

    def _start(self) -> dict[str, ecs.FargateService]:
        profile = self._deployment.profile
        counts = {
            "webserver": profile.webservers,
            "webserver-read-only": profile.read_only_twins,
            "rates-api": profile.rates_apis,
        }
        made: dict[str, ecs.FargateService] = {}
        for role in (role for role in roles.ROLLOUT if role != "run" and role in self.logs):
            made[role] = self._service(role, counts.get(role, 1))
            if role != "code":
                # A release: the new definitions are healthy before anything that asks them starts anew.
                made[role].node.add_dependency(made["code"])
        return made

    def _service(self, role: str, count: int) -> ecs.FargateService:
        data = roles.ROLES[role]
        definition = self._definition(role)
        service = ecs.FargateService(
            self,
            f"{_title(role)}Service",
            service_name=role,
            cluster=self.cluster,
            task_definition=definition,
            desired_count=count,
            security_groups=[self._network.groups[role]],
            vpc_subnets=self._network.task_subnets,
            assign_public_ip=self._network.has_public_addresses,
            platform_version=ecs.FargatePlatformVersion.VERSION1_4,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            min_healthy_percent=100 if data.may_overlap else 0,
            max_healthy_percent=200 if data.may_overlap else 100,
            # ECS takes it for services behind a load balancer alone.
            health_check_grace_period=Duration.seconds(_GRACE_SECONDS)
            if self._deployment.front and data.ready_path
            else None,
            # `aws ecs execute-command`, and the tunnel of a deployment without a load balancer.
            enable_execute_command=True,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            enable_ecs_managed_tags=True,
            cloud_map_options=ecs.CloudMapOptions(
                name="code", cloud_map_namespace=self._dns, dns_ttl=Duration.seconds(_DNS_SECONDS)
            )
            if role == "code"
            else None,
        )
        waive(
            service,
            CKV_AWS_333="Without NAT gateways an address of its own is how a task reaches AWS; its security group lets nothing in.",
        )
        return service

    def _definition(self, role: str) -> ecs.FargateTaskDefinition:
        size = self._deployment.profile.sizes[role]
        definition = ecs.FargateTaskDefinition(
            self,
            f"{_title(role)}Task",
            family=f"{self._deployment.stack_name}-{role}",
            cpu=size.cpu,
            memory_limit_mib=size.memory,
            execution_role=self._execution,
            task_role=self._task_role(role),
            volumes=[self._volume()] if role == "code" else None,
        )
        container = self._container(definition, role, list(roles.ROLES[role].command))
        if role == "code":
            self._mount(container)
        if role == "daemon":
            # Beside the daemon, not in it: it must still speak when the daemon does not.
            definition.add_container(
                "metrics",
                image=ecs.ContainerImage.from_registry(self._deployment.image),
                command=list(METRICS),
                essential=False,
                environment=self._environment(role),
                secrets=self._secrets("metrics"),
                logging=ecs.LogDrivers.aws_logs(stream_prefix="metrics", log_group=self.logs[role]),
            )
        return definition

    def _container(
        self, definition: ecs.TaskDefinition, role: str, command: list[str] | None
    ) -> ecs.ContainerDefinition:
        data = roles.ROLES[role]
        health = data.health and ecs.HealthCheck(
            command=["CMD", *data.health],
            interval=Duration.seconds(data.interval),
            timeout=Duration.seconds(data.timeout),
            start_period=Duration.seconds(data.start),
            retries=data.retries,
        )
        waive(definition, CKV_AWS_336=_ROOT_FILESYSTEM)
        return definition.add_container(
            role,
            image=ecs.ContainerImage.from_registry(self._deployment.image),
            command=command or None,
            environment={**self._environment(role), **data.environment},
            secrets=self._secrets(role),
            logging=ecs.LogDrivers.aws_logs(stream_prefix=role, log_group=self.logs[role]),
            health_check=health or None,
            port_mappings=[ecs.PortMapping(container_port=data.port)] if data.port else None,
            stop_timeout=Duration.seconds(data.stop_seconds),
        )

    def _run_definition(self) -> ecs.TaskDefinition:
        """What runs are started from: registered here, once for each release, so that no launch asks for it and a run ends
        on the image that it began with."""
        size = self._deployment.profile.sizes["run"]
        definition = ecs.TaskDefinition(
            self,
            "RunTask",
            family=roles.run_family(self._deployment.namespace),
            compatibility=ecs.Compatibility.EC2_AND_FARGATE,
            network_mode=ecs.NetworkMode.AWS_VPC,
            cpu=str(size.cpu),
            memory_mib=str(size.memory),
            execution_role=self._execution,
            task_role=self._task_role("run"),
            volumes=[self._volume()],
        )
        # Old revisions stay, for runs that are resumed on the image that they began with.
        resource_of(definition).apply_removal_policy(RemovalPolicy.RETAIN)
        self._mount(self._container(definition, "run", None))
        return definition

    def _volume(self) -> ecs.Volume:
        return ecs.Volume(
            name=_VOLUME,
            efs_volume_configuration=ecs.EfsVolumeConfiguration(
                file_system_id=self._stores.product_system.file_system_id,
                transit_encryption="ENABLED",
                authorization_config=ecs.AuthorizationConfig(
                    access_point_id=self._stores.products.access_point_id, iam="ENABLED"
                ),
            ),
        )

    def _mount(self, container: ecs.ContainerDefinition) -> None:
        container.add_mount_points(ecs.MountPoint(container_path=PRODUCTS, source_volume=_VOLUME, read_only=False))

    def _environment(self, role: str) -> dict[str, str]:
        """Everything that is no secret. The same for all roles but for who may start runs: they share one dagster.yaml."""
        deployment, stores = self._deployment, self._stores
        landing = deployment.landing or f"s3://{stores.landing.bucket_name}"
        subnets = self._network.vpc.select_subnets(subnet_type=self._network.task_subnets.subnet_type).subnet_ids
        values = {
            "AWS_REGION": Aws.REGION,
            "DAGSTER_PG_HOST": self._database.host,
            "DAGSTER_PG_PORT": str(PORT),
            "DAGSTER_PG_DB": DATABASE,
            "DAGSTER_PG_USER": USER,
            "PGSSLMODE": "require",
            "DAGSTER_LOG_BUCKET": stores.ops.bucket_name,
            "DAGSTER_CODE_HOST": f"code.{deployment.label}.strandline",
            "DAGSTER_RUN_CLUSTER": deployment.stack_name,
            "DAGSTER_RUN_SUBNETS": ",".join(subnets),
            "DAGSTER_RUN_SECURITY_GROUPS": self._network.groups["run"].security_group_id,
            "DAGSTER_RUN_PUBLIC_ADDRESS": "ENABLED" if self._network.has_public_addresses else "DISABLED",
            "DAGSTER_RUN_TASK_DEFINITION": roles.run_family(deployment.namespace)
            if role == "run"
            else self.run_definition.task_definition_arn,
            "STRANDLINE_NAMESPACE": deployment.namespace,
            "STRANDLINE_RUNS_ON": "ecs",
            # A dead worker is replaced within that time, and its run goes on rather than another one begins.
            "STRANDLINE_LEASE_SECONDS": "300",
            "STRANDLINE_MAX_RUNS": str(deployment.profile.max_runs),
            "STRANDLINE_LANDING": landing,
            "STRANDLINE_LANDING_READ_ONLY": "0" if role == "rates-api" and deployment.has_posting else "1",
            "STRANDLINE_LISTING_INTERVAL_SECONDS": _LISTING_SECONDS if self._events else "60",
            "STRANDLINE_LAKE": f"s3://{stores.lake.bucket_name}/warehouse",
            "STRANDLINE_PRODUCTS": PRODUCTS,
            "STRANDLINE_SQL_ENGINE": "athena",
            "STRANDLINE_ATHENA_WORKGROUP": deployment.stack_name,
            "STRANDLINE_LOG_FORMAT": "json",
        }
        if self._events:
            values["STRANDLINE_QUEUE_URL"] = self._events.queue.queue_url
        if self.large_runs:
            values["STRANDLINE_EC2_PROVIDER"] = self.large_runs.provider.ref
        if deployment.front:
            values["STRANDLINE_UI_URL"] = f"https://{deployment.front.domain}"
            values["STRANDLINE_API_TRUSTED_PROXIES"] = self._network.vpc.vpc_cidr_block
        if deployment.task_per_step:
            values["STRANDLINE_TASK_PER_STEP"] = deployment.task_per_step
        if deployment.slack_channel:
            values["STRANDLINE_SLACK_CHANNEL"] = deployment.slack_channel
        return values

    def _secrets(self, role: str) -> Mapping[str, ecs.Secret]:
        """Each only where it is used."""
        login, url = self._database.login, self._database.url
        found: dict[str, ecs.Secret] = {}
        if role != "rates-api":
            found["DAGSTER_PG_PASSWORD"] = ecs.Secret.from_secrets_manager(login, "password")
        if role in {"code", "run", "rates-api", "metrics"}:
            found["STRANDLINE_LEDGER_URL"] = ecs.Secret.from_secrets_manager(url)
        if role in {"code", "run", "rates-api"}:
            found["STRANDLINE_SERVING_URL"] = ecs.Secret.from_secrets_manager(url)
        for name, secret in self._tokens.items():
            if role in _TOKEN_ROLES[name]:
                found[name] = secret
        return found

    def _token_secrets(self) -> Mapping[str, ecs.Secret]:
        found: dict[str, ecs.Secret] = {}
        if self._deployment.slack_token_secret:
            slack = secretsmanager.Secret.from_secret_name_v2(self, "Slack", self._deployment.slack_token_secret)
            found["STRANDLINE_SLACK_TOKEN"] = ecs.Secret.from_secrets_manager(slack)
        if self._deployment.has_posting:
            token = secretsmanager.Secret(
                self,
                "PostingToken",
                description="What posting a price to the rates API asks for",
                generate_secret_string=secretsmanager.SecretStringGenerator(
                    exclude_punctuation=True, password_length=48
                ),
            )
            waive(token, CKV_AWS_149="Encrypted with the service's key; who may read the secret is what guards it.")
            found["STRANDLINE_API_TOKEN"] = ecs.Secret.from_secrets_manager(token)
        return found

    def _log_group(self, role: str) -> logs.LogGroup:
        group = logs.LogGroup(
            self,
            f"{_title(role)}Log",
            log_group_name=f"/strandline/{self._deployment.namespace}/{role}",
            retention=log_days(self._deployment.profile.log_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        waive(
            group,
            CKV_AWS_158="Secrets never reach a log line, which tests hold to; CloudWatch encrypts them with its own key.",
        )
        return group

    def _execution_role(self) -> iam.Role:
        """Of ECS itself, before a container starts: pulls the image, reads the secrets, writes the logs."""
        role = iam.Role(self, "ExecutionRole", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
        for statement in access.pulls_image(self._deployment.image):
            role.add_to_policy(statement)
        return role

    def _task_role(self, name: str) -> iam.Role:
        """What a role's code may do."""
        deployment, stores = self._deployment, self._stores
        role = iam.Role(self, f"{_title(name)}Role", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
        statements: list[iam.PolicyStatement] = []
        if name in {"code", "run"}:
            statements += [*access.reads_landing(deployment, stores), *access.writes_lake(deployment, stores)]
            # For `strandline sql`, in the one by hand and in tasks of the other.
            statements += access.asks_athena(deployment, stores)
            stores.product_system.grant_read_write(role)
        if name == "rates-api":
            statements += access.reads_landing(deployment, stores)
            if deployment.has_posting:
                statements += access.posts_prices(deployment, stores)
        if name in {"webserver", "webserver-read-only"}:
            statements += access.reads_compute_logs(stores)
        if name in {"daemon", "run", "code"}:
            statements += access.writes_compute_logs(stores)
        if name == "code" and self._events:
            self._events.queue.grant_consume_messages(role)
        if name != "rates-api":
            statements += access.looks_at_runs(deployment)
        if name in {"daemon", "webserver"}:
            statements += access.stops_runs(deployment)
        for statement in statements:
            role.add_to_policy(statement)
        waive(
            role.node.find_child("DefaultPolicy"),
            CKV_AWS_111="What opens a shell (ssmmessages) takes no resource; a test holds all else to its own.",
        )
        return role

    def _let_runs_be_started(self) -> None:
        """By the daemon; and by runs, where their steps are tasks."""
        starters = [self.services["daemon"].task_definition.task_role]
        if self._deployment.task_per_step:
            starters.append(self.run_definition.task_role)
        arns = self.run_definition.task_role.role_arn, self._execution.role_arn
        for role in starters:
            for statement in access.starts_runs(self._deployment, *arns):
                role.add_to_principal_policy(statement)
        if self._deployment.task_per_step:
            for statement in access.stops_runs(self._deployment):
                self.run_definition.task_role.add_to_principal_policy(statement)


def _title(role: str) -> str:
    return "".join(part.title() for part in role.split("-"))
