"""The products of the bathymetry source, each made of what is named before it. Between the two are the steps of CARIS."""

from __future__ import annotations

from pipeline_assets.bathymetry import schema
from pipeline_assets.bathymetry.judge.checks import CHECKS
from pipeline_assets.bathymetry.products import gridding, landed, made_files, package, quality
from pipeline_assets.bathymetry.products.survey import LINE_COLUMNS
from pipeline_assets.product import Product

_SOUNDINGS = ("line", "ping", "beam", "time", "x_m", "y_m", "depth_m", "tvu_m", "thu_m", "accepted")
_GRIDDED = ("soundings", "lines")
_COLUMNS = {"soundings": _SOUNDINGS, "lines": LINE_COLUMNS}
_LINES = {"lines": LINE_COLUMNS}

OF_SOUNDINGS = (
    Product(
        "landed_surface",
        "The surfaces that landed ready-made, BAG or GeoTIFF, as surfaces like the one that is made here.",
        of=("landed_surfaces", "landed_cells"),
        make=landed.make_landed_surface,
        tables={"surfaces": schema.Surfaces},
        kinds=frozenset({"numpy"}),
    ),
    Product(
        "landed_checks",
        "The surfaces that landed, held against the order of survey: reports as QAJSON, cells that fail as GeoJSON.",
        of=("landed_surfaces",),
        after=("landed_surface",),
        make=landed.make_landed_checks,
        tables={"check_results": schema.CheckResults},
        checks={name: CHECKS[name].description for name in landed.JUDGED},
        kinds=frozenset({"json"}),
    ),
    Product(
        "preliminary_surface",
        "CUBE's surface of all accepted soundings, by which they are filtered.",
        of=_GRIDDED,
        columns=_COLUMNS,
        make=gridding.make_preliminary,
        kinds=frozenset({"numpy"}),
    ),
    Product(
        "filtered_soundings",
        "The survey's soundings, without those too far from the preliminary surface, as Parquet; how the lines fit together.",
        of=_GRIDDED,
        after=("preliminary_surface",),
        columns=_COLUMNS,
        make=gridding.make_filtered,
        kinds=frozenset({"parquet"}),
    ),
)

OF_SURFACE = (
    Product(
        "surface",
        "The survey's surface: depth, uncertainty (95 %), standard deviation, shoal, density and hypotheses of each cell. Made by "
        "the survey's engine.",
        of=("lines",),
        after=("preliminary_surface", "filtered_soundings", gridding.CARIS_SURFACE),
        columns=_LINES,
        make=gridding.make_surface,
        tables={"surfaces": schema.Surfaces},
        kinds=frozenset({"numpy"}),
    ),
    Product(
        "geotiff",
        "The surface as GeoTIFF: Depth, Density and Uncertainty of one band each, a cloud-optimized one, a shaded relief.",
        of=("lines",),
        after=("surface",),
        columns=_LINES,
        make=made_files.make_geotiff,
        kinds=frozenset({"geotiff"}),
    ),
    Product(
        "bag",
        "The surface as BAG 1.6.2, with how it came to be in its lineage; of variable resolution where cells grow with depth.",
        of=("lines",),
        after=("surface",),
        columns=_LINES,
        make=made_files.make_bag,
        kinds=frozenset({"bag"}),
    ),
    Product(
        "coverage",
        "Where the surface has depths, as a polygon with its area: GeoPackage, Shapefile and GeoJSON.",
        of=("lines",),
        after=("surface",),
        columns=_LINES,
        make=made_files.make_coverage,
        kinds=frozenset({"geopackage"}),
    ),
    Product(
        "gsf",
        "The soundings that the surface was made of as GSF, a file a line.",
        of=("lines",),
        after=("filtered_soundings", "surface"),
        columns=_LINES,
        make=made_files.make_gsf,
        kinds=frozenset({"gsf"}),
    ),
    Product(
        "checks",
        "The surface and its files held against the order of survey: the report as QAJSON, cells that fail as GeoJSON.",
        of=("lines",),
        after=("preliminary_surface", "filtered_soundings", "surface", "geotiff", "bag"),
        beside=("landed_surface",),
        columns=_LINES,
        make=quality.make_checks,
        tables={"check_results": schema.CheckResults},
        checks={name: CHECKS[name].description for name in (*quality.JUDGED, *quality.COMPARED)},
        kinds=frozenset({"json"}),
    ),
    Product(
        "delivery",
        "Everything of the survey in one folder, with a STAC item and a zip; not made of a surface that fails its order.",
        of=("lines",),
        after=package.DELIVERED,
        columns=_LINES,
        make=package.make_delivery,
        kinds=frozenset({"zip"}),
    ),
)
