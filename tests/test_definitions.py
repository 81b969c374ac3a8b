"""What Dagster is told, walked through for every source; and that telling it touches nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pandera.pandas as pa
import pytest
from pandera.typing import Series

from pipeline_assets import metadata
from pipeline_assets.aggregate import Aggregate
from pipeline_assets.columns import columns_of
from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.registry import SOURCES
from pipeline_assets.source import FileSource, Table
from resources.platform import Platform
from resources.settings import Settings, SettingsError
from tests import metadata_contract as contract
from tests.toy_source import TOY

ROOT = Path(__file__).parents[1]
ALL = (*SOURCES, TOY)
TABLES = [(source, table) for source in ALL for table in source.tables]
AGGREGATES = [(source, aggregate) for source in ALL for aggregate in source.aggregates]
AGGREGATE_IDS = [f"{source.name}.{aggregate.name}" for source, aggregate in AGGREGATES]
AGGREGATE_KEYS = {dg.AssetKey([source.name, aggregate.name]) for source, aggregate in AGGREGATES}
TABLE_IDS = [f"{source.name}.{table.name}" for source, table in TABLES]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("definitions") / "home"


@pytest.fixture(scope="module")
def defs(home: Path) -> dg.Definitions:
    return build_defs(Overrides(sources=ALL, platform=Platform(Settings(home=home))))


@pytest.fixture(scope="module")
def specs(defs: dg.Definitions) -> dict[dg.AssetKey, dg.AssetSpec]:
    """Of all sources."""
    return {spec.key: spec for spec in specs_of_sources(defs)}


def specs_of_sources(defs: dg.Definitions) -> list[dg.AssetSpec]:
    return [spec for spec in defs.resolve_all_asset_specs() if spec.group_name != "operations"]


def key_of(source: FileSource, name: str) -> dg.AssetKey:
    return dg.AssetKey([source.name, name])


def keys_of(source: FileSource) -> set[dg.AssetKey]:
    """Of its assets that are made batch by batch."""
    products = (product.name for product in source.products_of(source.config()))
    datasets = (dataset.name for dataset in source.datasets)
    return {key_of(source, name) for name in ("raw_files", *source.table_names, *datasets, *products)}


OPERATIONS_OF_SOURCES = {dg.AssetKey(["health", "completeness"]), dg.AssetKey(["health", "sample"])}


def assert_told(spec: dg.AssetSpec) -> None:
    assert spec.group_name == spec.key.path[0]
    if spec.key in OPERATIONS_OF_SOURCES:
        assert spec.partitions_def is None
        return
    assert spec.metadata["dagster/uri"].startswith("file:///")
    references = spec.metadata["dagster/code_references"].code_references
    assert references
    for reference in references:
        assert Path(reference.file_path).is_file()
        assert reference.line_number
    if spec.key in AGGREGATE_KEYS:
        assert spec.partitions_def is None
        assert spec.code_version
        return
    assert isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition)
    assert spec.partitions_def.name == f"{spec.group_name}_batches"


def test_every_asset_is_of_a_source_and_every_source_has_its_assets(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    expected = {key for source in ALL for key in keys_of(source)}
    assert set(specs) == expected | AGGREGATE_KEYS | OPERATIONS_OF_SOURCES


def test_every_asset_tells_what_it_is(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    assert contract.missing(specs.values()) == []
    for spec in specs.values():
        assert_told(spec)


ENTRIES = [
    *(("files", name) for name in contract.OF_TABLE),
    *(("raw_files", name) for name in contract.OF_RAW_FILES),
]


@pytest.mark.parametrize(("asset", "name"), ENTRIES, ids=[f"{asset}: {name}" for asset, name in ENTRIES])
def test_the_walk_finds_an_entry_that_is_missing(
    home: Path, monkeypatch: pytest.MonkeyPatch, asset: str, name: str
) -> None:
    function = "raw_metadata" if asset == "raw_files" else "table_metadata"
    whole = getattr(metadata, function)
    monkeypatch.setattr(
        metadata, function, lambda *given: {key: value for key, value in whole(*given).items() if key != name}
    )
    made = build_defs(Overrides(sources=(TOY,), platform=Platform(Settings(home=home))))
    assert f"toy/{asset}: {name}" in contract.missing(specs_of_sources(made))


@pytest.mark.parametrize(
    ("name", "empty"), [("description", None), ("owners", []), ("kinds", set()), ("code_version", None)]
)
def test_the_walk_finds_an_attribute_that_is_missing(
    specs: dict[dg.AssetKey, dg.AssetSpec], name: str, empty: object
) -> None:
    key = key_of(TOY, "files")
    poorer = specs | {key: specs[key].replace_attributes(**{name: empty})}
    assert contract.missing(poorer.values()) == [f"toy/files: {name}"]


def test_the_walk_finds_a_column_whose_origin_is_not_declared(home: Path) -> None:
    class Undeclared(pa.DataFrameModel):
        total: Series[float] = pa.Field(description="sum")
        value: Series[float] = pa.Field(description="inherited by its name")

    source = replace(TOY, tables=(TOY.tables[0], Table("sums", Undeclared, derived_from=("readings",))))
    made = build_defs(Overrides(sources=(source,), platform=Platform(Settings(home=home))))
    (found,) = contract.missing(specs_of_sources(made))
    assert found.startswith("toy/sums: lineage of total; in its schema.py say what it is made from")


@pytest.mark.parametrize(("source", "table"), TABLES, ids=TABLE_IDS)
def test_every_table_tells_its_columns_and_place(
    source: FileSource, table: Table, specs: dict[dg.AssetKey, dg.AssetSpec], home: Path
) -> None:
    assert_table_told(source, table, specs[key_of(source, table.name)], home)


@pytest.mark.parametrize(("source", "aggregate"), AGGREGATES, ids=AGGREGATE_IDS)
def test_every_aggregate_tells_its_columns_and_place(
    source: FileSource, aggregate: Aggregate, specs: dict[dg.AssetKey, dg.AssetSpec], home: Path
) -> None:
    assert_table_told(source, aggregate, specs[key_of(source, aggregate.name)], home)


def assert_table_told(source: FileSource, table: Table | Aggregate, spec: dg.AssetSpec, home: Path) -> None:
    metadata = spec.metadata
    assert metadata["dagster/table_name"] == f"{source.name}.{table.name}"
    assert metadata["dagster/uri"] == f"file://{home}/lake/warehouse/{source.name}/{table.name}"
    assert metadata["dagster/storage_kind"] == "iceberg"
    columns = metadata["dagster/column_schema"].columns
    assert [column.name for column in columns] == [column.name for column in columns_of(table.schema)]
    assert {"file_id", "batch_id"} <= {column.name for column in columns}
    for column in columns:
        assert column.type
        assert column.description, f"{table.name}.{column.name} has no description"


def test_units_and_rules_are_shown(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    schema = specs[key_of(TOY, "readings")].metadata["dagster/column_schema"]
    columns = {column.name: column for column in schema.columns}
    assert columns["value"].description == "reading [mm]"
    assert columns["value"].constraints.other == ["≤ 1000"]
    assert (columns["n"].type, columns["value"].type, columns["file_id"].type) == ("int", "double", "string")
    assert not columns["n"].constraints.nullable


def origins(specs: dict[dg.AssetKey, dg.AssetSpec], source: FileSource, table: str) -> dict[str, set[str]]:
    lineage = specs[key_of(source, table)].metadata["dagster/column_lineage"].deps_by_column
    return {name: {f"{one.asset_key.path[-1]}.{one.column_name}" for one in found} for name, found in lineage.items()}


def test_columns_come_from_the_file_from_columns_of_the_same_name_or_as_declared(
    specs: dict[dg.AssetKey, dg.AssetSpec],
) -> None:
    assert origins(specs, TOY, "readings") == {
        "n": {"raw_files.content"}, "value": {"raw_files.content"}, "file_id": {"raw_files.file_id"},
        "batch_id": {"raw_files.batch_id"},
    }  # fmt: skip
    assert origins(specs, TOY, "files") == {
        "source_key": {"raw_files.key"}, "readings": {"readings.n"}, "file_id": {"readings.file_id"},
        "batch_id": {"readings.batch_id"},
    }  # fmt: skip
    recordings = origins(specs, SOURCES[0], "recordings")
    assert recordings["mean_mv"] == {"samples.mv"}
    assert recordings["class_label"] == {"raw_files.key"}
    assert recordings["recording_id"] == {"samples.recording_id"}
    table = specs[key_of(TOY, "files")].metadata["columns come from"].value
    assert "| `source_key` | `file.key` |\n| `readings` | `readings.n` |" in table


@pytest.mark.parametrize("text", ["readings.nosuch", "other.n", "n", "file.size"])
def test_an_origin_that_is_none_is_refused_by_name(home: Path, text: str) -> None:
    class Wrong(pa.DataFrameModel):
        total: Series[float] = pa.Field(description="sum", metadata={"from": [text]})

    source = replace(TOY, tables=(TOY.tables[0], Table("sums", Wrong, derived_from=("readings",))))
    with pytest.raises(
        ValueError, match=rf"Wrong.total: .* made from '{text}', which is no column that sums can"
    ) as error:
        build_defs(Overrides(sources=(source,), platform=Platform(Settings(home=home))))
    assert "Expected one of: file, file.key, readings.COLUMN" in str(error.value)


# --- code versions


CODE_VERSION = """
import sys; sys.path.insert(0, {place!r})
from dataclasses import replace
from pipeline_assets.code_version import source_code_version
from pipeline_assets.source import Reader
from tests.toy_source import TOY
import a_source.read, a_source.schema
source = replace(TOY, readers=(Reader("a", "a", a_source.read.recognise, a_source.read.read),), derive=None,
                 tables=(replace(TOY.tables[0], schema=a_source.schema.Rows),))
