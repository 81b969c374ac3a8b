"""The mobile-health source: read this and you know it."""

from __future__ import annotations

from pathlib import Path

from pipeline_assets.health import examples, schema
from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.declare import declared
from pipeline_assets.health.judge import CHECKS
from pipeline_assets.health.operations.versions import adapt
from pipeline_assets.health.read import loaded_mapping, read_archive, recognise_archive
from pipeline_assets.health.rows import DOCUMENTS, RECORDS, rows_of_record
from pipeline_assets.health.schemas import MappingError
from pipeline_assets.sidecars import with_sidecars
from pipeline_assets.source import FileSource, Reader, Table
from resources.settings import SettingsError, load_source_config

NAME = "health"


def health_source(config: HealthConfig) -> FileSource:
    """The source with the tables that the mapping of a configuration gives. Raises SettingsError."""
    try:
        datasets, tables = declared(loaded_mapping(config.schemas))
    except MappingError as error:
        raise SettingsError(f"STRANDLINE_HEALTH_SCHEMAS={config.schemas or Path()}: {error}") from None
    return FileSource(
        name=NAME,
        description="Archives of mobile health apps: a ZIP of JSON files for each record, with the record's annotations in the "
        "metadata of its object, or in a JSON file beside it.",
        owners=("team:mobile-health",),
        readers=(Reader("archive", "ZIP archive of a health app", recognise_archive, read_archive),),
        tables=(
            Table(DOCUMENTS, schema.Documents),
            Table(RECORDS, schema.Records, derived_from=(DOCUMENTS,)),
            *tables,
        ),
        datasets=datasets,
        checks=CHECKS,
        records=with_sidecars(waits=config.sidecar == "wait", wanted="an archive"),
        derive=rows_of_record,
        config=HealthConfig,
        adapt=adapt,
        on_conflict="For a schema of a health app: strandline health schemas",
        subject=f"{RECORDS}.healthcode",
        preload=("orjson", "jsonschema", "fastjsonschema", "referencing", "yaml"),
        examples=examples.write_examples,
        question="SELECT recordid, study, assessmentid, uploadedon, files, rows, status FROM health.records "
        "ORDER BY uploadedon",
    )


HEALTH = health_source(load_source_config(HealthConfig, NAME))
