"""How large the ECS task of a run is: a table of sizes by the bytes of its batch. No Dagster, no AWS."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FARGATE, FARGATE_SPOT = "FARGATE", "FARGATE_SPOT"
"""Capacity providers that every cluster may have."""
CAPACITY_TAG = "strandline/capacity_provider"
"""Of a Dagster run: where its task is to run."""
_SHIPPED = Path(__file__).with_name("run_sizes.json")
_MIB = 1 << 20

FARGATE_MEMORY_MB: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {
        256: (512, 1024, 2048),
        512: tuple(range(1024, 4096 + 1, 1024)),
        1024: tuple(range(2048, 8192 + 1, 1024)),
        2048: tuple(range(4096, 16_384 + 1, 1024)),
        4096: tuple(range(8192, 30_720 + 1, 1024)),
        8192: tuple(range(16_384, 61_440 + 1, 4096)),
        16_384: tuple(range(32_768, 122_880 + 1, 8192)),
    }
)
"""Memory (MiB) that Fargate gives with so many CPU units (1024 a vCPU): Amazon ECS Developer Guide, "Task CPU and memory"."""


class RunSize(BaseModel):
    """One row of the table: batches up to so many MiB get a task of this size.

    storage_gb: the task's own disk, GiB, 21 to 200 on Fargate ("Task ephemeral storage"); 0 leaves it as it is.
    on: `spot` and `on-demand` are Fargate, `ec2` is machines of one's own, whose disk is theirs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    up_to_mb: Annotated[int, Field(ge=1)] | None
    cpu: Annotated[int, Field(ge=128)]
    memory_mb: Annotated[int, Field(ge=512)]
    storage_gb: Annotated[int, Field(ge=0)] = 0
    on: Literal["spot", "on-demand", "ec2"] = "on-demand"

    @model_validator(mode="after")
    def _is_offered(self) -> RunSize:
        if self.on == "ec2":
            if self.storage_gb:
                raise ValueError("storage_gb is of Fargate; a machine on EC2 has its own disk: leave it out")
            return self
        if self.memory_mb not in FARGATE_MEMORY_MB.get(self.cpu, ()):
            some = FARGATE_MEMORY_MB.get(self.cpu)
            can = f"from {some[0]} to {some[-1]} in steps of {some[1] - some[0]}" if some else "no memory"
            raise ValueError(
                f"Fargate gives {can} MiB with cpu {self.cpu}, not {self.memory_mb}; cpu is one of "
                f"{', '.join(map(str, FARGATE_MEMORY_MB))}"
            )
        if self.storage_gb and not 21 <= self.storage_gb <= 200:
            raise ValueError(f"Fargate gives 21 to 200 GiB of disk, not {self.storage_gb}; 0 leaves it at its 20")
        return self


def check_sizes(table: Sequence[RunSize]) -> None:
    """Raise ValueError unless the table grows from row to row and ends with a row for everything."""
    limits = [row.up_to_mb for row in table]
    bounded = [limit for limit in limits[:-1] if limit is not None]
    if not limits or limits[-1] is not None or len(bounded) < len(limits) - 1 or bounded != sorted(set(bounded)):
        raise ValueError(
            "expected rows by growing up_to_mb, the last one with null: it takes what is larger. "
            f"These are {', '.join(str(limit) for limit in limits) or 'none'}"
        )
    if all(row.on == "ec2" for row in table):
        raise ValueError("expected at least one row on Fargate: it is what a deployment without machines has")


def shipped_sizes() -> tuple[RunSize, ...]:
    """The table that comes with the platform."""
    return tuple(RunSize.model_validate(row) for row in json.loads(_SHIPPED.read_text(encoding="utf-8")))


def size_for(table: Sequence[RunSize], size_bytes: int, *, has_ec2: bool) -> RunSize:
    """The row for a batch of so many bytes. Without machines, the largest of Fargate for all that is beyond."""
    usable = [row for row in table if has_ec2 or row.on != "ec2"]
    for row in usable:
        if row.up_to_mb is None or size_bytes <= row.up_to_mb * _MIB:
            return row
    return usable[-1]


def size_tags(size: RunSize, *, attempt: int, ec2_provider: str | None) -> dict[str, str]:
    """Tags of a Dagster run that make its task so large.

    attempt: counted from 1. Only the first is on Spot: who was interrupted once is not to be interrupted again.
    """
    tags = {"ecs/cpu": str(size.cpu), "ecs/memory": str(size.memory_mb)}
    if size.storage_gb:
        tags["ecs/ephemeral_storage"] = str(size.storage_gb)
    if size.on == "ec2" and ec2_provider:
        tags[CAPACITY_TAG] = ec2_provider
    else:
        tags[CAPACITY_TAG] = FARGATE_SPOT if size.on == "spot" and attempt == 1 else FARGATE
    return tags