print(source_code_version(source))
"""


def version_of(place: Path) -> str:
    done = python(CODE_VERSION.format(place=str(place)))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_code_version_follows_the_source_s_own_code_wherever_it_lies(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "a_source"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "read.py").write_text(
        "from a_source.helpers import SIZE\ndef recognise(head): return True\ndef read(file, config): return SIZE\n"
    )
    (folder / "helpers.py").write_text("SIZE = 1\n")
    (folder / "schema.py").write_text("from tests.toy_source import Readings\nclass Rows(Readings):\n    pass\n")
    (folder / "notes.txt").write_text("no code")
    first = version_of(tmp_path / "one")
    assert len(first) == 12

    elsewhere = shutil.copytree(tmp_path / "one", tmp_path / "another machine")
    for path in elsewhere.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    (elsewhere / "a_source" / "notes.txt").write_text("other")
    assert version_of(elsewhere) == first

    (folder / "helpers.py").write_text("SIZE = 2\n")
    assert version_of(tmp_path / "one") not in {"", first}, "a module that a reader imports counts"


def test_tables_of_a_source_share_its_code_version_and_sources_differ(
    specs: dict[dg.AssetKey, dg.AssetSpec],
) -> None:
    versions = {
        source.name: {specs[key_of(source, name)].code_version for name in source.table_names} for source in ALL
    }
    assert all(len(of_source) == 1 for of_source in versions.values())
    assert len(set.union(*versions.values())) == len(ALL)


# --- freshness


def test_a_source_that_expects_files_has_policies_and_a_check(home: Path) -> None:
    source = replace(TOY, expect_every=timedelta(hours=1))
    made = build_defs(Overrides(sources=(source,), platform=Platform(Settings(home=home))))
    specs = specs_of_sources(made)
    assert contract.missing(specs, fresh=["toy"]) == []
    assert {spec.freshness_policy for spec in specs if spec.partitions_def} == {
        dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=2), warn_window=timedelta(hours=1))
    }
    assert "freshness" in {key.name for key in made.resolve_asset_graph().asset_check_keys}
    assert made.resolve_sensor_def("toy_freshness").description
    usual = build_defs(Overrides(sources=(TOY,), platform=Platform(Settings(home=home))))
    lacking = contract.missing(specs_of_sources(usual), fresh=["toy"])
    assert "toy/raw_files: freshness_policy" in lacking


def test_settings_say_for_any_source_how_often_files_are_expected(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_EXPECT_EVERY_HOURS", "ecg=24, toy=0.5")
    made = build_defs(Overrides(sources=ALL, platform=Platform(Settings(home=home))))
    specs = [spec for spec in made.resolve_all_asset_specs() if spec.partitions_def]
    policies = {spec.key.path[0]: spec.freshness_policy for spec in specs}
    assert policies["ecg"].warn_window.to_timedelta() == timedelta(hours=24)
    assert policies["toy"].warn_window.to_timedelta() == timedelta(minutes=30)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nosuch=1", r"STRANDLINE_EXPECT_EVERY_HOURS names no source: nosuch\. Sources: bathymetry, ecg"),
        ("24", "STRANDLINE_EXPECT_EVERY_HOURS='24': .*expected SOURCE=HOURS"),
        ("ecg=0", "STRANDLINE_EXPECT_EVERY_HOURS=.*greater than or equal to"),
        ("ecg=daily", "STRANDLINE_EXPECT_EVERY_HOURS=.*valid number"),
    ],
)
def test_what_is_wrong_with_an_expectation_is_told(monkeypatch: pytest.MonkeyPatch, value: str, message: str) -> None:
    monkeypatch.setenv("STRANDLINE_EXPECT_EVERY_HOURS", value)
    with pytest.raises(SettingsError, match=message):
        build_defs()


def test_an_expectation_under_a_minute_is_refused() -> None:
    with pytest.raises(ValueError, match="expect_every is 0:00:30; use a minute or more"):
        replace(TOY, expect_every=timedelta(seconds=30))


@pytest.mark.parametrize(("source", "table"), TABLES, ids=TABLE_IDS)
def test_every_table_has_its_parents_and_checks(
    source: FileSource, table: Table, specs: dict[dg.AssetKey, dg.AssetSpec], defs: dg.Definitions
) -> None:
    parents = {dependency.asset_key for dependency in specs[key_of(source, table.name)].deps}
    of_dataset = (table.dataset,) if table.dataset else ()
    assert parents == {key_of(source, parent) for parent in (*of_dataset, *table.derived_from) or ("raw_files",)}
    graph = defs.resolve_asset_graph()
    checks = {key.name for key in graph.asset_check_keys if key.asset_key == key_of(source, table.name)}
    own = {check.name for check in source.checks if check.table == table.name}
    usual = set() if table.dataset else {"schema", "balance"}
    of_first = {"quarantine_rate"} | ({"served"} if source.serving else set())
    assert checks == usual | own | (of_first if table is source.tables[0] else set())
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        assert spec.description
        assert isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition) != (
            key.asset_key in AGGREGATE_KEYS | OPERATIONS_OF_SOURCES or key.asset_key.path[0] == "operations"
        )


@pytest.mark.parametrize(("source", "aggregate"), AGGREGATES, ids=AGGREGATE_IDS)
def test_every_aggregate_has_its_parent_checks_and_place_in_the_job(
    source: FileSource, aggregate: Aggregate, specs: dict[dg.AssetKey, dg.AssetSpec], defs: dg.Definitions
) -> None:
    key = key_of(source, aggregate.name)
    assert [dependency.asset_key for dependency in specs[key].deps] == [key_of(source, aggregate.of)]
    checks = {check.name for check in defs.resolve_asset_graph().asset_check_keys if check.asset_key == key}
    assert checks == {"schema", "recomputed"} | ({"served"} if source.serving else set())
    job = defs.resolve_job_def(f"{source.name}_aggregates")
    assert key in job.asset_layer.executable_asset_keys
    assert job.partitions_def is None
    assert job.description


def test_one_sensor_asks_for_all_aggregates(defs: dg.Definitions) -> None:
    sensor = defs.resolve_sensor_def("aggregates")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert sensor.description
    assert {target.job_name for target in sensor.targets} == {f"{source.name}_aggregates" for source, _ in AGGREGATES}


def test_a_backfill_starts_one_run_for_each_batch(defs: dg.Definitions) -> None:
    for asset in defs.assets or []:
        assert isinstance(asset, dg.AssetsDefinition)
        if asset.keys <= AGGREGATE_KEYS or asset.partitions_def is None:
            continue
        assert asset.backfill_policy == dg.BackfillPolicy.multi_run(1)


def test_every_source_has_a_job_and_a_sensor_that_is_on(defs: dg.Definitions) -> None:
    for source in ALL:
        job = defs.resolve_job_def(f"{source.name}_ingest")
        assert set(job.asset_layer.executable_asset_keys) == keys_of(source)
        assert isinstance(job.partitions_def, dg.DynamicPartitionsDefinition)
        assert job.description
        sensor = defs.resolve_sensor_def(f"{source.name}_arrivals")
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        assert sensor.description


def test_making_definitions_opens_nothing(defs: dg.Definitions, home: Path) -> None:
    assert defs.assets
    assert not home.exists()


# --- as processes of their own

BLOCK_NETWORK = """
import socket
def blocked(*args, **kwargs):
    raise AssertionError("network touched")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = blocked
