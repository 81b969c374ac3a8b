"""What a deployment costs a month, computed from its template and `prices.json`: `python -m deploy.aws.costs small`.

Every kind of resource in a template has a price here or is known to be free of charge by itself; an unknown one is an error, so that
no resource is added without somebody asking what it costs.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.aws.app import synth
from deploy.aws.examples import example
from deploy.aws.profiles import PROFILES

Template = Mapping[str, Any]
_PRICES = Path(__file__).with_name("prices.json")


class NoPrice(Exception):
    """A kind of resource that nobody has put a price to."""


@dataclass(frozen=True)
class Line:
    """One line of the table. month: USD."""

    what: str
    how: str
    month: float


class Prices:
    """The price file."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.usage: Mapping[str, Any] = data["usage"]
        self.original: Mapping[str, Any] = data["original"]
        self.region: str = data["region"]
        self.hours: float = data["hours_a_month"]
        self._prices: Mapping[str, Any] = data["prices"]

    @classmethod
    def load(cls) -> Prices:
        return cls(json.loads(_PRICES.read_text(encoding="utf-8")))

    def __getitem__(self, name: str) -> float:
        """Raises NoPrice."""
        if name not in self._prices:
            raise NoPrice(f"{_PRICES.name} has no price {name!r}: add it with its source")
        return float(self._prices[name]["usd"])

    def by_the_hour(self, name: str) -> float:
        """A month of something that is there all the time."""
        return self[name] * self.hours


FREE = frozenset(
    {
        "AWS::Athena::WorkGroup", "AWS::AutoScaling::AutoScalingGroup", "AWS::Chatbot::SlackChannelConfiguration",
        "AWS::EC2::FlowLog", "AWS::EC2::InternetGateway", "AWS::EC2::LaunchTemplate", "AWS::EC2::Route",
        "AWS::EC2::RouteTable", "AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::Subnet", "AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::VPC", "AWS::EC2::VPCEndpoint",
        "AWS::EC2::VPCGatewayAttachment", "AWS::ECS::CapacityProvider", "AWS::ECS::Cluster",
        "AWS::ECS::ClusterCapacityProviderAssociations", "AWS::ECS::TaskDefinition", "AWS::EFS::AccessPoint",
        "AWS::EFS::MountTarget", "AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule",
        "AWS::ElasticLoadBalancingV2::TargetGroup", "AWS::Events::Rule", "AWS::Glue::Database", "AWS::IAM::InstanceProfile",
        "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::Role", "AWS::Logs::LogGroup", "AWS::RDS::DBParameterGroup",
        "AWS::RDS::DBSubnetGroup", "AWS::Route53::RecordSet", "AWS::S3::BucketPolicy",
        "AWS::SecretsManager::SecretTargetAttachment", "AWS::ServiceDiscovery::Service", "AWS::SNS::Subscription",
        "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy",
    }
)  # fmt: skip
"""By themselves, or by what goes through them: that is the usage. Gateway endpoints only; machines of an empty group."""


def _services(resources: Template, prices: Prices) -> Iterator[Line]:
    for service in _of(resources, "AWS::ECS::Service"):
        task = resources[service["TaskDefinition"]["Ref"]]["Properties"]
        vcpu, gb = int(task["Cpu"]) / 1024, int(task["Memory"]) / 1024
        count = int(service["DesiredCount"])
        month = count * (vcpu * prices.by_the_hour("fargate_vcpu_hour") + gb * prices.by_the_hour("fargate_gb_hour"))
        yield Line(f"service {service['ServiceName']}", f"{count} × {vcpu:g} vCPU, {gb:g} GB", month)
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        if network.get("AssignPublicIp") == "ENABLED":
            yield Line(
                "public addresses of services", f"{count} × IPv4", count * prices.by_the_hour("public_ipv4_hour")
            )


def _balancers(resources: Template, prices: Prices) -> Iterator[Line]:
    for balancer in _of(resources, "AWS::ElasticLoadBalancingV2::LoadBalancer"):
        units = prices.usage["load_balancer_units"]
        month = prices.by_the_hour("alb_hour") + units * prices.by_the_hour("alb_lcu_hour")
        yield Line("load balancer", f"1, {units:g} capacity units", month)
        if balancer["Scheme"] == "internet-facing":
            zones = len(balancer["Subnets"])
            yield Line(
                "public addresses of the load balancer",
                f"{zones} × IPv4",
                zones * prices.by_the_hour("public_ipv4_hour"),
            )


