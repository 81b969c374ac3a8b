"""How large and how safe a deployment is, as data: `prod`, `small`, `dev`. What differs between them stands here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

SOURCES = ("ecg", "ocean", "health", "places", "rates", "bathymetry")
"""The sources of the platform, whose tables are a Glue database each. A test holds this against the registry; the CDK app
runs where the platform is not installed."""


@dataclass(frozen=True)
class Size:
    """Of a task on Fargate. cpu: 1/1024 of a vCPU. memory: MiB. Fargate takes only certain pairs, which a test checks."""

    cpu: int
    memory: int


@dataclass(frozen=True)
class Database:
    """An RDS instance of PostgreSQL. gb: of disk, which grows by itself up to four times that."""

    instance: str
    gb: int
    is_multi_az: bool
    backup_days: int


_ALARMS = {
    "queue_age_seconds": 900,
    "heartbeat_seconds": 300,
    "failed_runs": 3,
    "database_cpu_percent": 85,
    "database_free_gb": 3,
    "database_connections": 60,
}
"""Our own: a notification is taken within seconds, Dagster calls a daemon dead after 300 s without a sign (its own
default tolerance), three failed runs in a quarter of an hour are no accident."""


@dataclass(frozen=True)
class Profile:
    """One kind of deployment."""

    name: str
    zones: int
    """availability zones"""
    nat_gateways: int
    """0: tasks stand in public subnets with addresses of their own, and nothing from outside reaches them"""
    front: Literal["alb", "tunnel"]
    """alb: HTTPS with sign-in. tunnel: no load balancer; people come through Session Manager"""
    webservers: int
    read_only_twins: int
    rates_apis: int
    sizes: Mapping[str, Size]
    database: Database
    is_protected: bool
    """data outlive the stack, and the database and the load balancer refuse to be deleted"""
    log_days: int
    lake_undo_days: int
    """how long what was deleted from the lake can be brought back, and so how long a forgotten file's rows are still there"""
    max_runs: int
    large_runs: int
    """most EC2 instances for runs beyond Fargate's sizes; none is there while no such run is. They need NAT gateways: ECS gives
    tasks on EC2 no public address. Without, the largest of Fargate has to do"""
    has_flow_logs: bool
    has_container_insights: bool
    alarms: Mapping[str, float] = field(default_factory=lambda: MappingProxyType(_ALARMS))


_SERVICES = {
    "webserver": Size(256, 1024),
    "webserver-read-only": Size(256, 1024),
    "daemon": Size(256, 1024),
    "code": Size(512, 2048),
    "rates-api": Size(256, 512),
    "run": Size(1024, 4096),
}

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            Profile(
                name="prod",
                zones=2,
                nat_gateways=2,
                front="alb",
                webservers=2,
                read_only_twins=1,
                rates_apis=2,
                sizes=MappingProxyType(
                    {**_SERVICES, "webserver": Size(512, 2048), "daemon": Size(512, 2048), "code": Size(1024, 4096)}
                ),
                database=Database("t4g.large", 100, is_multi_az=True, backup_days=14),
                is_protected=True,
                log_days=90,
                lake_undo_days=30,
                max_runs=20,
                large_runs=4,
                has_flow_logs=True,
                has_container_insights=True,
                alarms=MappingProxyType({**_ALARMS, "database_free_gb": 15, "database_connections": 500}),
            ),
            Profile(
                name="small",
                zones=2,
                nat_gateways=0,
                front="alb",
                webservers=1,
                read_only_twins=0,
                rates_apis=1,
                sizes=MappingProxyType({**_SERVICES, "code": Size(256, 2048)}),
                database=Database("t4g.micro", 20, is_multi_az=False, backup_days=7),
                is_protected=True,
                log_days=30,
                lake_undo_days=7,
                max_runs=4,
                large_runs=0,
                has_flow_logs=False,
                has_container_insights=False,
            ),
            Profile(
                name="dev",
                zones=2,
                nat_gateways=0,
                front="tunnel",
                webservers=1,
                read_only_twins=0,
                rates_apis=0,
                sizes=MappingProxyType({**_SERVICES, "code": Size(256, 2048)}),
                database=Database("t4g.micro", 20, is_multi_az=False, backup_days=0),
                is_protected=False,
                log_days=7,
                lake_undo_days=1,
                max_runs=2,
                large_runs=0,
                has_flow_logs=False,
                has_container_insights=False,
            ),
        )
    }
)
