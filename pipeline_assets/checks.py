"""The asset checks that every source has: schema, quarantine rate, and rows against the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import dagster as dg

from pipeline_assets.batch_report import BatchReport
from pipeline_assets.columns import schema_name
from pipeline_assets.datasets import tables_of
from pipeline_assets.metadata import record_table, refused_table
from pipeline_assets.shown_tables import shown_tables
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
            asset=keys[name],
            partitions_def=partitions,
            description=f"Every row keeps the rules of {_rules(name, tables)}. Files with rows that break them are "
            f"refused whole, so {'the table holds' if len(tables) == 1 else 'the tables hold'} none of them.",
        )
        for name, tables in _checked_together(source)
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
    for name, tables in _checked_together(source):
        yield _schema_result(source, tables, keys[name], report)
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


def _checked_together(source: FileSource) -> list[tuple[str, tuple[Table, ...]]]:
    """Each table by itself, and the tables of each dataset together, under the name of the asset that shows the result."""
    alone = [(table.name, (table,)) for table in source.tables if not table.dataset]
    return alone + [(dataset.name, tables_of(source, dataset)) for dataset in source.datasets]


def _rules(name: str, tables: Sequence[Table]) -> str:
    return f"the schemas of {name}'s tables" if tables[0].dataset else schema_name(tables[0].schema)


def _schema_result(
    source: FileSource, tables: Sequence[Table], key: dg.AssetKey, report: BatchReport
) -> dg.AssetCheckResult:
    names = [name for table in tables for name in (f"{source.name}.{table.name} ", schema_name(table.schema))]
    broken = [
        item
        for item in report.refused
        if item.refusal.error_class in {"schema", "wrong_rows"} and any(name in item.refusal.message for name in names)
    ]
    rows = sum(report.rows.get(table.name, 0) for table in tables)
    return dg.AssetCheckResult(
        check_name=SCHEMA,
        asset_key=key,
        passed=not broken,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{rows} rows keep every rule"
        + (f"; {len(broken)} files were refused for rows that do not" if broken else ""),
        metadata={
            "rows checked": rows,
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
            asset=keys[name],
            partitions_def=partitions,
            description="For every file of the batch, each table of the dataset holds exactly the rows that the ledger "
            "counted when it was committed."
            if tables[0].dataset
            else "For every file of the batch, the table holds exactly the rows that the ledger counted when it "
            "was committed; and none of any other file.",
        )
        for name, tables in _checked_together(source)
    ]


def balance_results(
    platform: Platform, source: FileSource, keys: dict[str, dg.AssetKey], batch_id: str
) -> Iterator[dg.AssetCheckResult]:
    """Compare what the tables hold for a batch with what the ledger says, file by file."""
    expected = row_counts(platform.ledger, batch_id=batch_id)
    published = published_snapshots(platform.ledger, source.name)
    shown = shown_tables(platform, source, published)
    undeclared = [name for name in shown if name not in source.table_names]
    for number, (asset, tables) in enumerate(_checked_together(source)):
        in_ledger = in_tables = 0
        files: set[str] = set()
        differing: list[tuple[str, str, int, int]] = []
        # What no asset stands for, such as a version of a dataset that the batch opened, shows at the first one.
        for table in [*(one.name for one in tables), *(undeclared if number == 0 else ())]:
            wanted = {file_id: rows for file_id, rows in expected.get(table, {}).items() if rows}
            if shown[table] and not wanted:
                continue  # most of them, in most batches; the asset operations/ledger_balance compares all
            name = TableName(source.name, table)
            found = count_rows_by_file(platform.lake, name, published.get(table), batch_id, wanted)
            in_ledger, in_tables = in_ledger + sum(wanted.values()), in_tables + sum(found.values())
            files |= found.keys()
            differing += [
                (table, file_id, wanted.get(file_id, 0), found.get(file_id, 0))
                for file_id in sorted(wanted.keys() | found.keys())
                if wanted.get(file_id, 0) != found.get(file_id, 0)
            ]
        records = [
            {
                **({"table": name} if len(tables) > 1 or name != tables[0].name else {}),
                "file_id": file_id,
                "rows in ledger": known,
                "rows in table": there,
            }
            for name, file_id, known, there in differing[:_MOST_SHOWN]
        ]
        wrong = len({file_id for _, file_id, *_ in differing})
        yield dg.AssetCheckResult(
            check_name=BALANCE,
            asset_key=keys[asset],
            passed=not differing,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{in_tables} rows of {len(files)} files"
            + (f"; {wrong} files differ from the ledger. Materialize the batch again." if wrong else ""),
            metadata={
                "rows in table": in_tables,
                "rows in ledger": in_ledger,
                "files that differ": wrong,
                **({"differences": record_table(records)} if records else {}),
            },
        )
