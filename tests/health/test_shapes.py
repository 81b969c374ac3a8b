"""What JSON Schemas and Hive's types say of documents, and the tables that follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline_assets.health.hive_types import shape_of_hive_type
from pipeline_assets.health.json_shapes import shape_of_schema
from pipeline_assets.health.schemas import load_schemas
from pipeline_assets.health.shapes import UNTYPED, Array, Scalar, Shape, Struct, completed
from pipeline_assets.health.tables import plan_of_shape

DRAFT7 = "http://json-schema.org/draft-07/schema#"


def shape(tmp_path: Path, *schemas: dict[str, Any]) -> Shape:
    """Of the first of the schemas, which may refer to the others."""
    for number, schema in enumerate(schemas):
        schema = {"$schema": DRAFT7, "$id": f"https://x.org/{number}.json", **schema}
        (tmp_path / f"{number}.json").write_text(json.dumps(schema))
    held = load_schemas([tmp_path])
    return shape_of_schema(held.by_id["https://x.org/0.json"], held.registry)


def field(tmp_path: Path, schema: Any) -> Shape:
    made = shape(tmp_path, {"type": "object", "properties": {"f": schema}})
    assert isinstance(made, Struct)
    return made.fields["f"]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string"),
        ({"type": "string", "format": "date-time"}, "timestamp"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "uri"}, "string"),
        ({"type": ["integer", "number"]}, "number"),
        ({"type": ["integer", "string"]}, "json"),
        ({"type": ["object", "array"]}, "json"),
        ({"const": "weather"}, "string"),
        ({"enum": ["a", None]}, "string"),
        ({"enum": [1, 2.5]}, "number"),
        ({"enum": [True, "x"]}, "json"),
        ({"description": "anything"}, "json"),
        (True, "json"),
        ({"type": "object"}, "json"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "json"),
        ({"oneOf": [{"type": "string"}, {"type": "string", "format": "date-time"}]}, "string"),
        ({"oneOf": [{"type": "integer"}, {"type": "null"}]}, "integer"),
        ({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}, "json"),
        ({"anyOf": [{"minimum": 3}, {"type": "string"}], "type": "integer"}, "integer"),
        ({"$ref": "https://x.org/nowhere.json"}, "json"),
        ({"$ref": "#/nowhere", "type": "string"}, "json"),
    ],
)
def test_a_field_is_what_its_schema_says_or_json_text(tmp_path: Path, schema: Any, kind: str) -> None:
    found = field(tmp_path, schema)
    assert isinstance(found, Scalar)
    assert found.kind == kind


def test_objects_of_several_kinds_have_the_fields_of_all(tmp_path: Path) -> None:
    one = {"type": "object", "properties": {"a": {"type": "integer"}, "both": {"type": "integer"}}}
    other = {"type": "object", "properties": {"b": {"type": "string"}, "both": {"type": "number"}}}
    wanted = Struct({"a": Scalar("integer"), "both": Scalar("number"), "b": Scalar("string")})
    for word in ("oneOf", "anyOf"):
        assert field(tmp_path, {word: [one, other]}) == wanted
    assert field(tmp_path, {"type": "array", "items": {"oneOf": [one, other]}}) == Array(wanted)
    assert field(tmp_path, {"allOf": [one, other]}) == Struct({**wanted.fields, "both": Scalar("integer")})
    conditional = field(tmp_path, {**one, "if": {}, "then": other})
    assert isinstance(conditional, Struct)
    assert set(conditional.fields) == {"a", "b", "both"}


def test_elements_may_be_said_one_by_one(tmp_path: Path) -> None:
    assert field(tmp_path, {"type": "array", "items": [{"type": "string"}, {"enum": ["x"]}]}) == Array(Scalar("string"))
    assert field(tmp_path, {"items": {"type": "array", "items": {"type": "number"}}}) == Array(Array(Scalar("number")))
    assert field(tmp_path, {"type": "array"}) == Array(UNTYPED)


def test_a_schema_within_itself_ends_as_json_text(tmp_path: Path) -> None:
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    }
    made = shape(tmp_path, node)
    depth = 0
    while isinstance(made, Struct):
        assert made.fields["name"] == Scalar("string")
        children = made.fields["children"]
        assert isinstance(children, Array)
        made, depth = children.item, depth + 1
    assert (made, depth) == (UNTYPED, 2)
    assert shape(tmp_path, {"$ref": "#"}) == UNTYPED
    assert shape(tmp_path, {"allOf": [{"$ref": "1.json"}]}, {"allOf": [{"$ref": "0.json"}]}) == UNTYPED


def test_a_list_of_an_interface_has_the_fields_of_its_kinds(tmp_path: Path) -> None:
    base = {
        "type": "object", "properties": {"type": {"type": "string"}},
        "definitions": {"Answer": {"type": "object", "properties": {"type": {"const": "answer"}, "value": {}}, "allOf": [{"$ref": "#"}]},
                        "Other": {"type": "object", "properties": {"no": {"type": "string"}}}},
    }  # fmt: skip
    listed = shape(tmp_path, {"type": "array", "items": {"$ref": "1.json"}}, base)
    assert listed == Array(Struct({"type": Scalar("string"), "value": UNTYPED}))
    built_on = shape(tmp_path, {"allOf": [{"$ref": "1.json"}], "properties": {"own": {"type": "integer"}}}, base)
    assert isinstance(built_on, Struct)
    assert set(built_on.fields) == {"own", "type"}


def test_what_stands_beside_a_reference_counts_from_2019_on(tmp_path: Path) -> None:
    words = {
        "type": "object",
        "properties": {"f": {"$ref": "#/$defs/d", "format": "date-time"}},
        "$defs": {"d": {"type": "string"}},
    }
    made = shape(tmp_path, {**words, "$schema": "https://json-schema.org/draft/2020-12/schema"})
    assert isinstance(made, Struct)
    assert made.fields["f"] == Scalar("string")


def test_descriptions_are_the_nearest_ones(tmp_path: Path) -> None:
    schema = {"properties": {"f": {"$ref": "#/definitions/d", "description": "here"}, "g": {"$ref": "#/definitions/d"}},
              "definitions": {"d": {"type": "string", "description": "there"}}}  # fmt: skip
    assert shape(tmp_path, schema) == Struct({"f": Scalar("string", "here"), "g": Scalar("string", "there")})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("bigint", Scalar("integer")),
        ("decimal(10,2)", Scalar("number")),
        ("varchar(30)", Scalar("text")),
        ("ARRAY<String>", Array(Scalar("text"))),
        ("map<string,array<int>>", UNTYPED),
        ("array< struct< a b:int, c:map<string,int>,d:array<array<double>> > >",
         Array(Struct({"a b": Scalar("integer"), "c": UNTYPED, "d": Array(Array(Scalar("number")))}))),
    ],
)  # fmt: skip
def test_hive_types(text: str, wanted: Shape) -> None:
    assert shape_of_hive_type(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "array",
        "array<int",
        "array<int>>",
        "struct<>",
        "struct<a>",
        "struct<a:int",
        "number",
        "int int",
        "a<int>",
        "array<" * 40,
    ],
)
def test_what_is_no_hive_type_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"Hive type|deep"):
        shape_of_hive_type(text)


def test_a_catalogue_completes_what_is_known_by_names_without_case() -> None:
    known = Struct({"Name": Scalar("timestamp"), "steps": Array(Struct({"at": Scalar("integer")}))})
    more = Struct(
        {"name": Scalar("string"), "STEPS": Struct({"AT": Scalar("string"), "new": Scalar("number")}), "x": UNTYPED}
    )
    wanted = Struct(
        {
            "Name": Scalar("timestamp"),
            "steps": Array(Struct({"at": Scalar("integer"), "new": Scalar("number")})),
            "x": UNTYPED,
        }
    )
    assert completed(known, more) == wanted


def test_the_tables_of_the_originals_fixtures() -> None:
    nested = Struct(
        {
            "arrayofobjectsfield": shape_of_hive_type("array<struct<filename:string,timestamp:string>>"),
            "objectfield": shape_of_hive_type("struct<filename:string,timestamp:string>"),
        }
    )
    root, child = plan_of_shape("pytest_nested_table", nested).tables
    ours = {"file_name", "_extra"}
    assert root.name == "dataset_pytest_nested_table"
    assert set(root.schema.names) - ours == {
        "recordid", "arrayofobjectsfield", "objectfield_filename", "objectfield_timestamp", "assessmentid", "year", "month", "day",
    }  # fmt: skip
    assert (child.name, child.parent) == ("dataset_pytest_nested_table_arrayofobjectsfield", root.name)
    assert set(child.schema.names) - ours == {
        "id", "index", "filename", "timestamp", "assessmentid", "year", "month", "day", "recordid",
    }  # fmt: skip
    (flat,) = plan_of_shape("pytest_flat_table", Struct()).tables
    assert set(flat.schema.names) - ours == {"recordid", "assessmentid", "year", "month", "day"}
    assert flat.empty().num_rows == 0


def test_names_that_sql_could_not_tell_apart_are_told_apart() -> None:
    made = plan_of_shape(
        "X_v1",
        Struct(
            {
                "a": Struct({"b": Scalar("integer")}), "a_b": Scalar("string"), "A_B": Scalar("number"), "file_id": Scalar("string"),
                "l": Array(Scalar("string")), "L": Array(Array(Scalar("string"))), "x.y z": Scalar("string"),
            }
        ),
    )  # fmt: skip
    root = made.tables[0]
    own = [column.name for column in root.columns if column.made_from]
    assert own == ["a_b", "val_a_b", "val_A_B_2", "val_file_id", "l", "val_L", "x_y_z"]
    assert [table.name for table in made.tables] == [
        "dataset_x_v1",
        "dataset_x_v1_l",
        "dataset_x_v1_L_2",
        "dataset_x_v1_L_val",
    ]
    assert [column.made_from for column in root.columns][:3] == ["/a/b", "/a_b", "/A_B"]


def test_every_column_of_every_table_says_what_it_is_and_is_of_a_type_that_iceberg_has() -> None:
    from pipeline_assets.health.mapping import Mapping
    from pipeline_assets.health.tables import dataset_tables

    types = {pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us", tz="UTC")}
    tables = dataset_tables(Mapping.load())
    assert len({table.name.lower() for table in tables}) == len(tables) >= 49
    for table in tables:
        assert table.parent is None or table.parent in {other.name for other in tables}
        for column in table.columns:
            assert column.description, f"{table.name}.{column.name}"
            assert column.type in types
