"""Runs as processes of their own on the image of their code location, as ECS runs them as tasks. Loaded by its folder."""

import os
import subprocess
from typing import Any

from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData


class ProcessLauncher(RunLauncher, ConfigurableClass):
    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> "ProcessLauncher":
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        origin = context.job_code_origin
        assert origin is not None
        command = ExecuteRunArgs(
            job_origin=origin, run_id=context.dagster_run.run_id, instance_ref=self._instance.get_ref()
        ).get_command_args()
        image = str(origin.repository_origin.container_image)
        subprocess.Popen(command, env={**os.environ, "DAGSTER_CURRENT_IMAGE": image}, start_new_session=True)

    def terminate(self, run_id: str) -> bool:
        return False
