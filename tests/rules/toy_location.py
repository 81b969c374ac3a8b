"""The toy source as a code location, for runs in processes of their own. Settings come from the environment."""

from pipeline_assets import registry
from tests.toy_source import TOY

registry.SOURCES = (TOY,)  # so that settings of the deployment may name it

from pipeline_assets.definitions import Overrides, build_defs  # noqa: E402

defs = build_defs(Overrides(sources=(TOY,)))
