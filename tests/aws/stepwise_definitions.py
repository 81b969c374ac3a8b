"""The platform with the toy source, each step of whose batches gets a task of its own."""

from pipeline_assets.definitions import Overrides, build_defs
from resources.platform import Platform
from resources.settings import Settings
from tests.toy_source import TOY

__all__ = ["defs"]

# The variable would be refused: what a process of Dagster's loads first knows no toy.
defs = build_defs(
    Overrides(sources=(TOY,), platform=Platform(Settings.load().model_copy(update={"task_per_step": ("toy",)})))
)
