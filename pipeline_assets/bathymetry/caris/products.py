"""The products of the engine CARIS: an asset for each step of its chain, before the surface that all engines give."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_assets.bathymetry.caris import steps
from pipeline_assets.bathymetry.caris.chain import CHAIN
from pipeline_assets.bathymetry.caris.given import bring
from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.product import Product
from resources.caris_host.config import LICENCE_POOL
from resources.caris_host.host import HostNotReady, WorkFolder

if TYPE_CHECKING:
    from resources.platform import Platform

LINE_COLUMNS = (
    "source_key", "survey", "line", "kind", "sha256", "crs", "vertical_datum", "s44_order", "cell_m", "cells_by_depth", "soundings", "accepted",
    "pings", "time_min", "time_max", "longitude_west", "longitude_east", "latitude_min", "latitude_max",
)  # fmt: skip
_MAKES = {
    "caris_project": steps.make_project,
    "caris_georeferenced": steps.make_georeferenced,
    "caris_preliminary_surface": steps.make_preliminary_surface,
    "caris_filtered": steps.make_filtered,
    "caris_grid": steps.make_grid,
    "caris_surface": steps.make_surface,
}


def _outside(platform: Platform) -> steps.Outside:
    """Nothing is opened before a step asks."""

    def place_of(key: str) -> str:
        return platform.landing.uri(key).removeprefix("file://")

    def bring_here(folder: str | None, name: str, to: Path) -> None:
        bring(folder, name, to, platform.settings.s3_endpoint)

    def open_folder(name: str) -> AbstractContextManager[WorkFolder]:
        host = platform.caris_host
        if host is None:
            raise HostNotReady(
                "the survey's engine is caris, and no host with CARIS is set up. Set STRANDLINE_CARIS_HOST to local:, "
                "ssh://USER@HOST or ssm:INSTANCE-ID (docs/sources/bathymetry-caris.md), or give the survey the engine open."
            )
        return host.open(name)

    def manner() -> steps.Manner:
        settings = platform.caris
        return steps.Manner(settings.program, settings.step_seconds, settings.quiet_seconds)

    return steps.Outside(open_folder, place_of, bring_here, manner)


def _pool(config: BathymetryConfig) -> str | None:
    """The seats of the licence, where surveys have this engine unless they say otherwise.

    A run counts in the pools of all assets that it may make. Where most surveys have the open engine, theirs would wait for seats
    that they do not need; there the host's own leases on seats are all there is.
    """
    return LICENCE_POOL if config.engine == "caris" else None


PRODUCTS = tuple(
    Product(
        step.name,
        step.description,
        of=("lines", "surveys"),
        after=("preliminary_surface", *(earlier.name for earlier in CHAIN.steps[:number])),
        columns={"lines": LINE_COLUMNS},
        make=_MAKES[step.name],
        skip=partial(steps.not_for, step),
        outside=_outside,
        pool=_pool,
        told={"commands": step.template},
        kinds=frozenset({"caris"}),
    )
    for number, step in enumerate(CHAIN.steps)
)
