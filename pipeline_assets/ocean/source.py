"""The ocean source: read this and you know it."""

from __future__ import annotations

from pipeline_assets.ocean import derive, schema
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.read import archive
from pipeline_assets.ocean.read.cruise_file import GROUP_PATTERN
from pipeline_assets.ocean.read.formats import FORMATS
from pipeline_assets.source import FileSource, Groups, Reader, Table

OCEAN = FileSource(
    name="ocean",
    description="Cruise files of oceanographers: bottle and CTD data, profiles and series, in their archives' formats.",
    owners=("team:oceanography",),
    readers=(
        Reader("zip", "zip of such files, one a cast", archive.recognise_zip, archive.read_zip),
        Reader("packed", "such a file packed by gzip, bzip2 or xz", archive.recognise_packed, archive.read_packed),
        *(Reader(one.name, one.description, one.recognises, one.read) for one in FORMATS),
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
    config=OceanConfig,
    groups=Groups(GROUP_PATTERN, quiet_seconds=5.0, wanted="ocean/CRUISE/NAME or ocean/NAME"),
    preload=("pyarrow.csv", "gsw"),
    question="SELECT station, pressure_dbar, value, flag FROM ocean.observations WHERE parameter = 'CTDSAL' "
    "AND pressure_dbar BETWEEN 1000 AND 2000 ORDER BY ALL LIMIT 20",
)
