"""PostgreSQL: Dagster's storage, the ledger and the rates, each in a schema of its own, and the secrets to reach them."""

from __future__ import annotations

import string

from aws_cdk import Duration, Fn, RemovalPolicy, SecretValue
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from deploy.aws.cdk_helpers import accept, log_days, waive
from deploy.aws.deployment import Deployment
from deploy.aws.network import Network

USER = DATABASE = "strandline"
PORT = 5432
_GROWTH = 4
ASKERS = ("webserver", "webserver-read-only", "daemon", "code", "rates-api", "run")

_KEY = "Encrypted with the service's key; a key of its own would guard it from nobody who may not read it anyway."


class DatabaseServer(Construct):
    """RDS, not Aurora: the smallest instance costs a quarter of the least of Aurora that is awake, and a standby in a second
    zone takes over by itself where the profile wants one (docs/decisions/0016-the-database-on-aws.md)."""

    def __init__(self, scope: Construct, deployment: Deployment, network: Network) -> None:
        super().__init__(scope, "Database")
        profile = deployment.profile
        sizes = profile.database
        removal = RemovalPolicy.SNAPSHOT if profile.is_protected else RemovalPolicy.DESTROY
        group = ec2.SecurityGroup(
            self, "Group", vpc=network.vpc, description="Strandline database", allow_all_outbound=False
        )
        self.group = group
        for role in ASKERS:
            group.connections.allow_from(network.groups[role], ec2.Port.tcp(PORT), role)
        engine = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.of("17", "17"))
        # Letters and digits alone: it stands in addresses.
        self.login = rds.DatabaseSecret(self, "Login", username=USER, exclude_characters=string.punctuation)
        waive(self.login, CKV_AWS_149=_KEY)
        self.instance = rds.DatabaseInstance(
            self,
            "Instance",
            instance_identifier=deployment.stack_name,
            engine=engine,
            parameter_group=rds.ParameterGroup(
                self,
                "Parameters",
                engine=engine,
                description=f"{deployment.stack_name}: TLS only, slow queries in the log",
                parameters={"rds.force_ssl": "1", "log_min_duration_statement": "2000", "log_statement": "ddl"},
            ),
            instance_type=ec2.InstanceType(sizes.instance),
            vpc=network.vpc,
            vpc_subnets=network.data_subnets,
            security_groups=[group],
            publicly_accessible=False,
            database_name=DATABASE,
            credentials=rds.Credentials.from_secret(self.login),
            allocated_storage=sizes.gb,
            max_allocated_storage=sizes.gb * _GROWTH,
            storage_type=rds.StorageType.GP3,
            storage_encrypted=True,
            multi_az=sizes.is_multi_az,
            backup_retention=Duration.days(sizes.backup_days),
            copy_tags_to_snapshot=True,
            delete_automated_backups=not profile.is_protected,
            deletion_protection=profile.is_protected,
            removal_policy=removal,
            iam_authentication=True,
            auto_minor_version_upgrade=True,
            cloudwatch_logs_exports=["postgresql"],
        )
        # The major version alone: RDS takes its newest minor one and keeps it so, and a template must not ask for an older.
        accept(self.instance, "W3691")
        waive(
            self.instance,
            CKV_AWS_118="CloudWatch's own numbers, a minute apart, are what the alarms read.",
            CKV_AWS_353="Slow queries are in the log; what Insights adds costs more than the smallest instance.",
            CKV_AWS_354=_KEY,
            CKV_AWS_157="One zone is what `small` and `dev` say they have; `prod` has two, and a test holds it to that.",
            CKV_AWS_293="`dev` is made to be torn down; a test holds the others to deletion protection.",
            CKV_AWS_133="`dev` can be made anew from the landing store; a test holds the others to their backups.",
        )
        log = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/aws/rds/instance/{deployment.stack_name}/postgresql",
            retention=log_days(profile.log_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        waive(log, CKV_AWS_158=_KEY)
        # Made first, or RDS makes it, without an end.
        self.instance.node.add_dependency(log)
        self.host = self.instance.db_instance_endpoint_address
        self.url = self._url()

    def _url(self) -> secretsmanager.Secret:
        """The address with the password in it, which is how the platform takes it. CloudFormation puts the password in when
        it makes the secret, so that no person and no template ever has it."""
        password = self.login.secret_value_from_json("password").unsafe_unwrap()
        address = Fn.join(
            "", [f"postgresql://{USER}:", password, "@", self.host, f":{PORT}/{DATABASE}?sslmode=require"]
        )
        url = secretsmanager.Secret(
            self,
            "Url",
            description="Address of the ledger and of the rates, with the password",
            secret_string_value=SecretValue.unsafe_plain_text(address),
        )
        waive(url, CKV_AWS_149=_KEY)
        return url
