"""The settings of a deployment on AWS. They are settings like all others: `resources.settings` has them in it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from resources.ecs.sizes import FARGATE, FARGATE_SPOT, RunSize, check_sizes, shipped_sizes
from resources.landing.address import S3Address


class AwsSettings(BaseSettings):
    """What a deployment on one machine leaves as it is."""

    runs_on: Annotated[
        Literal["machine", "ecs"],
        Field(description="Where runs are: processes of this machine, or tasks of Amazon ECS sized by their batch."),
    ] = "machine"
    run_sizes: Annotated[
        tuple[RunSize, ...],
        NoDecode,
        Field(
            description="Sizes of ECS tasks by the bytes of their batch, as JSON; default the table that is shipped."
        ),
    ] = shipped_sizes()
    ec2_provider: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_-]{1,255}$",
            description="ECS capacity provider with machines for batches beyond Fargate's sizes; without it these get the "
            "largest of Fargate.",
        ),
    ] = None
    task_per_step: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(description="Sources, with commas between them, each step of whose batches gets an ECS task of its own."),
    ] = ()
    lake: Annotated[
        S3Address | None,
        NoDecode,
        Field(
            description="s3://bucket[/prefix] of the tables, which are then in AWS Glue; default the folder <home>/lake."
        ),
    ] = None
    sql_engine: Annotated[
        Literal["duckdb", "athena"], Field(description="What `strandline sql` asks: DuckDB here, or Amazon Athena.")
    ] = "duckdb"
    athena_workgroup: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$", description="Athena's workgroup: it says where results go.")
    ] = "primary"
    athena_seconds: Annotated[
        float, Field(gt=0, le=1800, description="Longest that a query in Athena may take; then it is stopped.")
    ] = 300.0

    @field_validator("run_sizes", mode="before")
    @classmethod
    def _rows(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            example = '[{"up_to_mb": null, "cpu": 2048, "memory_mb": 8192, "on": "spot"}]'
            raise ValueError(f"expected JSON such as {example} ({error})") from None

    @field_validator("task_per_step", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("run_sizes")
    @classmethod
    def _growing(cls, value: tuple[RunSize, ...]) -> tuple[RunSize, ...]:
        check_sizes(value)
        return value

    @field_validator("ec2_provider")
    @classmethod
    def _of_machines(cls, value: str | None) -> str | None:
        if value in {FARGATE, FARGATE_SPOT}:
            raise ValueError("expected a capacity provider with machines; Fargate needs no setting")
        return value

    @field_validator("lake", mode="before")
    @classmethod
    def _in_a_bucket(cls, value: Any) -> Any:
        return S3Address.parse(value) if isinstance(value, str) else value

    @field_validator("sql_engine")
    @classmethod
    def _sees_the_tables(cls, value: str, info: ValidationInfo) -> str:
        if value == "athena" and "lake" in info.data and info.data["lake"] is None:
            raise ValueError("Athena reads tables in a bucket; set STRANDLINE_LAKE to s3://BUCKET/PREFIX")
        return value
