"""How large the ECS tasks of a batch's run are to be."""

from __future__ import annotations

from typing import Any

from resources.ecs.sizes import CAPACITY_TAG, RunSize, size_for, size_tags
from resources.ledger.batches import Batch
from resources.settings import Settings


def task_tags(settings: Settings, batch: Batch) -> dict[str, str]:
    """Tags of the run that is to be the batch's next attempt, by its bytes; none where runs are not tasks of ECS."""
    if settings.runs_on != "ecs":
        return {}
    if batch.source in settings.task_per_step:
        # Its own task only starts others and waits for them.
        return _tags(settings, batch, settings.run_sizes[0])
    return _tags(settings, batch, _size(settings, batch))


def step_config(settings: Settings, batch: Batch) -> dict[str, Any]:
    """Configuration of that run: what `resources.ecs.executor` reads, for sources whose steps get a task each."""
    if settings.runs_on != "ecs" or batch.source not in settings.task_per_step:
        return {}
    tags = _tags(settings, batch, _size(settings, batch))
    sizes = {name: int(tags[f"ecs/{name}"]) for name in ("cpu", "memory", "ephemeral_storage") if f"ecs/{name}" in tags}
    return {"execution": {"config": {"task_per_step": True, "capacity_provider": tags[CAPACITY_TAG], **sizes}}}


def _size(settings: Settings, batch: Batch) -> RunSize:
    return size_for(settings.run_sizes, batch.size_bytes, has_ec2=settings.ec2_provider is not None)


def _tags(settings: Settings, batch: Batch, size: RunSize) -> dict[str, str]:
    return size_tags(size, attempt=batch.attempt + 1, ec2_provider=settings.ec2_provider)
