"""What a survey's surface is held against: the golden one that is named or lies in a folder, and other engines' of the survey."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.landed_rows import FromRows
from pipeline_assets.bathymetry.products.bag import write_bag
from pipeline_assets.bathymetry.products.compared import compared
from pipeline_assets.bathymetry.products.geotiff import write_cog
from pipeline_assets.bathymetry.products.landed_folder import write_told
from pipeline_assets.bathymetry.products.stored import save_surface
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.product import Making
from tests.bathymetry.surfaces import PROVENANCE, hills


def deeper(by: float) -> Surface:
    made = hills()
    return replace(made, depth=made.depth + np.float32(by))


def landed(folder: Path, golden: str | None = None, **surfaces: Surface) -> Path:
    """The folder of the product `landed_surface` with these surfaces, each of the file of its name."""
    told = []
    for name, one in surfaces.items():
        (folder / name).mkdir(parents=True)
        save_surface(one, replace(PROVENANCE, engine="landed BAG"), folder / name)
        files = {f"bathymetry/S1/{name}.bag": "ab" * 32}
        told.append((FromRows(f"{name}.bag", one, "1a", files, (), (), golden), name))
    write_told(folder, told)
    return folder


def judge(
    folder: Path, golden: str | None = None, config: BathymetryConfig | None = None, **products: Path
) -> dict[str, Judged]:
    rows = {"lines": pa.table({"golden": pa.array([golden], pa.string())})}
    making = Making(rows, folder, config or BathymetryConfig(), "S1", products)
    return {one.name: one for one in compared(making, hills(), PROVENANCE)}


def test_with_nothing_to_compare_nothing_is_judged(tmp_path: Path) -> None:
    assert judge(tmp_path) == {}
    assert judge(tmp_path, config=BathymetryConfig(goldens=tmp_path)) == {}


def test_the_golden_surface_that_is_named_is_no_other_engine_s(tmp_path: Path) -> None:
    folder = landed(tmp_path / "landed", "known.bag", known=hills(), other=deeper(5.0))
    found = judge(tmp_path, "known.bag", landed_surface=folder)
    assert (found["regression"].passed, found["regression"].metadata["other surface"]) == (True, "known.bag")
    assert (found["engines"].passed, found["engines"].message.partition(":")[0]) == (False, "other.bag")
    assert found["engines"].failing is not None
    assert found["engines"].failing.sum() == np.isfinite(hills().depth).sum()


def test_a_golden_surface_that_is_named_and_not_there_is_told(tmp_path: Path) -> None:
    for products in ({}, {"landed_surface": landed(tmp_path / "landed", "known.bag", other=hills())}):
        found = judge(tmp_path, "known.bag", **products)["regression"]
        assert not found.passed
        assert "names 'known.bag' as the golden surface, and none such was read" in found.not_judged


@pytest.mark.parametrize("kind", ["bag", "tif"])
def test_a_golden_surface_may_lie_in_a_folder(kind: str, tmp_path: Path) -> None:
    config = BathymetryConfig(goldens=tmp_path)
    path = tmp_path / f"S1.{kind}"
    for by, passes in ((0.0, True), (5.0, False)):
        (write_bag if kind == "bag" else write_cog)(deeper(by), PROVENANCE, path)
        assert judge(tmp_path, config=config)["regression"].passed is passes
    path.write_bytes(b"nothing of the kind")
    found = judge(tmp_path, config=config)["regression"]
    assert f"the golden surface S1.{kind} cannot be read" in found.not_judged


def test_the_surface_of_another_engine_among_the_products_is_compared_and_that_of_the_same_is_not(
    tmp_path: Path,
) -> None:
    for name, engine, by in (("preliminary_surface", PROVENANCE.engine, 5.0), ("of_caris", "CARIS", 0.0)):
        (tmp_path / name).mkdir()
        save_surface(deeper(by), replace(PROVENANCE, engine=engine), tmp_path / name)
    products = {name: tmp_path / name for name in ("preliminary_surface", "of_caris")}
    found = judge(tmp_path, **products)
    assert (found["engines"].passed, found["engines"].metadata["other surface"]) == (True, "of_caris (CARIS)")
    folder = landed(tmp_path / "landed", coarse=hills(cell=2.0), far=deeper(5.0))
    worst = judge(tmp_path, landed_surface=folder, **products)["engines"]
    assert worst.not_judged.startswith("coarse.bag: their cells are of 1 m and 2 m"), (
        "what cannot be compared comes first"
    )
