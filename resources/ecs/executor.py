"""How the steps of a run in ECS are executed: all in the run's own task, or each in a task of its own."""

# No postponed annotations here: Dagster reads those of the functions below.

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.base import Executor
from dagster._core.executor.in_process import InProcessExecutor
from dagster._core.executor.init import InitExecutorContext

from resources.ecs.sizes import FARGATE, FARGATE_SPOT


@dg.executor(
    name="in_tasks",
    config_schema={
        "task_per_step": dg.Field(bool, default_value=False, description="Give each step a task of ECS of its own."),
        "cpu": dg.Field(int, is_required=False, description="CPU units of a step's task; 1024 are a vCPU."),
        "memory": dg.Field(int, is_required=False, description="Memory of a step's task, MiB."),
        "ephemeral_storage": dg.Field(int, is_required=False, description="Disk of a step's task, GiB."),
        "capacity_provider": dg.Field(str, default_value=FARGATE, description="Where the tasks of steps run."),
        "max_concurrent": dg.Field(int, default_value=4, description="Tasks of steps at once, of one run."),
    },
    requirements=multiple_process_executor_requirements(),
)
def task_executor(context: InitExecutorContext) -> Executor:
    """The executor of all jobs where runs are tasks of ECS; see `sensors.task_sizes` for who asks for a task per step."""
    config: Mapping[str, Any] = context.executor_config
    if not config["task_per_step"]:
        return InProcessExecutor(retries=RetryMode.ENABLED)
    from dagster._core.executor.step_delegating import StepDelegatingExecutor
    from dagster_aws.ecs.executor import EcsStepHandler

    from resources.ecs.launcher import BatchTaskLauncher

    launcher: Any = context.instance.run_launcher
    if not isinstance(launcher, BatchTaskLauncher):
        raise dg.DagsterInvariantViolationError(
            f"task_per_step needs runs that are tasks of ECS; this instance starts them by {type(launcher).__name__}. Leave it "
            "out of the run's configuration."
        )
    # What is interrupted is a step, which nobody resumes: so never on Spot.
    provider = FARGATE if config["capacity_provider"] == FARGATE_SPOT else config["capacity_provider"]
    handler = EcsStepHandler(
        run_launcher=launcher,
        run_task_kwargs={"capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}]},
        cpu=config.get("cpu"),
        memory=config.get("memory"),
        ephemeral_storage=config.get("ephemeral_storage"),
        task_overrides=None,
    )
    return StepDelegatingExecutor(
        handler, retries=RetryMode.ENABLED, max_concurrent=config["max_concurrent"], should_verify_step=True
    )
