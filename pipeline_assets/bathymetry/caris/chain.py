"""The chain of CARIS commands from the lines of a survey to its exported surface.

The order is that of Geoscience Australia's pipeline (github.com/ausseabed/processing-pipeline, ga_processing_pipeline.json;
for GSF lines github.com/ausseabed/ausseabed-aws-tf-processing-pipeline, process_L2_recipe.ps1; Apache-2.0), with one step more:
soundings are filtered by a preliminary surface that was made before, where the original filtered by the final one.
"""

from __future__ import annotations

from pipeline_assets.bathymetry.caris.command import CarisCommand, Chain, Change, In, Out, Step, When

HIPS = "project/survey.hips"
PRELIMINARY = "preliminary/preliminary.csar"
SURFACE = "surface/surface.csar"
BAG = "exports/surface.bag"
DENSITY = "exports/density.tif"

VESSEL = "given/{vessel_file}"
CUBE_CONFIG = "given/{cube_config_file}"
AUXILIARY = "given/{auxiliary}"
LINE = "lines/{line}"


def _gridded(*more: str, to: str) -> CarisCommand:
    """CUBE with one set of values, so that the preliminary surface and the final one differ by what was filtered alone."""
    return CarisCommand(
        "CreateHIPSGridWithCube",
        (
            "--output-crs", "{crs}",
            "--extent", "{west}", "{south}", "{east}", "{north}",
            *more,
            When("cube_config_file", ("--cube-config-file", In(CUBE_CONFIG))),
            When("cube_config_name", ("--cube-config-name", "{cube_config_name}")),
            "--resolution", "{cell}",
            "--iho-order", "{iho_order}",
            In(HIPS), Out(to),
        ),
    )  # fmt: skip


PROJECT = Step(
    "caris_project",
    "The survey's lines in a HIPS project, as CARIS imported them.",
    "project",
    (
        CarisCommand("--version", seconds=180.0),
        CarisCommand("CreateHIPSFile", ("--output-crs", "{crs}", Out(HIPS)), seconds=360.0),
        CarisCommand(
            "ImportToHIPS",
            (
                "--input-format", "GSF",
                "--depth-source", "TRUE",
                "--vessel-file", In(VESSEL),
                In(LINE), Change(HIPS),
            ),
            each="line",
            counts_lines=True,
        ),
    ),
)  # fmt: skip

GEOREFERENCED = Step(
    "caris_georeferenced",
    "The HIPS project with attitude and heights from auxiliary files, and georeferenced, where survey.json asks for it.",
    "project",
    (
        CarisCommand(
            "ImportHIPSFromAuxiliary",
            (
                "--input-format", "{auxiliary_format}",
                "--allow-partial",
                In(AUXILIARY),
                "--delayed-heave", "0sec",
                "--delayed-heave-rms", "0sec",
                Change(HIPS),
            ),
            when="auxiliary",
        ),
        CarisCommand(
            "GeoreferenceHIPSBathymetry",
            (
                "--vertical-datum-reference", "{vertical_datum_reference}",
                "--compute-gps-vertical-adjustment",
                "--vertical-offset", "{vertical_offset}",
                "--heave-source", "{heave_source}",
                "--compute-tpu",
                "--tide-measured", "{tide_measured}",
                "--tide-zoning", "{tide_zoning}",
                "--sv-measured", "{sv_measured}",
                "--sv-surface", "{sv_surface}",
                "--source-navigation", "{sensors}",
                "--source-sonar", "{sensors}",
                "--source-gyro", "{sensors}",
                "--source-pitch", "{sensors}",
                "--source-roll", "{sensors}",
                "--source-heave", "{heave}",
                "--source-tide", "{tide}",
                "--output-components",
                Change(HIPS),
            ),
            when="vertical_datum_reference",
        ),
    ),
)  # fmt: skip

PRELIMINARY_SURFACE = Step(
    "caris_preliminary_surface",
    "CARIS's surface of all accepted soundings, by which they are filtered.",
    "preliminary",
    (_gridded(to=PRELIMINARY),),
)

FILTERED = Step(
    "caris_filtered",
    "The HIPS project with the soundings rejected that lie too far from the preliminary surface.",
    "project",
    (
        CarisCommand(
            "FilterProcessedDepths",
            (
                "--filter-type", "SURFACE",
                "--surface", In(PRELIMINARY),
                "--threshold-type", "STANDARD_DEVIATION",
                "--scalar", "{filter_scalar}",
                Change(HIPS),
            ),
        ),
    ),
)  # fmt: skip

GRID = Step(
    "caris_grid",
    "CARIS's surface of the filtered soundings, as CSAR.",
    "surface",
    (_gridded("--keep-up-to-date", to=SURFACE),),
)

EXPORTS = Step(
    "caris_surface",
    "CARIS's surface as it exports it: BAG, the density as GeoTIFF; and read back, in the form of every other surface.",
    "exports",
    (
        CarisCommand(
            "ExportRaster",
            (
                "--output-format", "BAG",
                "--include-band", "Depth",
                "--uncertainty", "Uncertainty",
                "--uncertainty-type", "PRODUCT_UNCERT",
                "--abstract", "{abstract}",
                "--status", "UNDER_DEV",
                "--vertical-datum", "{vertical_datum}",
                "--party-name", "{party_name}",
                "--party-position", "{party_position}",
                "--party-organization", "{party_organization}",
                "--party-role", "POINT_OF_CONTACT",
                "--legal-constraints", "OTHER_RESTRICTIONS",
                "--other-constraints", "NA",
                "--security-constraints", "UNCLASSIFIED",
                "--notes", "NA",
                "--compression-level", "1",
                In(SURFACE), Out(BAG),
            ),
        ),
        CarisCommand(
            "ExportRaster",
            ("--output-format", "GEOTIFF", "--include-band", "Density", In(SURFACE), Out(DENSITY)),
        ),
    ),
)  # fmt: skip

CHAIN = Chain(
    given=(VESSEL, CUBE_CONFIG, AUXILIARY, LINE),
    steps=(PROJECT, GEOREFERENCED, PRELIMINARY_SURFACE, FILTERED, GRID, EXPORTS),
)
