"""Damaged BAGs and GeoTIFFs, read in a process of their own: what a library in C breaks must not break other tests."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.bathymetry.fuzz_surfaces import run

OF_ALL = {
    "surface", "unknown_type", "empty_file", "empty_surface", "wrong_sign", "impossible_depth", "wrong_zone", "wrong_hemisphere",
    "swapped_axes", "bad_position", "bad_crs",
}  # fmt: skip
MAY = {
    "bag": OF_ALL | {"not_bag", "damaged_bag", "unsafe_bag", "bag_too_large", "bag_metadata", "bag_structure"},
    "geotiff": OF_ALL | {"not_geotiff", "damaged_geotiff", "geotiff_too_large", "geotiff_grid", "geotiff_bands"},
}
MUST = {"bag": {"surface", "damaged_bag"}, "geotiff": {"surface", "damaged_geotiff"}}


@pytest.mark.parametrize("kind", MAY)
def test_no_damage_gets_past_refused(kind: str) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        outcomes, growth_kb = process.submit(run, kind, 100, 2026).result()
    assert set(outcomes) <= MAY[kind], outcomes
    assert MUST[kind] <= set(outcomes), outcomes
    assert growth_kb < 300_000