"""


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("STRANDLINE_", "DAGSTER_"))}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=variables | environment, capture_output=True, text=True, check=False
    )


def test_importing_definitions_touches_no_file_and_no_network(tmp_path: Path) -> None:
    code = BLOCK_NETWORK + "import pipeline_assets.definitions as d; print(len(d.defs.assets))"
    done = python(code, STRANDLINE_HOME=str(tmp_path / "nowhere"), STRANDLINE_LANDING=str(tmp_path / "no landing"))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_reader_processes_do_not_load_dagster(source: FileSource) -> None:
    code = (
        "import sys; sys.modules['dagster'] = None\n"
        f"import pipeline_assets.reading, pipeline_assets.batch_run, pipeline_assets.{source.name}.source, sensors.looking\n"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr


COMMANDS = [
    ["dagster", "definitions", "validate", "-m", "pipeline_assets.definitions"],
    ["dg", "check", "defs"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_dagster_s_own_validation(command: list[str], tmp_path: Path) -> None:
    program = Path(sys.executable).parent / command[0]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("STRANDLINE_", "DAGSTER_"))}
    variables |= {
        "STRANDLINE_HOME": str(tmp_path / "nowhere"),
        "DAGSTER_HOME": str(tmp_path),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(program.parent.parent),
    }
    done = subprocess.run([program, *command[1:]], cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "nowhere").exists()
