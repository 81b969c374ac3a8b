"""One deployment as one stack: everything in it on one screen."""

from __future__ import annotations

from aws_cdk import CfnOutput, DefaultStackSynthesizer, Environment, Stack, Tags
from constructs import Construct

from deploy.aws.alarms import Alarms
from deploy.aws.caris import CarisHost
from deploy.aws.database import DatabaseServer
from deploy.aws.deployment import Deployment
from deploy.aws.events import LandingEvents
from deploy.aws.front import FrontDoor
from deploy.aws.network import Network
from deploy.aws.query import Query
from deploy.aws.services import Services
from deploy.aws.stores import Stores


class StrandlineStack(Stack):
    """For any account, and without assets: the template alone is what is deployed."""

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        super().__init__(
            scope,
            deployment.stack_name,
            stack_name=deployment.stack_name,
            env=Environment(region=deployment.region),
            description=f"Strandline: namespace {deployment.namespace}, profile {deployment.profile.name}",
            synthesizer=DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
            termination_protection=deployment.profile.is_protected,
            analytics_reporting=False,
        )
        Tags.of(self).add("strandline-namespace", deployment.namespace)
        Tags.of(self).add("strandline-profile", deployment.profile.name)

        network = Network(self, deployment.profile)
        stores = Stores(self, deployment, network)
        database = DatabaseServer(self, deployment, network)
        events = None if deployment.is_listing_only else LandingEvents(self, deployment, stores)
        query = Query(self, deployment, stores)
        services = Services(self, deployment, network, stores, database, events)
        front = FrontDoor(self, deployment, network, stores, services) if deployment.front else None
        if deployment.has_caris:
            CarisHost(self, deployment, network, stores, services.run_definition.task_role)
        Alarms(self, deployment, database, events, services, front)

        outputs = {
            "LandingBucket": stores.landing.bucket_name,
            "LakeBucket": stores.lake.bucket_name,
            "OpsBucket": stores.ops.bucket_name,
            "Cluster": services.cluster.cluster_name,
            "RunTaskDefinition": services.run_definition.task_definition_arn,
            "WorkGroup": deployment.stack_name,
            "ReadersPolicy": query.readers.managed_policy_arn,
            "DatabaseLogin": database.login.secret_arn,
            "Image": deployment.image,
            **({"QueueUrl": events.queue.queue_url} if events else {}),
            **({"BalancerName": front.balancer.load_balancer_dns_name} if front else {}),
            **({"Ui": f"https://{deployment.front.domain}"} if deployment.front else {}),
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