def _gateways(resources: Template, prices: Prices) -> Iterator[Line]:
    count = len(list(_of(resources, "AWS::EC2::NatGateway")))
    if count:
        gb = prices.usage["nat_gb"]
        month = count * prices.by_the_hour("nat_gateway_hour") + gb * prices["nat_gateway_gb"]
        yield Line("NAT gateways", f"{count}, {gb:g} GB through them", month)
    addresses = len(list(_of(resources, "AWS::EC2::EIP")))
    if addresses:
        yield Line(
            "public addresses of gateways", f"{addresses} × IPv4", addresses * prices.by_the_hour("public_ipv4_hour")
        )


def _databases(resources: Template, prices: Prices) -> Iterator[Line]:
    for database in _of(resources, "AWS::RDS::DBInstance"):
        copies = 2 if database.get("MultiAZ") else 1
        class_, gb = database["DBInstanceClass"], int(database["AllocatedStorage"])
        month = copies * (prices.by_the_hour(f"{class_}_hour") + gb * prices["rds_gp3_gb_month"])
        yield Line("database", f"{copies} × {class_}, {gb} GB", month)


def _watching(resources: Template, prices: Prices) -> Iterator[Line]:
    alarms = len(list(_of(resources, "AWS::CloudWatch::Alarm")))
    boards = len(list(_of(resources, "AWS::CloudWatch::Dashboard")))
    metrics = 5
    month = alarms * prices["alarm_month"] + boards * prices["dashboard_month"] + metrics * prices["metric_month"]
    yield Line("alarms, metrics, dashboard", f"{alarms} alarms, {metrics} metrics, {boards} dashboard", month)
    yield Line("logs", f"{prices.usage['log_gb']:g} GB", prices.usage["log_gb"] * prices["log_gb"])
    for cluster in _of(resources, "AWS::ECS::Cluster"):
        if any(setting["Value"] == "enabled" for setting in cluster.get("ClusterSettings", [])):
            tasks = sum(int(service["DesiredCount"]) for service in _of(resources, "AWS::ECS::Service"))
            yield Line("Container Insights", f"{tasks} tasks", tasks * prices["container_insights_task_month"])


def _small_things(resources: Template, prices: Prices) -> Iterator[Line]:
    secrets = len(list(_of(resources, "AWS::SecretsManager::Secret")))
    yield Line("secrets", f"{secrets}", secrets * prices["secret_month"])
    zones = len(list(_of(resources, "AWS::ServiceDiscovery::PrivateDnsNamespace")))
    yield Line("private DNS", f"{zones} zone", zones * prices["dns_zone_month"])


def _stored(resources: Template, prices: Prices) -> Iterator[Line]:
    usage = prices.usage
    landed, lake = usage["landed_gb"], usage["lake_gb"]
    if any(name.startswith("StoresLanding") for name in resources):
        month = landed * prices["s3_infrequent_tier_gb_month"]
        yield Line("landing store", f"{landed:g} GB, not read for a month", month)
    yield Line("lake", f"{lake:g} GB", lake * prices["s3_standard_gb_month"])
    yield Line("products", f"{usage['products_gb']:g} GB", usage["products_gb"] * prices["efs_gb_month"])
    yield Line("images", f"{usage['image_gb']:g} GB", usage["image_gb"] * prices["ecr_gb_month"])


