"""What declaring the source loads: none of the libraries that grid, draw or write rasters, which take seconds."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "numba",
    "llvmlite",
    "rasterio",
    "pyogrio",
    "shapely",
    "h5py",
    "matplotlib",
    "PIL",
    "laspy",
    "GSFU",
    "rio_cogeo",
}


def test_the_source_is_declared_without_the_libraries_of_its_products() -> None:
    code = "import sys, pipeline_assets.bathymetry.source as s; print(len(s.BATHYMETRY.products), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    products, *modules = done.stdout.split()
    assert int(products) > 0
    assert HEAVY & {name.partition(".")[0] for name in modules} == set()
