"""What every asset has to say of itself in the UI, as one walk over definitions and one over a run's events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

OF_ASSET = ("dagster/column_schema", "dagster/uri", "dagster/code_references")
OF_TABLE = (
    *OF_ASSET, "dagster/table_name", "dagster/storage_kind", "dagster/column_lineage", "columns come from", "query it",
)  # fmt: skip
OF_RAW_FILES = (*OF_ASSET, "takes", "land a file")
OF_DATASET = (*OF_ASSET, "dagster/column_lineage", "tables")
OF_PRODUCT = ("dagster/uri", "dagster/code_references", "made of", "up to date?")
OF_AGGREGATE = (*OF_TABLE, "made from", "one row for each")
OF_OPERATION = ("dagster/code_references", "by hand")
PARTITIONS = "partitions_def"
ATTRIBUTES = ("description", "owners", "kinds", "group_name", "code_version", PARTITIONS)

OF_RUN = ("dagster/partition_row_count", "dagster/row_count", "snapshot", "seconds", "rows per second")
OF_RUN_CHECKED = (*OF_RUN, "files", "files committed", "files quarantined", "files gone or overwritten", "bytes")
OF_RUN_WITH_REFUSALS = (*OF_RUN_CHECKED, "refused", "all refused")
OF_RUN_RAW_FILES = ("files", "bytes", "attempt", "first files", "all files", "first landed", "last landed")


def missing(specs: Iterable[dg.AssetSpec], *, fresh: Iterable[str] = ()) -> list[str]:
    """Each entry that an asset lacks, as ``source/table: entry``. fresh: sources whose files are expected now and then."""
    by_key = {spec.key: spec for spec in specs}
    return [
        f"{key.to_user_string()}: {entry}"
        for key, spec in by_key.items()
        for entry in _missing_of(spec, by_key, needs_freshness=key.path[0] in set(fresh))
    ]


def _missing_of(
    spec: dg.AssetSpec, by_key: Mapping[dg.AssetKey, dg.AssetSpec], *, needs_freshness: bool
) -> Iterator[str]:
    is_aggregate = "made from" in spec.metadata
    is_operation = "by hand" in spec.metadata
    of_no_batch = is_aggregate or is_operation
    yield from (name for name in ATTRIBUTES if not getattr(spec, name) and not (of_no_batch and name == PARTITIONS))
    if is_operation:
        yield from (name for name in OF_OPERATION if not spec.metadata.get(name))
        return
    is_product = "dagster/column_schema" not in spec.metadata and "dagster/storage_kind" not in spec.metadata
    if spec.key.path[-1] == "raw_files":
        wanted = OF_RAW_FILES
    elif "tables" in spec.metadata:
        wanted = OF_DATASET
    else:
        wanted = OF_AGGREGATE if is_aggregate else OF_PRODUCT if is_product else OF_TABLE
    yield from (name for name in wanted if not spec.metadata.get(name))
    if needs_freshness and spec.freshness_policy is None and not is_aggregate and not is_product:
        yield "freshness_policy"
    columns = _columns(spec)
    for column in columns.values():
        if not column.type:
            yield f"type of {column.name}"
        if not column.description:
            yield f"description of {column.name}"
    if "dagster/column_lineage" in wanted and "dagster/column_lineage" in spec.metadata:
        yield from _missing_lineage(spec, columns, by_key)


def _missing_lineage(
    spec: dg.AssetSpec, columns: Mapping[str, dg.TableColumn], by_key: Mapping[dg.AssetKey, dg.AssetSpec]
) -> Iterator[str]:
    lineage = spec.metadata["dagster/column_lineage"].deps_by_column
    for name in columns:
        origins = lineage.get(name, [])
        if not origins and "made from" in spec.metadata and name == "file_id":
            continue  # a row of an aggregate is no single file's
        if not origins:
            yield (
                f'lineage of {name}; in its schema.py say what it is made from: metadata={{"from": ["TABLE.COLUMN"]}}, '
                'or ["file"], or ["file.key"]'
            )
        for origin in origins:
            if origin.asset_key not in by_key or origin.column_name not in _columns(by_key[origin.asset_key]):
                yield f"the column {origin.asset_key.to_user_string()}.{origin.column_name}, from which {name} comes"
        told = spec.metadata.get("columns come from")
        if told and f"`{name}`" not in told.value:
            yield f"{name} in the table of lineage"


def _columns(spec: dg.AssetSpec) -> dict[str, dg.TableColumn]:
    schema = spec.metadata.get("dagster/column_schema")
    return {column.name: column for column in schema.columns} if schema else {}


def missing_of_run(metadata: Mapping[str, Any], wanted: Iterable[str]) -> list[str]:
    """Each entry that a materialization lacks. A number may be 0, but is there."""
    return [name for name in wanted if name not in metadata or metadata[name].value is None]
