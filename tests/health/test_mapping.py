"""Which schema and dataset a file belongs to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline_assets.health.mapping import OWN_FOLDER, Mapping, SchemaChoice
from pipeline_assets.health.schemas import MappingError
from pipeline_assets.health.tables import dataset_tables
from tests.health.archives_of import DATA, SCHEMAS, needs_data

OWN = Mapping.load()


def record(assessment: str = "spelling", revision: str = "5", **more: str) -> dict[str, str | None]:
    return {"assessmentid": assessment, "assessmentrevision": revision, **more}


def choice(name: str, annotations: dict[str, str | None], metadata: Any = None, mapping: Mapping = OWN) -> SchemaChoice:
    return mapping.schema_for(annotations, name, metadata)


def test_an_archive_may_name_the_schemas_itself() -> None:
    metadata = {
        "files": [{"filename": "motion.json", "jsonSchema": f"{SCHEMAS}/v1/MotionRecord.json#"}, {"filename": 3}, None]
    }
    found = choice("a/motion.json", record(), metadata)
    assert found == SchemaChoice(
        f"{SCHEMAS}/v1/MotionRecord.json", "metadata.json", f"{SCHEMAS}/v1/MotionRecord.json#", held=True
    )
    assert OWN.dataset_for(found.schema_id, record(), "a/motion.json") is None, "no mapping knows it"
    assert choice("weather.json", record(), metadata).where == "app"
    assert choice("motion.json", record(), {"files": "none"}).where == "app"


def test_a_file_is_looked_up_by_its_assessment_then_its_app_then_everywhere() -> None:
    found = choice("left_motion.json", record("tremor", "9"))
    assert (found.schema_id, found.where) == (f"{SCHEMAS}/v2/MotionRecord.json", "assessment")
    assert choice("left_motion.json", record("tremor", "0")).schema_id is None, "its first revision is 1"
    assert choice("motion.json", record("tremor", "1")).where == "app"
    assert choice("motion.json", record(appid="another-app")).schema_id is None
    assert choice("metadata.json", record(appid="another-app")).where == "inter-app"
    assert choice("info.json", record()).schema_id is None, "it is in the archive map and has no schema"
    assert choice("taskData.json", record()).schema_id == "sharedSchema"
    assert choice("taskData.json", record("GradualOnsetV1", "1")).schema_id == "sharedSchema_for_Gradual_Onset"
    assert choice("microphone.json", record()).schema_id == f"{SCHEMAS}/v2/AudioLevelRecord.json", "it is renamed"


def test_of_several_revisions_the_closest_up_to_the_records_counts(tmp_path: Path) -> None:
    files = [{"filename": "x.json", "jsonSchema": f"urn:{revision}"} for revision in (1, 3, 7)]
    assessments = [
        {"assessmentIdentifier": "a", "assessmentRevision": revision, "files": [file]}
        for revision, file in zip((3, 1, 7), (files[1], files[0], files[2]), strict=True)
    ]
    (tmp_path / "archive-map.json").write_text(json.dumps({"assessments": assessments}))
    mapping = Mapping.load(tmp_path)
    found = [
        choice("x.json", record("a", str(revision)), mapping=mapping).schema_id for revision in (0, 1, 2, 3, 6, 7, 99)
    ]
    assert found == [None, "urn:1", "urn:1", "urn:3", "urn:3", "urn:7", "urn:7"]
    assert choice("x.json", record("a", "seven"), mapping=mapping).schema_id is None


def test_an_apps_files_for_any_archive_win_over_its_defaults(tmp_path: Path) -> None:
    def named(name: str) -> list[dict[str, str]]:
        return [{"filename": "x.json", "jsonSchema": name}]

    app = {
        "appId": "study",
        "default": [{"files": named("urn:one")}, {"files": named("urn:two")}],
        "anyOf": named("urn:any"),
    }
    (tmp_path / "archive-map.json").write_text(json.dumps({"assessments": [], "apps": [app]}))
    assert choice("x.json", record(appid="study"), mapping=Mapping.load(tmp_path)).schema_id == "urn:any"
    del app["anyOf"]
    (tmp_path / "archive-map.json").write_text(json.dumps({"assessments": [], "apps": [app]}))
    assert choice("x.json", record(appid="study"), mapping=Mapping.load(tmp_path)).schema_id == "urn:two"


@pytest.mark.parametrize(
    ("assessment", "revision", "name", "dataset"),
    [
        ("dccs", "5", "motion.json", "MotionRecord_v1"),
        ("dccs", "5", "microphone.json", "AudioLevelRecord_v1"),
        ("dccs", "5", "jellybeanz.json", None),
        ("dccs", "-1", "motion.json", None),
        ("juggling", "5", "motion.json", None),
    ],
)
def test_records_from_before_schemas_are_mapped_by_hand(
    assessment: str, revision: str, name: str, dataset: str | None
) -> None:
    annotations = record(assessment, revision)
    assert OWN.dataset_for(None, annotations, name) == dataset
    assert OWN.dataset_for("urn:nobody-knows", annotations, name) == dataset
    assert OWN.is_legacy(annotations) == (assessment == "dccs" and revision == "5")


def test_the_schemas_id_decides_about_the_dataset_before_anything_else() -> None:
    weather = f"{SCHEMAS}/v2/WeatherResult.json"
    assert OWN.dataset_for(weather, record("dccs", "5"), "motion.json") == "WeatherResult_v1"


def test_addresses_on_the_web_are_known_by_their_ids() -> None:
    base = "https://raw.githubusercontent.com"
    for address, schema_id, held in (
        (
            f"{base}/MobileToolbox/MobileToolboxSchemas/0.9.4/3DRotation/3DRotationJSONSchema.json",
            "schemas/v0/3DRotation.json",
            False,
        ),
        (
            f"{base}/Sage-Bionetworks/mobile-client-json/v4.7.2/schemas/v2/MotionRecord.json",
            f"{SCHEMAS}/v2/MotionRecord.json",
            True,
        ),
        ("https://example.org/x.json", "https://example.org/x.json", False),
    ):
        found = choice("x.json", record(), {"files": [{"filename": "x.json", "jsonSchema": address}]})
        assert (found.schema_id, found.held, found.address) == (schema_id, held, address)


def test_every_schema_that_ships_refers_to_others_that_ship() -> None:
    from pipeline_assets.health.validate import missing_references

    assert len(OWN.schemas.by_id) >= 15
    for schema_id in OWN.schemas.by_id:
        assert missing_references(OWN.schemas, schema_id) == [], schema_id


def test_a_folder_of_ones_own_comes_first_and_lacks_nothing(tmp_path: Path) -> None:
    schema = {"$id": "urn:mine", "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
              "properties": {"a": {"type": "integer"}}}  # fmt: skip
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/mine.json").write_text(json.dumps(schema))
    (tmp_path / "schema_mapping.json").write_text(
        json.dumps({"urn:mine": "Mine_v1", f"{SCHEMAS}/v2/MotionRecord.json": "M_v1"})
    )
    mapping = Mapping.load(tmp_path)
    assert mapping.version != OWN.version
    assert {"Mine_v1", "M_v1", "sharedSchema_v1"} <= set(mapping.datasets)
    names = {spec.name: spec for spec in dataset_tables(mapping)}
    assert "a" in names["dataset_mine_v1"].schema.names
    assert "sensorType" in names["dataset_m_v1"].schema.names
    assert names["dataset_sharedschema_v1_steps"].parent == "dataset_sharedschema_v1"


def test_a_catalogue_that_has_lost_the_case_of_names_only_adds_what_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "table_columns.yaml").write_text(
        "tables:\n  sharedSchema_v1:\n    columns:\n      - {Name: recordid, Type: string}\n      - {Name: stephistory, Type: "
        "'array<struct<startdate:string,mood:int>>'}\n      - {Name: extraone, Type: bigint}\n"
        "  Rows_v1:\n    columns:\n      - {Name: x, Type: double}\n"
    )
    (tmp_path / "dataset_crawler_assignments.yaml").write_text("array_of_records: [Rows_v1]\n")
    (tmp_path / "dataset_mapping.json").write_text(
        json.dumps({"assessmentIdentifier": {"a": {"assessmentRevision": {"1": {"x.json": "Rows_v1"}}}}})
    )
    names = {spec.name: spec.schema for spec in dataset_tables(Mapping.load(tmp_path))}
    own = {spec.name: spec.schema for spec in dataset_tables(OWN)}
    assert set(names["dataset_sharedschema_v1"].names) - set(own["dataset_sharedschema_v1"].names) == {"extraone"}
    steps = names["dataset_sharedschema_v1_stepHistory"]
    assert set(steps.names) - set(own["dataset_sharedschema_v1_stepHistory"].names) == {"mood"}
    assert str(steps.field("startDate").type) == "timestamp[us, tz=UTC]"
    assert names["dataset_rows_v1"].names[:2] == ["index", "x"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("schema_mapping.json", '{"a": 1}', "from the $id of a schema to the id of a dataset"),
        ("schema_mapping.json", '{"a": "no/slash"}', "is no id of a dataset"),
        ("schema_mapping.json", "[]", "expected a JSON object"),
        ("dataset_mapping.json", '{"dccs": {}}', "assessmentRevision"),
        ("archive-map.json", '{"anyOf": [{"jsonSchema": "x"}]}', "no archive map"),
        (
            "archive-map.json",
            '{"assessments": [{"assessmentIdentifier": "a", "assessmentRevision": "1"}]}',
            "whole number",
        ),
        ("table_columns.yaml", "tables: {A: {columns: [{Name: x, Type: 'array<int'}]}}", "no Hive type"),
        ("table_columns.yaml", "tables: [", "no YAML"),
        ("lookup.json", '{"aliases": [{"pattern": "(", "id": "x"}]}', "no alias"),
        ("broken.json", "{", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(MappingError, match=r"(?s)" + says.replace("$", r"\$")) as caught:
        Mapping.load(tmp_path)
    assert name in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="STRANDLINE_HEALTH_SCHEMAS"):
        Mapping.load(tmp_path / "nowhere")


def test_of_two_files_with_one_id_the_one_that_lies_where_it_says_counts(tmp_path: Path) -> None:
    base = {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://x.org/schemas/v1/A.json"}
    for version in ("v1", "v2"):
        (tmp_path / "schemas" / version).mkdir(parents=True)
        (tmp_path / "schemas" / version / "A.json").write_text(json.dumps({**base, "title": version}))
    assert Mapping.load(tmp_path).schemas.by_id["https://x.org/schemas/v1/A.json"]["title"] == "v1"


@needs_data
def test_the_real_mapping_files_are_read_as_they_are(tmp_path: Path) -> None:
    theirs = Mapping.load(DATA)
    assert theirs.schema_mapping == json.loads((DATA / "config/schema_mapping.json").read_text())
    assert theirs.archive_map == OWN.archive_map
    shutil.copytree(OWN_FOLDER, tmp_path / "copy")
    assert Mapping.load(tmp_path / "copy").schemas.by_id == OWN.schemas.by_id
    ours = {spec.name: set(spec.schema.names) for spec in dataset_tables(OWN)}
    for spec in dataset_tables(theirs):
        if spec.name in ours:
            assert ours[spec.name] <= set(spec.schema.names), spec.name
