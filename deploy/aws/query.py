"""SQL by Athena over the tables that Glue knows, and what a person needs to ask."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from constructs import Construct

from deploy.aws import access
from deploy.aws.deployment import Deployment
from deploy.aws.profiles import SOURCES
from deploy.aws.stores import Stores

_MOST_BYTES = 1 << 40
"""A query that would scan more than a TiB, which is $5, is stopped. Our own."""


class Query(Construct):
    """A Glue database for each source, by the names that the platform's catalog uses, and a workgroup whose settings no
    client overrides."""

    def __init__(self, scope: Construct, deployment: Deployment, stores: Stores) -> None:
        super().__init__(scope, "Query")
        stack = Stack.of(self)
        for source in SOURCES:
            name = f"{deployment.table_prefix}{source}"
            glue.CfnDatabase(
                self,
                f"{source.title()}Tables",
                catalog_id=stack.account,
                database_input=glue.CfnDatabase.DatabaseInputProperty(
                    name=name,
                    description=f"Strandline {deployment.namespace}: tables of {source}",
                    location_uri=f"s3://{stores.lake.bucket_name}/warehouse/{name}.db",
                ),
            )
        self.workgroup = athena.CfnWorkGroup(
            self,
            "WorkGroup",
            name=deployment.stack_name,
            description=f"Strandline {deployment.namespace}",
            recursive_delete_option=not deployment.profile.is_protected,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                bytes_scanned_cutoff_per_query=_MOST_BYTES,
                engine_version=athena.CfnWorkGroup.EngineVersionProperty(
                    selected_engine_version="Athena engine version 3"
                ),
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{stores.ops.bucket_name}/athena/",
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_S3"
                    ),
                ),
            ),
        )
        self.readers = iam.ManagedPolicy(
            self,
            "Readers",
            description=f"Ask the tables of {deployment.stack_name} by SQL, and nothing else",
            statements=[*access.asks_athena(deployment, stores), *access.reads_lake(deployment, stores)],
        )