def _used(resources: Template, prices: Prices) -> Iterator[Line]:
    usage = prices.usage
    task = next(one for one in _of(resources, "AWS::ECS::TaskDefinition") if one["Family"].endswith("-run"))
    vcpu, gb = int(task["Cpu"]) / 1024, int(task["Memory"]) / 1024
    month = prices["fargate_spot_share"] * _run(prices, usage["files"], usage["run_minutes"], vcpu, gb)
    yield Line(
        "runs of batches, on Spot",
        f"at most {usage['files']}, {vcpu:g} vCPU, {gb:g} GB, {usage['run_minutes']:g} min",
        month,
    )
    for own in usage["own_runs"]:
        month = _run(prices, own["count"], own["minutes"], own["vcpu"], own["gb"])
        how = f"{own['count']} × {own['minutes']:g} min, {own['vcpu']:g} vCPU, {own['gb']:g} GB"
        yield Line(f"own runs: {own['what']}", how, month)
    yield Line("Athena", f"{usage['scanned_gb']:g} GB scanned", usage["scanned_gb"] / 1024 * prices["athena_tb"])
    files = usage["files"]
    # The queue is asked every five seconds or so by each of six sensors.
    asked = 6 * prices.hours * 3600 / 5
    month = files / 1e6 * prices["eventbridge_million"] + asked / 1e6 * prices["sqs_million"]
    yield Line("notifications", f"{files} events, {asked / 1e6:.1f} million questions to the queue", month)
    listings = 6 * prices.hours * 4
    month = listings / 1000 * prices["s3_put_1000"] + 100 * files / 1000 * prices["s3_get_1000"]
    yield Line("requests of S3", f"{listings:.0f} listings, reading {files} files", month)


def _run(prices: Prices, count: int, minutes: float, vcpu: float, gb: float) -> float:
    return count * minutes / 60 * (vcpu * prices["fargate_vcpu_hour"] + gb * prices["fargate_gb_hour"])


_PRICED: Mapping[str, Callable[[Template, Prices], Iterator[Line]]] = {
    "AWS::ECS::Service": _services,
    "AWS::RDS::DBInstance": _databases,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _balancers,
    "AWS::EC2::NatGateway": _gateways,
    "AWS::CloudWatch::Alarm": _watching,
    "AWS::SecretsManager::Secret": _small_things,
    "AWS::S3::Bucket": _stored,
    "AWS::ECS::TaskDefinition": _used,
}
_WITH_OTHERS = frozenset(
    {
        "AWS::EC2::EIP",
        "AWS::CloudWatch::Dashboard",
        "AWS::ServiceDiscovery::PrivateDnsNamespace",
        "AWS::EFS::FileSystem",
    }
)
"""Counted by what counts another kind."""


def _of(resources: Template, kind: str) -> Iterator[Mapping[str, Any]]:
    return (one["Properties"] for one in resources.values() if one["Type"] == kind)


def cost_lines(template: Template, prices: Prices) -> list[Line]:
    """The table of one template, the dearest first. Raises NoPrice."""
    resources = template["Resources"]
    kinds = {one["Type"] for one in resources.values()}
    unknown = kinds - FREE - _PRICED.keys() - _WITH_OTHERS
    if unknown:
        raise NoPrice(f"costs.py knows no price of {', '.join(sorted(unknown))}: give each a line, or put it in FREE")
    added: dict[str, Line] = {}
    for kind, price in _PRICED.items():
        for line in price(resources, prices) if kind in kinds else ():
            before = added.get(line.what)
            added[line.what] = (
                Line(line.what, f"{before.how}, {line.how}", before.month + line.month) if before else line
            )
    return sorted(added.values(), key=lambda line: -line.month)


def total(lines: Sequence[Line]) -> float:
    return sum(line.month for line in lines)


def table(profile: str, lines: Sequence[Line], prices: Prices) -> str:
    """As Markdown."""
    rows = [f"| `{profile}`, a month in {prices.region} | | USD |", "|---|---|---:|"]
    rows += [f"| {line.what} | {line.how} | {line.month:.2f} |" for line in lines]
    rows.append(f"| **together** | | **{total(lines):.2f}** |")
    return "\n".join(rows)


def costs_of(profile: str) -> str:
    """The table of a profile's example."""
    with tempfile.TemporaryDirectory() as folder:
        template = json.loads(synth(example(profile), Path(folder)).read_text(encoding="utf-8"))
    prices = Prices.load()
    return table(profile, cost_lines(template, prices), prices)


def main(arguments: Sequence[str]) -> int:
    wanted = list(arguments) or list(PROFILES)
    unknown = [one for one in wanted if one not in PROFILES]
    if unknown:
        print(f"There is no profile {', '.join(unknown)}. Profiles: {', '.join(PROFILES)}.", file=sys.stderr)
        return 2
    for profile in wanted:
        print(costs_of(profile), end="\n\n")
    original = Prices.load().original
    print(f"The serverless original ({original['what']}): {original['month']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
