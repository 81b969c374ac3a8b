"""Compiled loops are kept between processes, and do without where nothing can be kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

WORK = """
from pipeline_assets.bathymetry.grid import points
import numpy as np
one = np.ones(1)
assert points.__file__.startswith({place!r}), points.__file__
assert points.bounds_of(one, one, one, one > 0)[4] == 1
hits = sum(points.bounds_of.stats.cache_hits.values()) if hasattr(points.bounds_of.stats, "cache_hits") else -1
print("hits", hits)
"""


def installed(place: Path) -> Path:
    """The package as it lies in a folder in which nothing can be written."""
    for path in ("__init__.py", "landed_file.py", "bathymetry"):
        source, target = ROOT / "pipeline_assets" / path, place / "pipeline_assets" / path
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    # Not by permissions, which do not hold for root.
    (place / "pipeline_assets/bathymetry/grid/__pycache__").write_text("in the way")
    return place


def run(place: Path, home: Path) -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(place=str(place))],
        cwd=place, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_package_that_cannot_be_written_beside_is_kept_in_the_users_cache(tmp_path: Path) -> None:
    place = installed(tmp_path / "installed")
    home = tmp_path / "home"
    home.mkdir()
    assert run(place, home) == "hits 0"
    assert list(home.rglob("*.nbc"))
    assert run(place, home) == "hits 1"


def test_where_nothing_can_be_kept_it_works_all_the_same(tmp_path: Path) -> None:
    place = installed(tmp_path / "installed")
    home = tmp_path / "home"
    home.write_text("no folder")
    assert run(place, home) in ("hits 0", "hits -1")


def test_the_definitions_do_not_load_the_compiler() -> None:
    code = "import sys; import pipeline_assets.bathymetry.grid.engine; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0
