"""What the health source checks of each batch: files that no mapping places, waivers that were used, and drift of schemas."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from pipeline_assets.health.read import loaded_mapping
from pipeline_assets.source_check import Judgement, SourceCheck

if TYPE_CHECKING:
    import pandas as pd

_MOST = 20


def unmapped(rows: pd.DataFrame, config: Any) -> Judgement:
    found = rows[rows["status"] == "unmapped"].to_dict("records")
    files = Counter(row["schema_id"] for row in found)
    shown = [{"$id": schema_id, "files": count} for schema_id, count in files.most_common(_MOST)]
    said = (
        f"{len(found)} files of {len({row['recordid'] for row in found})} records have a schema of no dataset; their data is "
        "in no table. Add the $ids to schema_mapping.json and read the records again: strandline redo BATCH"
        if found
        else f"every file with a schema has a dataset ({len(rows)} files)"
    )
    return Judgement(not found, said, {"files": len(found), "schemas": len(files)}, shown)


def versions(rows: pd.DataFrame, config: Any) -> Judgement:
    declared = set(loaded_mapping(config.schemas).datasets)
    files = Counter(name for name in rows["dataset"].dropna() if name not in declared)
    shown = [{"version": name, "files": count} for name, count in sorted(files.items())[:_MOST]]
    said = (
        f"{sum(files.values())} files are in versions that were opened because tables could not take a change of schema: "
        f"{', '.join(sorted(files)[:_MOST])}. See: strandline health schemas; with --open they are declared"
        if files
        else "every file is in a dataset of the mapping"
    )
    return Judgement(not files, said, {"files": sum(files.values()), "versions": len(files)}, shown)


def waived(rows: pd.DataFrame, config: Any) -> Judgement:
    used: Counter[str] = Counter()
    for text in rows["waivers"].dropna():
        for name, count in re.findall(r"([^,]+): (\d+)", text):
            used[name.strip()] += int(count)
    total = sum(used.values())
    shown = [{"waiver": name, "errors let pass": count} for name, count in used.most_common(_MOST)]
    said = f"{total} errors were let pass by {len(used)} waivers" if used else "no waiver was used"
    return Judgement(not used, said, {"errors let pass": total, "waivers used": len(used)}, shown)


def drift(rows: pd.DataFrame, config: Any) -> Judgement:
    fields: Counter[str] = Counter()
    for text in rows["extra_fields"].dropna():
        fields.update(text.split(", "))
    affected = int(rows["extra_rows"].sum())
    shown = [{"field": name, "files": count} for name, count in fields.most_common(_MOST)]
    said = (
        f"{affected} rows have fields that no column holds; they are kept in _extra: {', '.join(list(fields)[:5])}"
        if affected
        else "every field has its column"
    )
    return Judgement(not affected, said, {"rows": affected, "fields": len(fields)}, shown)


CHECKS = (
    SourceCheck(
        "unmapped_schemas",
        "documents",
        "Every file with a JSON schema has a dataset: no new schema is left out without a word.",
        ("recordid", "schema_id", "status"),
        unmapped,
    ),
    SourceCheck(
        "new_versions",
        "documents",
        "No dataset had to get a new version, because its tables could not take a change of its schema; or it is declared by now.",
        ("dataset",),
        versions,
    ),
    SourceCheck(
        "waivers_used",
        "records",
        "No error was let pass by a waiver. Each use counts, so that waivers do not outlive what they were made for.",
        ("waivers",),
        waived,
    ),
    SourceCheck(
        "schema_drift",
        "documents",
        "Documents have no fields but those that their dataset's tables have columns for.",
        ("extra_rows", "extra_fields"),
        drift,
    ),
)
