"""The bathymetry source: read this and you know it."""

from __future__ import annotations

from pipeline_assets.bathymetry import derive, examples, picture, schema
from pipeline_assets.bathymetry.caris.products import PRODUCTS as CARIS_STEPS
from pipeline_assets.bathymetry.checks import CHECKS
from pipeline_assets.bathymetry.config import GROUP_PATTERN, BathymetryConfig, why_it_stops
from pipeline_assets.bathymetry.products.declared import OF_SOUNDINGS, OF_SURFACE
from pipeline_assets.bathymetry.read.formats import FORMATS
from pipeline_assets.source import FileSource, Groups, Reader, Table

BATHYMETRY = FileSource(
    name="bathymetry",
    description="Hydrographic surveys: lines of soundings with their flags and uncertainties, and their surface, or surfaces that are "
    "made already, a survey a folder.",
    owners=("team:hydrography",),
    readers=tuple(Reader(one.name, one.description, one.recognises, one.read, one.serves) for one in FORMATS),
    tables=(
        Table("soundings", schema.Soundings),
        Table("lines", schema.Lines, derived_from=("soundings",)),
        Table("surveys", schema.Surveys),
        Table("landed_surfaces", schema.LandedSurfaces),
        Table("landed_cells", schema.LandedCells),
    ),
    derive=derive.tables,
    products=(*OF_SOUNDINGS, *CARIS_STEPS, *OF_SURFACE),
    checks=CHECKS,
    config=BathymetryConfig,
    picture=picture.file_png,
    examples=examples.write_examples,
    groups=Groups(
        GROUP_PATTERN,
        quiet_seconds=60.0,
        done=r"bathymetry/[^/]+/(?:survey)?\.done",
        shared=r"bathymetry/[^/]+/(?:survey\.json|cube\.xml|cube\.bag)",
        wanted="bathymetry/SURVEY/NAME",
        stops=why_it_stops,
    ),
    preload=("pyarrow.csv", "pyarrow.parquet", "pyproj", "laspy"),
    preload_for_picture=("matplotlib.figure", "matplotlib.backends.backend_agg", "PIL.Image"),
    question="SELECT line, soundings, accepted, depth_min_m, depth_max_m, tvu_median_m FROM bathymetry.lines "
    "ORDER BY survey, line LIMIT 20",
)
