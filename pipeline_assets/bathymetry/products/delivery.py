"""Everything that is delivered of a survey: its surface judged, every product in a folder, and what was found in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_assets.bathymetry.judge.bag_structure import bag_structure
from pipeline_assets.bathymetry.judge.checks import judge_surface
from pipeline_assets.bathymetry.judge.cog import cog
from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.judge.profiles import Profile
from pipeline_assets.bathymetry.products.bag import write_bag
from pipeline_assets.bathymetry.products.coverage import write_coverage
from pipeline_assets.bathymetry.products.geotiff import write_cog, write_hillshade, write_triplet
from pipeline_assets.bathymetry.products.gsf import write_gsf
from pipeline_assets.bathymetry.products.pictures import depth_histogram_png, hillshade_png, uncertainty_map_png
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.products.qa_report import write_qa_report
from pipeline_assets.bathymetry.products.stac import write_stac
from pipeline_assets.bathymetry.products.survey_zip import write_zip
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Surface


@dataclass(frozen=True)
class Delivery:
    """files: by the names that the STAC item has for them. judged: of the surface and of the files. picture: the relief, PNG."""

    files: dict[str, Path]
    judged: list[Judged]
    picture: bytes


def deliver(
    surface: Surface,
    profile: Profile,
    provenance: Provenance,
    folder: Path,
    soundings: Soundings | None = None,
    *,
    positions: tuple[float, float, float, float] | None = None,
    more: Sequence[Judged] = (),
) -> Delivery:
    """Judges the surface and writes all products. more: findings of others, such as a comparison with another engine's surface.

    Raises Refused `empty_surface` where no cell has a depth.
    """
    survey = provenance.survey
    files: dict[str, Path] = {name.lower(): path for name, path in write_triplet(surface, provenance, folder).items()}
    files["cog"] = write_cog(surface, provenance, folder / f"{survey}_cog.tif")
    files["hillshade"] = write_hillshade(surface, provenance, folder / f"{survey}_hs.tif")
    files["bag"] = write_bag(surface, provenance, folder / f"{survey}.bag")
    files |= {f"coverage_{kind}": path for kind, path in write_coverage(surface, provenance, folder).items()}
    if soundings is not None:
        (folder / "gsf").mkdir()
        files |= {f"gsf {line}": path for line, path in write_gsf(soundings, provenance, folder / "gsf").items()}
    judged = [
        *judge_surface(surface, profile, soundings, positions),
        bag_structure(files["bag"], strict_corners=True),
        cog(files["cog"]),
        *more,
    ]
    pictures = {
        "relief": hillshade_png(surface),
        "depths": depth_histogram_png(surface),
        "uncertainties": uncertainty_map_png(surface, profile.limits),
    }
    for name, picture in pictures.items():
        files[name] = folder / f"{survey}_{name}.png"
        files[name].write_bytes(picture)
    files["qa_report"] = write_qa_report(
        surface, judged, profile, provenance, [files["bag"].name], folder / f"{survey}_qa.json",
        start=provenance.made_at, end=provenance.made_at,
    )  # fmt: skip
    files["stac_item"] = write_stac(surface, provenance, files, folder / f"{survey}.json", judged)
    files["survey_zip"] = write_zip(
        sorted(path for path in folder.rglob("*") if path.is_file()), folder / f"{survey}.zip", folder
    )
    return Delivery(files, judged, pictures["relief"])
