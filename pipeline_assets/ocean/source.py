"""The ocean source: read this and you know it."""

from __future__ import annotations

from pipeline_assets.ocean import derive, examples, picture, schema
from pipeline_assets.ocean.checks import CHECKS
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.products.declared import PRODUCTS
from pipeline_assets.ocean.read import archive
from pipeline_assets.ocean.read.cruise_file import GROUP_PATTERN
from pipeline_assets.ocean.read.formats import FORMATS
from pipeline_assets.source import FileSource, Groups, Reader, Table

OCEAN = FileSource(
    name="ocean",
    description="Cruise files of oceanographers: bottle and CTD data, profiles and series, in their archives' formats.",
    owners=("team:oceanography",),
    readers=(
        Reader(
            "zip", "zip of such files, one a cast", archive.recognise_zip, archive.read_zip, at_most="archive_at_once"
        ),
        Reader(
            "packed",
            "such a file packed by gzip, bzip2 or xz",
            archive.recognise_packed,
            archive.read_packed,
            at_most="archive_at_once",
        ),
        *(Reader(one.name, one.description, one.recognises, one.read, at_most=one.at_most) for one in FORMATS),
    ),
    tables=(
        Table("observations", schema.Observations),
        Table("levels", schema.Levels),
        Table("casts", schema.Casts, derived_from=("levels",)),
        Table("parameter_stats", schema.ParameterStats, derived_from=("observations",)),
        Table("findings", schema.Findings),
        Table("files", schema.Files, derived_from=("observations", "levels", "casts", "findings")),
    ),
    derive=derive.tables,
    products=PRODUCTS,
    checks=CHECKS,
    config=OceanConfig,
    picture=picture.station_map_png,
    examples=examples.write_examples,
    groups=Groups(GROUP_PATTERN, quiet_seconds=5.0, wanted="ocean/CRUISE/NAME or ocean/NAME"),
    preload=("pyarrow.csv", "gsw"),
    preload_for_picture=("matplotlib.figure", "matplotlib.backends.backend_agg", "PIL.Image"),
    question="SELECT station, pressure_dbar, value, flag FROM ocean.observations WHERE parameter = 'CTDSAL' "
    "AND pressure_dbar BETWEEN 1000 AND 2000 ORDER BY ALL LIMIT 20",
)
