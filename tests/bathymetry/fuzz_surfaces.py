"""Damaged BAGs and GeoTIFFs: whatever the damage, a surface or `Refused` comes out, and nothing else."""

from __future__ import annotations

import resource
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.judge.bag_structure import bag_structure
from pipeline_assets.bathymetry.judge.checks import judge_surface
from pipeline_assets.bathymetry.judge.cog import cog
from pipeline_assets.bathymetry.judge.profiles import profile_of
from pipeline_assets.bathymetry.products.bag import write_bag
from pipeline_assets.bathymetry.products.geotiff import write_cog, write_triplet
from pipeline_assets.bathymetry.read.surface_file import LandedSurface
from pipeline_assets.bathymetry.source import BATHYMETRY
from pipeline_assets.columns import BATCH_ID, FILE_ID, to_table
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.reading_units import derive, parse
from pipeline_assets.validation import violations
from tests.bathymetry.old_bag import smxml, write_old_bag
from tests.bathymetry.surfaces import PROVENANCE, hills

MAX_CELLS = 1_000_000
CONFIG = BathymetryConfig(max_landed_cells=MAX_CELLS)
NUMBERS = (0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def originals(folder: Path, kind: str) -> list[bytes]:
    small = hills(40, 50)
    if kind == "bag":
        return [
            write_bag(small, PROVENANCE, folder / "a.bag").read_bytes(),
            write_old_bag(small, smxml(small), folder / "b.bag").read_bytes(),
        ]
    return [
        write_triplet(small, PROVENANCE, folder)["Depth"].read_bytes(),
        write_cog(small, PROVENANCE, folder / "c.tif").read_bytes(),
    ]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with one kind of damage; half of it near the beginning, where the directories are."""
    body, size = bytearray(data), len(data)
    at = int(rng.integers(4096 if rng.random() < 0.5 else size))
    at = min(at, size - 8)
    match rng.integers(5):
        case 0:
            for _ in range(rng.integers(1, 4)):
                body[int(rng.integers(size))] ^= 1 << int(rng.integers(8))
        case 1:
            body[at : at + 4] = int(rng.choice(NUMBERS)).to_bytes(4, "little")
        case 2:
            del body[int(rng.integers(size)) :]
        case 3:
            body[at:at] = rng.bytes(int(rng.integers(1, 32)))
        case _:
            body[at : at + 8] = rng.bytes(8)
    return bytes(body)


def run(kind: str, mutants: int, seed: int) -> tuple[Counter[str], int]:
    """What became of so many mutants, and by how many kB the process grew. Raises what a reader should not have raised."""
    rng = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = originals(folder, kind)
        read(_written(folder, files[0]))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(mutants):
            path = _written(folder, mutated(files[int(rng.integers(len(files)))], rng))
            judged = bag_structure(path, MAX_CELLS) if kind == "bag" else cog(path)
            assert judged.message
            try:
                found = read(path).surface
            except Refused as refusal:
                outcomes[refusal.error_class if refusal.message else "refused without a reason"] += 1
                continue
            assert found.depth.shape == (found.grid.rows, found.grid.columns) == found.density.shape
            assert found.depth.dtype == np.float32
            for one in judge_surface(found, profile_of("1a")):
                assert one.message
            outcomes["surface"] += 1
        return outcomes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def read(path: Path) -> LandedSurface:
    """The surface of a file that landed, its rows in order."""
    found = parse(BATHYMETRY, CONFIG, LandedFile.at(path, "bathymetry/fuzz/mutant"))
    assert isinstance(found, LandedSurface)
    rows = derive(BATHYMETRY, CONFIG, found)
    fill = {FILE_ID: "f", BATCH_ID: "b", "source_key": found.key}
    for table in BATHYMETRY.tables[-2:]:
        made = to_table(table.schema, rows[table.name], fill)
        broken = violations(table.schema, made, [made.num_rows], [FILE_ID, BATCH_ID])
        assert not broken, broken
    return found


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "mutant"
    path.write_bytes(data)
    return path
