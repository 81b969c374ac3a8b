"""HTTPS with sign-in before the webserver and its read-only twin; the rates API beside them."""

from __future__ import annotations

from aws_cdk import Duration, SecretValue
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as route53_targets
from constructs import Construct

from deploy import roles
from deploy.aws import deployment as told
from deploy.aws.deployment import Deployment
from deploy.aws.network import Network
from deploy.aws.services import Services
from deploy.aws.stores import Stores

_HTTPS = 443
HOSTS = {"webserver": "", "webserver-read-only": "view.", "rates-api": "api."}
"""What stands before the domain."""
_SESSION = Duration.hours(9)


class FrontDoor(Construct):
    """Only networks that were named reach it, only over TLS; the UI then asks the identity provider who is there.

    The rates API is for programs, which cannot sign in: named networks alone reach it, and posting asks for its token.
    """

    def __init__(
        self, scope: Construct, deployment: Deployment, network: Network, stores: Stores, services: Services
    ) -> None:
        super().__init__(scope, "FrontDoor")
        front = deployment.front
        assert front is not None
        group = network.group("load balancer")
        for cidr in front.allow:
            group.add_ingress_rule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(_HTTPS), "allowed network")
        self.balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=network.vpc,
            internet_facing=not front.is_internal,
            vpc_subnets=network.task_subnets
            if front.is_internal
            else ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            security_group=group,
            deletion_protection=deployment.profile.is_protected,
            drop_invalid_header_fields=True,
            # The UI holds a connection open for what is new.
            idle_timeout=Duration.seconds(120),
        )
        self.balancer.log_access_logs(stores.ops, prefix="balancer")
        listener = self.balancer.add_listener(
            "Https",
            port=_HTTPS,
            protocol=elb.ApplicationProtocol.HTTPS,
            certificates=[acm.Certificate.from_certificate_arn(self, "Certificate", front.certificate)],
            ssl_policy=elb.SslPolicy.RECOMMENDED_TLS,
            open=False,
            default_action=elb.ListenerAction.fixed_response(404, content_type="text/plain", message_body="not here"),
        )
        self.groups: dict[str, elb.ApplicationTargetGroup] = {}
        for priority, (role, before) in enumerate(HOSTS.items(), 1):
            if role not in services.services:
                continue
            target = self._target(role, network, services)
            host = f"{before}{front.domain}"
            conditions = [elb.ListenerCondition.host_headers([host])]
            action = elb.ListenerAction.forward([target])
            if role == "rates-api":
                conditions.append(elb.ListenerCondition.source_ips(list(front.allow)))
            else:
                action = _signed_in(front.oidc, action)
            listener.add_action(f"{role}Rule", priority=priority, conditions=conditions, action=action)
            # A service is steady only once a load balancer finds it so: the rule comes first.
            services.services[role].node.add_dependency(listener)
            if front.hosted_zone_id:
                self._record(role, host, front)

    def _target(self, role: str, network: Network, services: Services) -> elb.ApplicationTargetGroup:
        data = roles.ROLES[role]
        assert data.port is not None
        target = elb.ApplicationTargetGroup(
            self,
            f"{role.title().replace('-', '')}Target",
            vpc=network.vpc,
            port=data.port,
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.IP,
            targets=[services.services[role].load_balancer_target(container_name=role, container_port=data.port)],
            health_check=elb.HealthCheck(
                path=data.ready_path,
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
            ),
            deregistration_delay=Duration.seconds(20),
        )
        self.groups[role] = target
        return target

    def _record(self, role: str, host: str, front: told.Front) -> None:
        zone = route53.HostedZone.from_hosted_zone_attributes(
            self, f"{role}Zone", hosted_zone_id=front.hosted_zone_id or "", zone_name=front.domain
        )
        route53.ARecord(
            self,
            f"{role}Record",
            zone=zone,
            record_name=f"{host}.",
            target=route53.RecordTarget.from_alias(route53_targets.LoadBalancerTarget(self.balancer)),
        )


def _signed_in(oidc: told.Oidc, then: elb.ListenerAction) -> elb.ListenerAction:
    return elb.ListenerAction.authenticate_oidc(
        issuer=oidc.issuer,
        authorization_endpoint=oidc.authorization,
        token_endpoint=oidc.token,
        user_info_endpoint=oidc.user_info,
        client_id=oidc.client_id,
        # A reference: CloudFormation reads it, the template does not have it.
        client_secret=SecretValue.secrets_manager(oidc.secret),
        session_timeout=_SESSION,
        scope="openid email",
        next=then,
    )
