"""The platform as Dagster's own processes load it, with the toy source alone: ``dagster ... -m tests.toy_definitions``."""

import pipeline_assets.definitions  # what a process of Dagster's gets from it besides the definitions
from pipeline_assets.definitions import Overrides, build_defs
from tests.toy_source import TOY

__all__ = ["defs", "pipeline_assets"]

defs = build_defs(Overrides(sources=(TOY,)))
