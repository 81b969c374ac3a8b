"""The real archive, its mapping files and its known answers."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.derive import Derived, derive_record
from pipeline_assets.health.flatten import Document, rows_of
from pipeline_assets.health.hive_types import shape_of_hive_type
from pipeline_assets.health.mapping import Mapping
from pipeline_assets.health.read import read_archive
from pipeline_assets.health.shapes import Struct
from pipeline_assets.health.tables import dataset_plan, plan_of_shape
from pipeline_assets.health.validate import Context, Validator, Verdict
from pipeline_assets.landed_file import LandedFile
from tests.health.archives_of import DATA, SCHEMAS, needs_data
from tests.health.rebuilt import documents_of, plain

pytestmark = needs_data

NAME = "OCJByUtSrVTYtqObYp7XZV_J-mtbSpelling.zip"


def real_archive() -> LandedFile:
    sidecar = LandedFile(
        f"{NAME}.metadata.json", path=DATA / "archive/OCJByUtSrVTYtqObYp7XZV_J.s3-object-metadata.json"
    )
    return LandedFile(NAME, path=DATA / "archive" / NAME, companions={sidecar.name: sidecar})


def made(config: HealthConfig) -> Derived:
    return derive_record(read_archive(real_archive(), config), config)


@pytest.fixture(params=["own", "theirs"])
def config(request: pytest.FixtureRequest) -> HealthConfig:
    """With Strandline's own mapping files, and with the original's."""
    return HealthConfig(schemas=DATA if request.param == "theirs" else None)


def expected() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
    return content


def test_every_file_goes_where_it_went(config: HealthConfig) -> None:
    routes = {file.name: file.dataset for file in read_archive(real_archive(), config).files}
    for name, wanted in expected()["routing (archive-map v4.7.2 + schema_mapping + dataset_mapping)"].items():
        assert routes[name] == (wanted and wanted.split(" ")[0]), name


def test_the_tables_have_the_rows_they_had_and_no_microphone_is_lost(config: HealthConfig) -> None:
    derived = made(config)
    wanted = {**expected()["table_rows"], "dataset_audiolevelrecord_v1": 8}
    assert {name: table.num_rows for name, table in derived.tables.items()} == wanted
    assert derived.unmapped == {}
    assert derived.unchecked == {"sharedSchema": ["taskData.json"]}
    keys = {(row["recordid"], row["assessmentid"], row["year"], row["month"], row["day"])
            for table in derived.tables.values() for row in table.to_pylist()}  # fmt: skip
    assert keys == {("OCJByUtSrVTYtqObYp7XZV_J", "spelling", 2022, 2, 15)}


def test_all_fields_have_columns_and_joined_back_they_are_the_files(config: HealthConfig) -> None:
    import zipfile

    derived, mapping = made(config), Mapping.load(config.schemas)
    assert {text for table in derived.tables.values() for text in table["_extra"].to_pylist()} == {None}
    with zipfile.ZipFile(DATA / "archive" / NAME) as archive:
        for file in read_archive(real_archive(), config).files:
            if file.dataset and file.dataset != "ArchiveMetadata_v1":
                found = documents_of(dataset_plan(mapping, file.dataset), derived.tables)
                (document,) = [one for (_, name), one in found.items() if name == file.name]
                assert plain(_spelled(document)) == plain(_spelled(json.loads(archive.read(file.name))))


def _spelled(value: Any) -> Any:
    """Names in lower case, as catalogues of Hive have them."""
    if isinstance(value, dict):
        return {name.lower(): _spelled(one) for name, one in value.items()}
    return [_spelled(one) for one in value] if isinstance(value, list) else value


def test_archive_metadata_has_every_annotation(config: HealthConfig) -> None:
    row = made(config).tables["dataset_archivemetadata_v1"].to_pylist()[0]
    annotations = json.loads((DATA / "archive/OCJByUtSrVTYtqObYp7XZV_J.s3-object-metadata.json").read_text())
    for name, text in annotations.items():
        assert row[name] is not None, name
        if isinstance(row[name], int | str):
            assert str(row[name]) == text


def _members(name: str) -> Any:
    import zipfile

    with zipfile.ZipFile(DATA / "archive" / NAME) as archive:
        return json.loads(archive.read(name))


@pytest.mark.parametrize(
    ("name", "schema", "errors"),
    [
        ("metadata.json", "v2/ArchiveMetadata", 0),
        ("motion.json", "v2/MotionRecord", 0),
        ("weather.json", "v2/WeatherResult", 0),
        ("microphone_levels.json", "v2/AudioLevelRecord", 0),
        ("weather.json", "v1/WeatherResult", 2),
        ("microphone_levels.json", "v1/AudioLevelRecord", 4),
    ],
)
def test_the_known_numbers_of_errors(name: str, schema: str, errors: int) -> None:
    assert expected()["json_schema_errors"][f"{name} {schema}"] == errors
    verdict = Verdict()
    Validator(Mapping.load(DATA).schemas, f"{SCHEMAS}/{schema}.json").check(_members(name), verdict, Context())
    assert len(verdict.errors) == errors


def test_a_field_that_is_required_from_now_on_is_one_error(tmp_path: Path) -> None:
    mapping = Mapping.load()
    schema = dict(mapping.schemas.by_id[f"{SCHEMAS}/v2/ArchiveMetadata.json"])
    schema["required"] = [*schema["required"], "cookies"]
    (tmp_path / "ArchiveMetadata.json").write_text(json.dumps(schema))
    verdict = Verdict()
    Validator(Mapping.load(tmp_path).schemas, schema["$id"]).check(_members("metadata.json"), verdict, Context())
    assert [error.message for error in verdict.errors] == ["'cookies' is a required property"]


def _fixture(folder: str) -> list[Document]:
    documents = []
    for path in sorted((DATA / folder).rglob("*.json")):
        keys = dict(part.split("=") for part in path.relative_to(DATA / folder).parts[:-1])
        content = json.loads(path.read_text())
        day = date(int(keys["year"]), int(keys["month"]), int(keys["day"]))
        documents.append(Document(keys["dataset"], path.name, content["recordid"], keys["assessmentid"], day, content))
    return documents


def test_the_nested_and_the_flat_fixture_give_their_rows() -> None:
    nested = Struct(
        {
            "arrayofobjectsfield": shape_of_hive_type("array<struct<filename:string,timestamp:string>>"),
            "objectfield": shape_of_hive_type("struct<filename:string,timestamp:string>"),
        }
    )
    wanted = expected()["nested_table_fixture"]
    tables = rows_of({"pytest_nested_table": plan_of_shape("pytest_nested_table", nested)}, _fixture("nested_table"))
    root = tables["dataset_pytest_nested_table"]
    assert root.num_rows == wanted["root_rows"]
    assert set(wanted["root_columns"]) == set(root.column_names) - {"file_name", "_extra"}
    child = tables[wanted["child"]]
    assert set(wanted["child_columns"]) == set(child.column_names) - {"file_name", "_extra"}
    rows = sorted(child.to_pylist(), key=lambda row: row["recordid"])
    assert [[row["filename"], row["timestamp"], row["assessmentid"], f"{row['year']}", f"{row['month']:02}", f"{row['day']:02}",
             row["recordid"]] for row in rows] == wanted["child_rows_sorted_by_recordid"]  # fmt: skip
    assert {text for table in tables.values() for text in table["_extra"].to_pylist()} == {None}

    flat = rows_of({"pytest_flat_table": plan_of_shape("pytest_flat_table", Struct())}, _fixture("flat_table"))
    table = flat["dataset_pytest_flat_table"]
    assert (table.num_rows, len(set(table.column_names) - {"file_name", "_extra"})) == (3, 5)
    assert table["_extra"].null_count == 3


def test_the_annotations_of_all_fourteen_records_are_understood() -> None:
    from pipeline_assets.health.read import annotations_of
    from tests.health.archives_of import landed

    records = json.loads((DATA / "annotations/metadata.json").read_text())
    assert len(records) == 14
    mapping = Mapping.load(DATA)
    for record_id, said in records.items():
        annotations = annotations_of(landed({}, said))
        assert annotations["recordid"] == record_id
        assert mapping.schema_for(annotations, "motion.json").where == "app"
