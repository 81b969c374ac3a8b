"""The source of ports and regions: read this and you know it."""

from __future__ import annotations

from pipeline_assets.places import derive, examples, read, schema
from pipeline_assets.places.serving import SERVING
from pipeline_assets.source import FileSource, Reader, Records, Table

PLACES = FileSource(
    name="places",
    description="Ports and the tree of regions that they are in: ports.csv with regions.csv. A new delivery takes the place "
    "of the one before.",
    owners=("team:freight",),
    readers=(
        Reader(
            "places_csv", "CSV file of ports (ports.csv, with regions.csv)", recognises=read.recognise, read=read.read
        ),
    ),
    tables=(
        Table("regions", schema.Regions),
        Table("ports", schema.Ports, derived_from=("regions",)),
        Table("closure", schema.Closure, derived_from=("regions", "ports")),
    ),
    records=Records(
        name_of=read.record_name,
        primary=read.primary_part,
        needs=read.needed_parts,
        stands_alone=read.stands_alone,
        wanted="ports.csv and regions.csv",
    ),
    derive=derive.checked_tables,
    serving=SERVING,
    kinds=frozenset({"postgres"}),
    examples=examples.write_examples,
    question="SELECT r.slug, r.depth, count(c.port_code) AS ports FROM places.regions r LEFT JOIN places.closure c "
    "ON c.region_slug = r.slug GROUP BY ALL ORDER BY depth, slug LIMIT 8",
)
