"""Sources with many tables, declared from data: a batch touches only those that it has rows for, or takes rows out of."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import update

from pipeline_assets.batch_run import run_batch
from pipeline_assets.checks import balance_results
from pipeline_assets.code_version import source_code_version
from pipeline_assets.columns import ColumnInfo, Columns, RowsError, arrow_schema, columns_of, to_table
from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.lineage import column_lineage
from pipeline_assets.operations.balance import balance
from pipeline_assets.operations.erasure import forget
from pipeline_assets.operations.maintain import maintain
from pipeline_assets.operations.reconcile import reconcile
from pipeline_assets.shown_tables import shown_tables
from pipeline_assets.source import Adapted, FileSource, NoConfig, Table
from pipeline_assets.source_check import Judgement, SourceCheck
from pipeline_assets.source_defs import asset_keys
from pipeline_assets.validation import violations
from resources.lake.lake import TableName
from resources.lake.sql import run_query
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import list_files, row_counts
from resources.ledger.tables import file_rows
from resources.platform import Platform
from tests import metadata_contract as contract
from tests.conftest import Put
from tests.running import Silent, look_and_run, next_batch, rows_of, run, states
from tests.toy_datasets import DATASETS, MANY, TABLES_EACH, Documents, columns_of_dataset, content, table
from tests.toy_source import TOY


def snapshots(platform: Platform) -> dict[str, int | None]:
    return published_snapshots(platform.ledger, "many")


def with_rows(platform: Platform) -> set[str]:
    return {name for name, snapshot in snapshots(platform).items() if snapshot is not None}


def values(platform: Platform, name: str) -> list[float | None]:
    return [value for (value,) in rows_of(platform, f"SELECT value FROM many.{name} ORDER BY file_id, n")]


@pytest.fixture
def committed(platform: Platform, put: Put) -> Platform:
    put("many/a", content(walk_0=[1, 2], sleep_3=[3]))
    report = look_and_run(platform, source=MANY)
    assert set(report.tables) == {"documents", "walk_0", "sleep_3"}
    assert report.rows == {"documents": 1, "walk_0": 2, "sleep_3": 1}
    return platform


def test_a_batch_commits_to_the_tables_it_has_rows_for_and_all_are_there_for_sql(committed: Platform) -> None:
    assert set(snapshots(committed)) == set(MANY.table_names)
    assert with_rows(committed) == {"documents", "walk_0", "sleep_3"}
    empty = run_query(committed.lake, committed.ledger, "SELECT * FROM many.speech_7")
    assert empty.num_rows == 0
    assert {field.name: str(field.type) for field in empty.schema} == {
        "n": "int64", "value": "double", "at": "timestamp[us, tz=UTC]", "file_id": "string", "batch_id": "string",
    }  # fmt: skip


def test_a_table_that_a_batch_leaves_keeps_its_snapshot(committed: Platform, put: Put) -> None:
    before = snapshots(committed)
    put("many/b", content(sleep_3=[4], speech_1=[5]))
    look_and_run(committed, "run-2", MANY)
    after = snapshots(committed)
    assert {name for name in after if after[name] != before[name]} == {"documents", "sleep_3", "speech_1"}
    assert values(committed, "walk_0") == [1, 2]
    assert sorted(values(committed, "sleep_3")) == [3, 4]
    walk = committed.lake.catalog.load_table(committed.lake.identifier(TableName("many", "walk_0")))
    assert len(walk.metadata.snapshots) == 1


def test_other_bytes_take_the_rows_out_of_all_tables_that_had_some(committed: Platform, put: Put) -> None:
    put("many/a", content(speech_1=[9]))
    look_and_run(committed, "run-2", MANY)
    assert (values(committed, "walk_0"), values(committed, "sleep_3"), values(committed, "speech_1")) == ([], [], [9])
    assert balance(committed, MANY).balanced
    assert reconcile(committed, MANY).balanced


def test_the_ledger_counts_only_tables_with_rows_and_all_adds_up(committed: Platform, put: Put) -> None:
    put("many/none", content())
    look_and_run(committed, "run-2", MANY)
    ids = {row.key: row.file_id for row in list_files(committed.ledger)}
    assert row_counts(committed.ledger, source="many") == {
        "documents": {ids["many/a"]: 1, ids["many/none"]: 1},
        "walk_0": {ids["many/a"]: 2},
        "sleep_3": {ids["many/a"]: 1},
    }
    assert balance(committed, MANY).balanced


def test_rows_that_are_gone_from_a_dataset_s_table_are_found(committed: Platform) -> None:
    with committed.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE file_rows SET rows = 7 WHERE table_name = 'walk_0'")
    found = balance(committed, MANY)
    assert {name: len(ids) for name, ids in found.differing.items()} == {"walk_0": 1}
    with committed.ledger.write() as connection:
        connection.exec_driver_sql("DELETE FROM file_rows WHERE table_name = 'walk_0'")
    assert set(balance(committed, MANY).unaccounted) == {"walk_0"}


def test_a_table_that_is_no_longer_declared_loses_rows_with_their_file(committed: Platform, put: Put) -> None:
    fewer = replace(MANY, tables=tuple(one for one in MANY.tables if one.name != "walk_0"))
    put("many/b", content(sleep_3=[4]))
    look_and_run(committed, "run-2", fewer)
    assert values(committed, "walk_0") == [1, 2]
    put("many/a", content(sleep_3=[8]))
    look_and_run(committed, "run-3", fewer)
    assert values(committed, "walk_0") == []
    assert sorted(values(committed, "sleep_3")) == [4, 8]


def test_forgetting_reaches_tables_that_are_no_longer_declared(committed: Platform) -> None:
    fewer = replace(MANY, tables=tuple(one for one in MANY.tables if one.name != "walk_0"))
    (file,) = list_files(committed.ledger)
    forget(committed, fewer, [file.file_id], lambda text: None, lambda runs: None)
    assert values(committed, "walk_0") == values(committed, "sleep_3") == []
    assert not list(committed.lake.folder.rglob("walk_0/data/**/*.parquet"))


def test_a_new_column_comes_with_the_first_rows_for_it(committed: Platform, put: Put) -> None:
    more = (*columns_of_dataset("Walk"), ColumnInfo("more", pa.string(), True, "", "more", made_from=("file",)))
    wider = replace(MANY, tables=tuple(table("Walk", 0, more) if one.name == "walk_0" else one for one in MANY.tables))
    put("many/b", content(sleep_3=[4]))
    look_and_run(committed, "run-2", wider)
    before = committed.lake.schema(TableName("many", "walk_0"))
    assert before is not None
    assert "more" not in before.names

    put("many/c", content(walk_0=[5]))
    report = run(committed, next_batch(committed, wider), "run-3", replace(wider, derive=derive_more))
    assert report.rows["walk_0"] == 1
    assert rows_of(committed, "SELECT value, more FROM many.walk_0 ORDER BY value") == [(1, None), (2, None), (5, "x")]


def derive_more(rows: dict[str, list[dict[str, float]]], config: object) -> dict[str, object]:
    made = MANY.derive(rows, config) if MANY.derive else {}
    return {**made, "walk_0": made["walk_0"].append_column("more", pa.array(["x"]))}


def test_a_value_that_must_be_there_and_is_not_refuses_its_file_alone(platform: Platform, put: Put) -> None:
    put("many/good", content(walk_0=[1]))
    put("many/bad", '{"walk_0": [{"n": 1}, {"value": 2}], "sleep_1": [{"value": 3}]}')
    report = look_and_run(platform, source=MANY)
    assert states(platform) == {"many/good": "committed", "many/bad": "quarantined"}
    (refused,) = report.refused
    assert (refused.refusal.error_class, refused.refusal.location) == ("schema", "Walk 0")
    assert refused.refusal.message == "rows of many.walk_0 break its schema: column n: 1 rows have no value"
    assert values(platform, "walk_0") == [1]


def test_rows_for_no_table_and_none_for_the_first_are_refused(platform: Platform, put: Put) -> None:
    put("many/a", content(nosuch=[1]))
    (refused,) = look_and_run(platform, source=MANY).refused
    assert refused.refusal.error_class == "wrong_rows"
    assert "rows for ['nosuch'], which are no tables of many" in refused.refusal.message
    put("many/b", content(walk_0=[1]))
    (refused,) = look_and_run(platform, "run-2", replace(MANY, derive=derive_no_first)).refused
    assert "gave no rows for ['documents']" in refused.refusal.message


def derive_no_first(rows: dict[str, list[dict[str, float]]], config: object) -> dict[str, object]:
    made = MANY.derive(rows, config) if MANY.derive else {}
    return {name: part for name, part in made.items() if name != "documents"}


# --- as Dagster sees it


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    from resources.settings import Settings

    home = tmp_path_factory.mktemp("many") / "home"
    return build_defs(Overrides(sources=(MANY,), platform=Platform(Settings(home=home))))


def test_datasets_stand_between_files_and_tables_and_all_is_told(defs: dg.Definitions) -> None:
    specs = {spec.key.path[-1]: spec for spec in defs.resolve_all_asset_specs() if spec.group_name == "many"}
    assert contract.missing(specs.values()) == []
    assert set(specs) == {"raw_files", *DATASETS, *MANY.table_names}
    assert [dependency.asset_key.path[-1] for dependency in specs["Walk"].deps] == ["raw_files"]
    assert [dependency.asset_key.path[-1] for dependency in specs["walk_3"].deps] == ["Walk"]
    assert "many.walk_11" in specs["Walk"].metadata["tables"].value
    lineage = {name: [str(one) for one in found] for name, found in column_lineage(MANY, MANY.tables[1]).items()}
    assert lineage == {
        "n": ["Walk.n"], "value": ["Walk.readings[].value"], "at": ["Walk.at"], "file_id": ["file.file_id"],
        "batch_id": ["file.batch_id"],
    }  # fmt: skip


def test_checks_of_a_dataset_s_tables_are_at_the_dataset(defs: dg.Definitions) -> None:
    found = {(key.asset_key.path[-1], key.name) for key in defs.resolve_asset_graph().asset_check_keys
             if key.asset_key.path[0] == "many"}  # fmt: skip
    assert found == {
        ("documents", "quarantine_rate"),
        *((name, check) for name in ("documents", *DATASETS) for check in ("schema", "balance")),
    }


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_a_run_tells_of_datasets_and_of_the_tables_it_changed(
    platform: Platform, instance: dg.DagsterInstance, put: Put
) -> None:
    put("many/a", content(walk_0=[1, 2], walk_1=[4], sleep_3=[3]))
    batch = next_batch(platform, MANY)
    stopped = dg.DefaultSensorStatus.STOPPED
    job = build_defs(Overrides(sources=(MANY,), platform=platform, sensor_status=stopped)).resolve_job_def(
        "many_ingest"
    )
    instance.add_dynamic_partitions("many_batches", [batch.partition])
    result = job.execute_in_process(instance=instance, partition_key=batch.partition)
    assert result.success
    shown = {event.asset_key.path[-1]: event.materialization.metadata for event in result.get_asset_materialization_events()
             if event.asset_key}  # fmt: skip
    assert set(shown) == {"raw_files", *DATASETS, "documents", "walk_0", "walk_1", "sleep_3"}
    assert {name: shown[name]["dagster/partition_row_count"].value for name in DATASETS} == {
        "Walk": 3, "Sleep": 1, "Speech": 0,
    }  # fmt: skip
    for name in ("documents", "walk_0"):
        assert contract.missing_of_run(shown[name], contract.OF_RUN) == []
    checks = {(one.asset_key.path[-1], one.check_name): one.passed for one in result.get_asset_check_evaluations()}
    assert len(checks) == 2 * (1 + len(DATASETS)) + 1
    assert all(checks.values())


def test_the_balance_check_of_a_dataset_names_the_table(platform: Platform, put: Put) -> None:
    from pipeline_assets.checks import balance_results

    put("many/a", content(walk_0=[1, 2], walk_1=[4]))
    batch = next_batch(platform, MANY)
    run(platform, batch, source=MANY)
    with platform.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE file_rows SET rows = 7 WHERE table_name = 'walk_1'")
    found = {one.asset_key.path[-1]: one for one in balance_results(platform, MANY, asset_keys(MANY), batch.batch_id)
             if one.asset_key}  # fmt: skip
    assert {name: one.passed for name, one in found.items()} == {
        "documents": True, "Walk": False, "Sleep": True, "Speech": True,
    }  # fmt: skip
    (row,) = found["Walk"].metadata["differences"].records
    assert (row.data["table"], row.data["rows in ledger"], row.data["rows in table"]) == ("walk_1", 7, 1)


# --- declarations


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets": MANY.datasets[:2]}, "tables are of datasets that it does not have: \\['Speech'\\]"),
        ({"tables": MANY.tables[: 1 + TABLES_EACH]}, "datasets without a table: \\['Sleep', 'Speech'\\]"),
        (
            {
                "tables": (MANY.tables[0], Table("late", Documents, ("later",)), Table("later", Documents)),
                "datasets": (),
            },
            "name \\['later'\\] before late, which is made of them",
        ),
        ({"tables": MANY.tables[1:]}, "its first table is the one that every file has rows in"),
        ({"tables": (replace(MANY.tables[0], name="Walk"), *MANY.tables[1:])}, "needs a name of its own: \\['Walk'\\]"),
    ],
)
def test_what_is_wrong_with_a_declaration_is_told(changes: dict[str, tuple[Table, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(MANY, **changes)  # type: ignore[arg-type]


def test_columns_are_refused_that_no_table_can_hold() -> None:
    with pytest.raises(TypeError, match=r"T\.a: no table type for list"):
        Columns("T", "", (ColumnInfo("a", pa.list_(pa.int32()), True, "", ""),))
    one = ColumnInfo("a", pa.int32(), True, "", "")
    with pytest.raises(ValueError, match=r"T: the columns \['a'\] are there twice"):
        Columns("T", "", (one, one))
    with pytest.raises(ValueError, match="file_id"):
        Columns("T", "", (replace(one, name="file_id"),))


def test_a_declaration_goes_to_another_process_and_stays_small() -> None:
    schema = MANY.tables[1].schema
    assert isinstance(schema, Columns)
    assert schema.arrow is schema.arrow
    copy = pickle.loads(pickle.dumps(schema))
    assert (columns_of(copy), arrow_schema(copy)) == (columns_of(schema), arrow_schema(schema))
    assert len(pickle.dumps(MANY)) < 1000 * len(MANY.tables)


def test_arrow_rows_become_a_table_without_a_copy_and_of_the_right_types() -> None:
    schema = MANY.tables[1].schema
    chunked = pa.chunked_array([pa.array([1, 2]), pa.array([3])])
    rows = {"n": chunked, "value": pa.array([1, None, 2.5]), "at": pa.nulls(3)}
    made = to_table(schema, pa.table(rows), {"file_id": "f", "batch_id": "b"})
    assert made.schema.types == arrow_schema(schema).types
    assert made["n"].num_chunks == 2
    assert made["value"].to_pylist() == [1, None, 2.5]
    with pytest.raises(RowsError, match="column n: "):
        to_table(schema, pa.table({**rows, "n": pa.array(["x", "y", "z"])}), {"file_id": "f", "batch_id": "b"})
    with pytest.raises(RowsError, match=r"Walk 0 lack the columns \['at'\]"):
        to_table(schema, pa.table({"n": chunked, "value": chunked}), {"file_id": "f", "batch_id": "b"})


def test_missing_values_are_told_by_file() -> None:
    schema = MANY.tables[1].schema
    made = to_table(
        schema, {"n": pa.array([1, None, 3, None, None], pa.int64()), "value": None, "at": None},
        {"file_id": "f", "batch_id": "b"},
    )  # fmt: skip
    found = violations(schema, made, [1, 0, 2, 2], ["file_id", "batch_id"])
    assert {at: one.message for at, one in found.items()} == {
        2: "column n: 1 rows have no value", 3: "column n: 2 rows have no value",
    }  # fmt: skip


def test_a_change_of_declared_columns_changes_the_code_version() -> None:
    def version(source: FileSource) -> str:
        return source_code_version(source)

    other = tuple(replace(one, type=pa.float32()) if one.name == "value" else one for one in columns_of_dataset("Walk"))
    changed = tuple(table("Walk", 0, other) if one.name == "walk_0" else one for one in MANY.tables)
    assert version(MANY) != version(replace(MANY, tables=changed))
    assert version(MANY) == version(replace(MANY, description="other"))
    assert version(TOY) == version(replace(TOY, description="other"))


# --- a source's own checks


def judge_values(rows: pd.DataFrame, config: object) -> Judgement:
    total = int(rows["tables"].sum())
    return Judgement(total < 3, f"{total} tables", {"tables": total}, [{"tables": int(one)} for one in rows["tables"]])


CHECK = SourceCheck(
    "few_tables", "documents", "A batch has rows for fewer than three tables.", ("tables",), judge_values
)


def test_a_source_s_own_check_sees_the_rows_of_the_batch(
    platform: Platform, instance: dg.DagsterInstance, put: Put
) -> None:
    source = replace(MANY, checks=(CHECK,))
    stopped = dg.DefaultSensorStatus.STOPPED
    job = build_defs(Overrides(sources=(source,), platform=platform, sensor_status=stopped)).resolve_job_def(
        "many_ingest"
    )
    files = {"a": content(walk_0=[1]), "b": content(walk_0=[1], walk_1=[], walk_2=[2])}
    for name, passed in (("a", True), ("b", False)):
        put(f"many/{name}", files[name])
        batch = next_batch(platform, source)
        instance.add_dynamic_partitions("many_batches", [batch.partition])
        result = job.execute_in_process(instance=instance, partition_key=batch.partition)
        (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "few_tables"]
        assert (found.passed, found.asset_key.path[-1], found.severity.value) == (passed, "documents", "WARN")
    assert found.description == "3 tables"
    assert found.metadata["tables"].value == 3


@pytest.mark.parametrize("changes", [{"table": "walk_0"}, {"table": "nosuch"}, {"columns": ("nosuch",)}])
def test_a_check_of_something_else_is_refused_by_name(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"check many\.few_tables is of .*, which the source does not have"):
        replace(MANY, checks=(replace(CHECK, **changes),))  # type: ignore[arg-type]


# --- a source that a run has with other tables than were declared


def renamed(platform: Platform, source: FileSource, config: object, tables: object) -> Adapted | None:
    """Rows for walk_0 go to a table of another name, once it is known that there are some."""
    if tables is None or "walk_0" not in tables:  # type: ignore[operator]
        return None
    other = tuple(replace(one, name="walk_9000") if one.name == "walk_0" else one for one in source.tables)
    return Adapted(replace(source, tables=other, derive=derive_renamed), NoConfig(), "walk_0 is walk_9000 today")


def derive_renamed(rows: object, config: NoConfig) -> dict[str, object]:
    made = MANY.derive(rows, config) if MANY.derive else {}
    return {"walk_9000" if name == "walk_0" else name: table for name, table in made.items()}


def test_a_run_may_have_other_tables_than_were_declared(platform: Platform, put: Put) -> None:
    source = replace(MANY, adapt=renamed)
    put("many/a", content(walk_0=[1, 2], sleep_3=[3]))
    batch = next_batch(platform, source)
    heard = Silent()
    report = run_batch(platform, source, NoConfig(), batch.batch_id, "run-1", heard, hold_when_stopped=lambda: True)
    assert heard.said == ["walk_0 is walk_9000 today"]
    assert set(report.tables) == {"documents", "walk_9000", "sleep_3"}
    assert values(platform, "walk_9000") == [1, 2]
    assert report.source is not None
    assert set(shown_tables(platform, source, snapshots(platform))) == {*MANY.table_names, "walk_9000"}
    found = balance(platform, source)
    assert found.balanced
    assert found.rows["walk_9000"] == 2
    results = {
        one.asset_key.path[-1]: one for one in balance_results(platform, source, asset_keys(source), batch.batch_id)
    }
    assert results["documents"].description == "3 rows of 1 files", "what no asset stands for shows at the first one"

    (row,) = list_files(platform.ledger)
    with platform.ledger.write() as connection:
        connection.execute(update(file_rows).where(file_rows.c.table_name == "walk_9000").values(rows=5))
    found = balance(platform, source)
    assert found.differing == {"walk_9000": [row.file_id]}
    results = {
        one.asset_key.path[-1]: one for one in balance_results(platform, source, asset_keys(source), batch.batch_id)
    }
    assert not results["documents"].passed
    assert reconcile(platform, source).read_again == [row.file_id]


def test_rows_of_undeclared_tables_are_kept_up(platform: Platform, put: Put) -> None:
    source = replace(MANY, adapt=renamed)
    for number in range(6):
        put(f"many/{number}", content(walk_0=[number]))
        run_batch(
            platform, source, NoConfig(), next_batch(platform, source).batch_id, f"run-{number}", Silent(),
            hold_when_stopped=lambda: True,
        )  # fmt: skip
    done = maintain(platform, source, "maintenance")
    assert done.merged >= 6
    assert sorted(value or 0 for value in values(platform, "walk_9000")) == [0, 1, 2, 3, 4, 5]
    assert balance(platform, source).balanced
