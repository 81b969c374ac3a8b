"""The soak's code location: the whole platform with the toy sources that SOAK_SOURCES names, else all five."""

import os

import pipeline_assets.definitions  # what a process of Dagster's gets from it besides the definitions
from bench.soak.sources import SOAKED
from pipeline_assets.definitions import Overrides, build_defs

__all__ = ["defs", "pipeline_assets"]

_names = os.environ.get("SOAK_SOURCES", "").split()

defs = build_defs(Overrides(sources=tuple(one for one in SOAKED if not _names or one.name in _names)))
