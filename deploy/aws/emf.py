"""Metrics as log lines: CloudWatch makes a metric of each line in its embedded metric format, so that who writes them needs no
permission but to log, and no call that could fail. Python's own library alone: the CDK app names the metrics too.

The format: "Specification: Embedded metric format", Amazon CloudWatch User Guide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

METRICS_NAMESPACE = "Strandline"
DIMENSION = "namespace"


class Metric(StrEnum):
    """What a deployment says of itself once a minute."""

    HEARTBEAT_AGE = "DaemonHeartbeatAge"
    """seconds since the daemon's oldest part gave a sign"""
    FAILED_RUNS = "FailedRuns"
    """runs that failed since the last line"""
    QUEUED_RUNS = "QueuedRuns"
    RUNNING_RUNS = "RunningRuns"
    """starting, under way, or being cancelled"""
    HELD_BATCHES = "HeldBatches"
    """batches that wait for a person"""


UNITS: Mapping[Metric, str] = {
    Metric.HEARTBEAT_AGE: "Seconds",
    Metric.FAILED_RUNS: "Count",
    Metric.QUEUED_RUNS: "Count",
    Metric.RUNNING_RUNS: "Count",
    Metric.HELD_BATCHES: "Count",
}


def line(namespace: str, values: Mapping[Metric, float], at_seconds: float) -> str:
    """One log line. at_seconds: since 1970."""
    described = {
        "Timestamp": round(at_seconds * 1000),
        "CloudWatchMetrics": [
            {
                "Namespace": METRICS_NAMESPACE,
                "Dimensions": [[DIMENSION]],
                "Metrics": [{"Name": metric.value, "Unit": UNITS[metric]} for metric in values],
            }
        ],
    }
    return json.dumps(
        {"_aws": described, DIMENSION: namespace, **{metric.value: value for metric, value in values.items()}}
    )
