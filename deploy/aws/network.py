"""Where everything stands: subnets, and who may talk to whom."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from deploy.aws.cdk_helpers import log_days, waive
from deploy.aws.profiles import Profile
from deploy.roles import ROLES

_CIDR = "10.60.0.0/16"
_HTTPS = 443


class Network(Construct):
    """A network of its own. Without NAT gateways tasks have public addresses, which is how they reach AWS, Slack and the
    image at $3.65 a month each instead of $33 a gateway; no security group lets anything in from outside either way."""

    def __init__(self, scope: Construct, profile: Profile) -> None:
        super().__init__(scope, "Network")
        has_nat = profile.nat_gateways > 0
        layers = [
            ec2.SubnetConfiguration(
                name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=22, map_public_ip_on_launch=False
            ),
            ec2.SubnetConfiguration(name="data", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
        ]
        if has_nat:
            layers.append(
                ec2.SubnetConfiguration(name="tasks", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=20)
            )
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(_CIDR),
            max_azs=profile.zones,
            nat_gateways=profile.nat_gateways,
            subnet_configuration=layers,
            # Free, and nearly all bytes go this way.
            gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
        )
        self.has_public_addresses = not has_nat
        self.task_subnets = ec2.SubnetSelection(
            subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS if has_nat else ec2.SubnetType.PUBLIC
        )
        self.data_subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        self.groups = {role: self.group(role) for role in ROLES}
        for asker in ("webserver", "webserver-read-only", "daemon"):
            port = ec2.Port.tcp(ROLES["code"].port or 0)
            self.groups["code"].connections.allow_from(self.groups[asker], port, "definitions")
        if profile.has_flow_logs:
            self._log_flows(profile)

    def group(self, name: str) -> ec2.SecurityGroup:
        """A security group that lets nothing in, and out only HTTPS until more is allowed."""
        group = ec2.SecurityGroup(
            self, f"{name.title().replace('-', '')}Group", vpc=self.vpc, description=f"Strandline {name}",
            allow_all_outbound=False,
        )  # fmt: skip
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(_HTTPS), "AWS, Slack")
        return group

    def _log_flows(self, profile: Profile) -> None:
        group = logs.LogGroup(self, "Flows", retention=log_days(profile.log_days))
        waive(group, CKV_AWS_158="Addresses and byte counts; CloudWatch encrypts them with its own key.")
        role = iam.Role(self, "FlowsRole", assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"))
        ec2.FlowLog(
            self,
            "FlowLog",
            resource_type=ec2.FlowLogResourceType.from_vpc(self.vpc),
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group, role),
            # All of it would cost more than the services; what was refused is what an engineer looks for.
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
