"""What Dagster is told, walked through for every source; and that telling it touches nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets.columns import columns_of
from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.registry import SOURCES
from pipeline_assets.source import FileSource, Table
from resources.platform import Platform
from resources.settings import Settings
from tests.toy_source import TOY

ROOT = Path(__file__).parents[1]
ALL = (*SOURCES, TOY)
TABLES = [(source, table) for source in ALL for table in source.tables]
TABLE_IDS = [f"{source.name}.{table.name}" for source, table in TABLES]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("definitions") / "home"


@pytest.fixture(scope="module")
def defs(home: Path) -> dg.Definitions:
    return build_defs(Overrides(sources=ALL, platform=Platform(Settings(home=home))))


@pytest.fixture(scope="module")
def specs(defs: dg.Definitions) -> dict[dg.AssetKey, dg.AssetSpec]:
    return {spec.key: spec for spec in defs.resolve_all_asset_specs()}


def key_of(source: FileSource, name: str) -> dg.AssetKey:
    return dg.AssetKey([source.name, name])


def assert_told(spec: dg.AssetSpec) -> None:
    assert spec.description
    assert spec.owners
    assert spec.kinds
    assert spec.group_name == spec.key.path[0]
    assert spec.metadata["dagster/uri"].startswith("file:///")
    references = spec.metadata["dagster/code_references"].code_references
    assert references
    for reference in references:
        assert Path(reference.file_path).is_file()
        assert reference.line_number
    assert isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition)
    assert spec.partitions_def.name == f"{spec.group_name}_batches"


def test_every_asset_is_of_a_source_and_every_source_has_its_assets(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    expected = {key_of(source, name) for source in ALL for name in ("raw_files", *source.table_names)}
    assert set(specs) == expected


def test_every_asset_tells_what_it_is(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    for spec in specs.values():
        assert_told(spec)


@pytest.mark.parametrize(("source", "table"), TABLES, ids=TABLE_IDS)
def test_every_table_tells_its_columns_and_place(
    source: FileSource, table: Table, specs: dict[dg.AssetKey, dg.AssetSpec], home: Path
) -> None:
    metadata = specs[key_of(source, table.name)].metadata
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


@pytest.mark.parametrize(("source", "table"), TABLES, ids=TABLE_IDS)
def test_every_table_has_its_parents_and_checks(
    source: FileSource, table: Table, specs: dict[dg.AssetKey, dg.AssetSpec], defs: dg.Definitions
) -> None:
    parents = {dependency.asset_key for dependency in specs[key_of(source, table.name)].deps}
    assert parents == {key_of(source, parent) for parent in table.derived_from or ("raw_files",)}
    graph = defs.resolve_asset_graph()
    checks = {key.name for key in graph.asset_check_keys if key.asset_key == key_of(source, table.name)}
    assert checks == {"schema", "balance"} | ({"quarantine_rate"} if table is source.tables[0] else set())
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        assert spec.description
        assert isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition)


def test_a_backfill_starts_one_run_for_each_batch(defs: dg.Definitions) -> None:
    for asset in defs.assets or []:
        assert isinstance(asset, dg.AssetsDefinition)
        assert asset.backfill_policy == dg.BackfillPolicy.multi_run(1)


def test_every_source_has_a_job_and_a_sensor_that_is_on(defs: dg.Definitions) -> None:
    for source in ALL:
        job = defs.resolve_job_def(f"{source.name}_ingest")
        assert set(job.asset_layer.executable_asset_keys) == {
            key_of(source, name) for name in ("raw_files", *source.table_names)
        }
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
