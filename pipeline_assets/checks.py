"""The asset checks that every source has: schema, quarantine rate, and rows against the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import dagster as dg

from pipeline_assets.batch_report import BatchReport
from pipeline_assets.metadata import record_table, refused_table
from pipeline_assets.source import FileSource, Table
from resources.lake.lake import TableName
from resources.lake.sql import count_rows_by_file
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import row_counts
from resources.platform import Platform

SCHEMA = "schema"
QUARANTINE_RATE = "quarantine_rate"
BALANCE = "balance"

_MOST_SHOWN = 20
_MOST_CLASSES = 6


def run_check_specs(
    source: FileSource, keys: dict[str, dg.AssetKey], partitions: dg.PartitionsDefinition
) -> list[dg.AssetCheckSpec]:
    """The checks whose results come with the batch itself."""
    specs = [
        dg.AssetCheckSpec(
            SCHEMA,
            asset=keys[table.name],
            partitions_def=partitions,
            description=f"Every row keeps the rules of {table.schema.__name__}. Files with rows that break them are "
            "refused whole, so the table holds none of them.",
        )
        for table in source.tables
    ]
    rate = dg.AssetCheckSpec(
        QUARANTINE_RATE,
        asset=keys[source.tables[0].name],
        partitions_def=partitions,
        description=f"No file of the batch was refused. A batch with more than {source.hold_above:.0%} refused files "
        f"(from {source.hold_from_files} files on) is held back before anything of it is visible.",
    )
    return [*specs, rate]


def run_check_results(
    source: FileSource, keys: dict[str, dg.AssetKey], report: BatchReport
) -> Iterator[dg.AssetCheckResult]:
    """Results of `run_check_specs` for a batch."""
    for table in source.tables:
        yield _schema_result(source, table, keys[table.name], report)
    refused = len(report.refused)
    classes = Counter(item.refusal.error_class for item in report.refused)
    yield dg.AssetCheckResult(
        check_name=QUARANTINE_RATE,
        asset_key=keys[source.tables[0].name],
        passed=refused == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{refused} of {report.files} files refused"
        + (
            f": {', '.join(f'{name} {count}' for name, count in classes.most_common(_MOST_CLASSES))}" if refused else ""
        ),
        metadata={
            "files": report.files,
            "refused": refused,
            "rate": round(refused / report.files, 4) if report.files else 0.0,
            **({"refused files": refused_table(report.refused)} if refused else {}),
        },
    )


def _schema_result(source: FileSource, table: Table, key: dg.AssetKey, report: BatchReport) -> dg.AssetCheckResult:
    name = f"{source.name}.{table.name}"
    broken = [
        item
        for item in report.refused
        if item.refusal.error_class in {"schema", "wrong_rows"}
        and (name in item.refusal.message or table.schema.__name__ in item.refusal.message)
    ]
    return dg.AssetCheckResult(
        check_name=SCHEMA,
        asset_key=key,
        passed=not broken,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{report.rows[table.name]} rows keep every rule"
        + (f"; {len(broken)} files were refused for rows that do not" if broken else ""),
        metadata={
            "rows checked": report.rows[table.name],
            "files refused": len(broken),
            **({"refused files": refused_table(broken)} if broken else {}),
        },
    )


def balance_specs(
    source: FileSource, keys: dict[str, dg.AssetKey], partitions: dg.PartitionsDefinition
) -> list[dg.AssetCheckSpec]:
    """The checks that read the tables anew."""
    return [
        dg.AssetCheckSpec(
            BALANCE,
            asset=keys[table.name],
            partitions_def=partitions,
            description="For every file of the batch, the table holds exactly the rows that the ledger counted when it "
            "was committed; and none of any other file.",
        )
        for table in source.tables
    ]


def balance_results(
    platform: Platform, source: FileSource, keys: dict[str, dg.AssetKey], batch_id: str
) -> Iterator[dg.AssetCheckResult]:
    """Compare what the tables hold for a batch with what the ledger says, file by file."""
    expected = row_counts(platform.ledger, batch_id=batch_id)
    published = published_snapshots(platform.ledger, source.name)
    for table in source.tables:
        name = TableName(source.name, table.name)
        wanted = {file_id: rows for file_id, rows in expected.get(table.name, {}).items() if rows}
        found = count_rows_by_file(platform.lake, name, published.get(table.name), batch_id, wanted)
        differing = sorted(file_id for file_id in wanted | found if wanted.get(file_id, 0) != found.get(file_id, 0))
        records = [
            {"file_id": file_id, "rows in ledger": wanted.get(file_id, 0), "rows in table": found.get(file_id, 0)}
            for file_id in differing[:_MOST_SHOWN]
        ]
        yield dg.AssetCheckResult(
            check_name=BALANCE,
            asset_key=keys[table.name],
            passed=not differing,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{sum(found.values())} rows of {len(found)} files"
            + (f"; {len(differing)} files differ from the ledger. Materialize the batch again." if differing else ""),
            metadata={
                "rows in table": sum(found.values()),
                "rows in ledger": sum(wanted.values()),
                "files that differ": len(differing),
                **({"differences": record_table(records)} if records else {}),
            },
        )
