"""The toy source as a code location, for runs in processes of their own. Settings come from the environment."""

from pipeline_assets.definitions import Overrides, build_defs
from tests.toy_source import TOY

defs = build_defs(Overrides(sources=(TOY,)))
