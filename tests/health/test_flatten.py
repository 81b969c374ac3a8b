"""Documents to rows: names, keys and ids, what has no column, and that nothing is lost."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.health import flatten
from pipeline_assets.health.flatten import Document, list_id, rows_of
from pipeline_assets.health.shapes import Array, Scalar, Shape, Struct
from pipeline_assets.health.tables import EXTRA, OFFSET, plan_of_shape
from pipeline_assets.health.values import column_of
from tests.health.rebuilt import documents_of, plain

DAY = date(2024, 2, 29)


def document(content: Any, file_name: str = "f.json", recordid: str = "rec-1", **more: Any) -> Document:
    return Document("D_v1", file_name, recordid, "spelling", DAY, content, **more)


def rows(shape: Shape, *contents: Any) -> dict[str, list[dict[str, Any]]]:
    plan = plan_of_shape("D_v1", shape)
    documents = [document(content, f"{number}.json") for number, content in enumerate(contents)]
    return {name: table.to_pylist() for name, table in rows_of({"D_v1": plan}, documents).items()}


NESTED = Struct(
    {
        "name": Scalar("string"),
        "scores": Struct({"final": Scalar("number"), "inner": Struct({"deep": Scalar("integer")})}),
        "steps": Array(Struct({"at": Scalar("timestamp"), "events": Array(Scalar("string"))})),
    }
)


def test_objects_become_columns_and_lists_become_tables() -> None:
    content = {
        "name": "a",
        "scores": {"final": 1.5, "inner": {"deep": 2}},
        "steps": [{"at": "2024-01-01T00:00:00Z", "events": ["x", "y"]}, {"events": []}, {}],
    }
    tables = rows(NESTED, content)
    (root,) = tables["dataset_d_v1"]
    steps = tables["dataset_d_v1_steps"]
    events = tables["dataset_d_v1_steps_events"]
    assert (root["name"], root["scores_final"], root["scores_inner_deep"]) == ("a", 1.5, 2)
    assert [(step["id"], step["index"]) for step in steps] == [(root["steps"], place) for place in range(3)]
    assert steps[0]["at"] == datetime(2024, 1, 1, tzinfo=UTC)
    assert [(event["id"], event["index"], event["events_val"]) for event in events] == [
        (steps[0]["events"], 0, "x"),
        (steps[0]["events"], 1, "y"),
    ]
    assert steps[1]["events"] is not None
    assert steps[2]["events"] is None, "a list that is empty is told from one that is not there"
    for row in (root, *steps, *events):
        keys = ("recordid", "assessmentid", "year", "month", "day", "file_name")
        assert [row[key] for key in keys] == ["rec-1", "spelling", 2024, 2, 29, "0.json"]
        assert row[EXTRA] is None


def test_ids_follow_from_record_file_and_place_alone() -> None:
    tables = rows(NESTED, {"steps": [{"events": ["x"]}]}, {"steps": [{"events": ["x"]}]})
    assert [row["steps"] for row in tables["dataset_d_v1"]] == [
        list_id("rec-1", "0.json", "/steps"),
        list_id("rec-1", "1.json", "/steps"),
    ]
    assert [row["id"] for row in tables["dataset_d_v1_steps_events"]] == [
        list_id("rec-1", "0.json", "/steps/*/events", [0]),
        list_id("rec-1", "1.json", "/steps/*/events", [0]),
    ]
    # One fixed id: rows of different years would not join if the rule changed.
    assert list_id("rec-1", "0.json", "/steps") == "f6e783162b5f25612c6df1939627efd5"


def test_what_has_no_column_or_does_not_fit_is_kept_where_it_was() -> None:
    shape = Struct({"n": Scalar("integer"), "s": Struct({"b": Scalar("boolean")}), "l": Array(Scalar("integer"))})
    content = {"n": "many", "s": {"b": 1, "new": None}, "l": [1, "two", None, {"a": 3}], "more": {"x": [1]}}
    tables = rows(shape, content)
    (root,) = tables["dataset_d_v1"]
    assert (root["n"], root["s_b"]) == (None, None)
    assert json.loads(root[EXTRA]) == {"n": "many", "s": {"b": 1, "new": None}, "more": {"x": [1]}}
    elements = [(row["l_val"], row[EXTRA]) for row in tables["dataset_d_v1_l"]]
    assert elements == [(1, None), (None, '"two"'), (None, None), (None, '{"a":3}')]


@pytest.mark.parametrize("content", [[{"n": 1}], 5, "text", None, True])
def test_a_document_that_is_no_object_is_one_row_that_holds_it(content: Any) -> None:
    (root,) = rows(Struct({"n": Scalar("integer")}), content)["dataset_d_v1"]
    assert (root["n"], json.loads(root[EXTRA])) == (None, content)


def test_elements_of_a_list_of_records_know_their_place_over_pieces() -> None:
    plan = plan_of_shape("D_v1", Array(Struct({"x": Scalar("number"), "l": Array(Scalar("string"))})))
    whole = [document([{"x": 1, "l": ["a"]}, {"x": 2}, {"x": 3, "l": ["b"]}])]
    pieces = [document([{"x": 1, "l": ["a"]}]), document([{"x": 2}, {"x": 3, "l": ["b"]}], first=1)]
    assert rows_of({"D_v1": plan}, whole) == rows_of({"D_v1": plan}, pieces)
    table = rows_of({"D_v1": plan}, pieces)["dataset_d_v1"]
    assert table["index"].to_pylist() == [0, 1, 2]
    alone = rows_of({"D_v1": plan}, [document({"x": 1})])["dataset_d_v1"]
    assert alone["index"].to_pylist() == [None], "an object where a list of records was expected has no place in one"


def test_batches_of_documents_give_the_rows_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of_shape("D_v1", NESTED)
    documents = [document({"name": str(n), "steps": [{"events": ["e"] * n}] * n}, f"{n}.json") for n in range(7)]
    at_once = rows_of({"D_v1": plan}, documents)
    monkeypatch.setattr(flatten, "_MOST_ELEMENTS", 1)
    assert rows_of({"D_v1": plan}, iter(documents)) == at_once


def test_fields_are_found_whatever_their_case_and_an_exact_name_comes_first() -> None:
    shape = Struct({"taskrunuuid": Scalar("string"), "value": Scalar("integer")})
    (root,) = rows(shape, {"taskRunUUID": "u", "Value": 1, "value": 2})["dataset_d_v1"]
    assert (root["taskrunuuid"], root["value"], json.loads(root[EXTRA])) == ("u", 2, {"Value": 1})


def test_annotations_are_fields_of_archive_metadata_and_win() -> None:
    shape = Struct(
        {"assessmentrevision": Scalar("integer"), "flag": Scalar("boolean"), "uploadedon": Scalar("timestamp")}
    )
    plan = plan_of_shape("ArchiveMetadata_v1", shape, with_annotations=True)
    annotations = {
        "recordid": "rec-1", "assessmentrevision": "5", "flag": "true", "uploadedon": "2024-02-29T01:00:00Z", "newone": "x",
    }  # fmt: skip
    given = Document(
        "A",
        "metadata.json",
        "rec-1",
        "spelling",
        DAY,
        {"assessmentrevision": 4, "recordid": "rec-1"},
        annotations=annotations,
    )
    row = rows_of({"A": plan}, [given])["dataset_archivemetadata_v1"].to_pylist()[0]
    assert (row["assessmentrevision"], row["flag"], row["recordid"]) == (5, True, "rec-1")
    assert row["uploadedon"] == datetime(2024, 2, 29, 1, tzinfo=UTC)
    assert json.loads(row[EXTRA]) == {"newone": "x"}


def test_the_offset_that_times_were_written_with_is_kept() -> None:
    shape = Struct({"a": Scalar("timestamp"), "b": Scalar("timestamp"), "c": Scalar("timestamp")})
    (same,) = rows(
        shape, {"a": "2024-01-01T12:00:00-08:00", "b": "2024-01-01T12:00:01-08:00", "c": "2024-01-01T20:00:00Z"}
    )["dataset_d_v1"]
    assert (same["a"], same[OFFSET], same[EXTRA]) == (datetime(2024, 1, 1, 20, tzinfo=UTC), "-08:00", None)
    (differ,) = rows(shape, {"a": "2024-03-31T01:59:00+01:00", "b": "2024-03-31T03:01:00+02:00"})["dataset_d_v1"]
    assert differ[OFFSET] == "+01:00"
    assert json.loads(differ[EXTRA]) == {"b": "2024-03-31T03:01:00+02:00"}
    (utc,) = rows(shape, {"a": "2024-01-01T12:00:00Z"})["dataset_d_v1"]
    assert (utc[OFFSET], utc[EXTRA]) == (None, None)


def test_what_a_catalogue_calls_a_string_may_be_any_single_value() -> None:
    shape = Struct({"response": Scalar("text")})
    found = rows(
        shape, {"response": "suppenoa"}, {"response": 3}, {"response": 0.5}, {"response": True}, {"response": [3]}, {}
    )
    table = found["dataset_d_v1"]
    assert [row["response"] for row in table] == ["suppenoa", "3", "0.5", "true", None, None]
    assert [row[EXTRA] for row in table] == [None, None, None, None, '{"response":[3]}', None]


def test_a_field_named_like_a_key_has_a_name_of_its_own() -> None:
    shape = Struct(
        {"year": Scalar("string"), "steps": Array(Struct({"id": Scalar("string"), "index": Scalar("number")}))}
    )
    tables = rows(shape, {"year": "then", "steps": [{"id": "x", "index": 7}]})
    assert (tables["dataset_d_v1"][0]["val_year"], tables["dataset_d_v1"][0]["year"]) == ("then", 2024)
    (step,) = tables["dataset_d_v1_steps"]
    assert (step["steps_val_id"], step["steps_val_index"], step["index"]) == ("x", 7.0, 0)


KINDS = ["string", "integer", "number", "boolean", "timestamp", "date", "json"]
NAMES = st.sampled_from(
    ["a", "A", "b", "b_c", "id", "index", "val", "year", "recordid", "x/y", "x.y", "~", "", "$schema", "ü", "_extra"]
)
TIMES = st.builds(
    lambda at, offset: at.isoformat(timespec="milliseconds") + offset,
    st.datetimes(datetime(1971, 1, 2), datetime(2100, 1, 1)),
    st.sampled_from(["Z", "+00:00", "-08:00", "+05:30", "-0330", ""]),
)
NEARLY_TIMES = [
    "2024-02-29 12:00Z", "2024-02-29T12Z", "2024-02-29T12:00:00z", "2024-02-29t12:00:00Z", "2024-02-29T24:00:00Z", "2024-02-29Z",
    "2024-02-29T12:00:60Z", "2024-02-29T12:00:00.1234567Z", "2024-02-29T12:00:00.12+01", "2024-02-29T12:00:00+0130", " 2024-02-29T12:00:00Z",
    "2024-02-29T12:00:00-99:00", "2024-02-29T12:00:00-08:60", "2024-02-29T12:00:00 +01:00", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00", "2024-02-29T12:00:00,5Z", "20240229T120000Z", "+2024-02-29T12:00:00Z", "2024-02-29T12:00:00.Z",
    "２024-02-29T12:00:00Z", "2024-02-30T00:00:00Z", "2024-02-29T12:00:00.5-00:00", "2024-02-29T12:00-08", "2024-02-29T12:00:00+01:00:30",
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(["", "x", "2024-02-30", "2024-02-29", "null", *NEARLY_TIMES]), TIMES, st.text(max_size=3)
)
SINGLE = st.one_of(
    st.none(), st.booleans(), st.integers(-999, 999), st.sampled_from([2**53 + 1, -(2**63), 2**63 - 1]),
    st.floats(allow_nan=False, allow_infinity=False), TEXTS,
)  # fmt: skip
ANYTHING = st.recursive(
    SINGLE,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["p", "q"]), inner, max_size=2),
    max_leaves=4,
)
SHAPES: st.SearchStrategy[Shape] = st.recursive(
    st.builds(Scalar, st.sampled_from(KINDS)),  # type: ignore[arg-type]
    lambda inner: st.builds(Array, inner) | st.builds(Struct, st.dictionaries(NAMES, inner, min_size=1, max_size=3)),
    max_leaves=8,
)


def contents(shape: Shape) -> st.SearchStrategy[Any]:
    """Documents of a shape; some parts of them are something else."""
    if isinstance(shape, Struct):
        known = st.fixed_dictionaries({}, optional={name: contents(one) for name, one in shape.fields.items()})
        unknown = st.dictionaries(st.sampled_from(["p", "q", "new"]), ANYTHING, max_size=1)
        return _mostly(st.builds(lambda one, other: {**other, **one}, known, unknown))
    if isinstance(shape, Array):
        return _mostly(st.lists(contents(shape.item), max_size=3))
    fitting = {
        "string": TEXTS, "integer": st.integers(-999, 999), "number": st.integers(-99, 99) | st.floats(-1e9, 1e9),
        "boolean": st.booleans(), "timestamp": TIMES, "date": st.dates().map(str), "json": ANYTHING,
    }  # fmt: skip
    return _mostly(fitting[shape.kind])


def _mostly(fitting: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda odd: ANYTHING if odd == 0 else fitting)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_tables_joined_back_give_the_documents(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    plan = plan_of_shape("D_v1", shape)
    wanted = {
        (f"rec-{number % 2}", f"{number}.json"): content
        for number, content in enumerate(data.draw(st.lists(contents(shape), min_size=1, max_size=4)))
    }
    documents = [document(content, file_name, record) for (record, file_name), content in wanted.items()]
    tables = rows_of({"D_v1": plan}, documents)
    for spec in plan.tables:
        if spec.name in tables:
            assert tables[spec.name].schema == spec.schema
            lowered = [name.lower() for name in tables[spec.name].column_names]
            assert len(set(lowered)) == len(lowered)
    found = documents_of(plan, tables)
    empty_lists = {key for key, content in wanted.items() if content == [] and plan.root.is_list}
    assert {key: plain(one) for key, one in found.items()} == {
        key: plain(one) for key, one in wanted.items() if key not in empty_lists
    }


@pytest.mark.parametrize("text", NEARLY_TIMES)
def test_a_time_is_an_instant_or_not_however_many_there_are(text: str) -> None:
    (few, few_misfits), (many, many_misfits) = column_of([text], "timestamp"), column_of([text] * 400, "timestamp")
    assert many == pa.chunked_array([few] * 400).combine_chunks()
    assert len(many_misfits) == 400 * len(few_misfits) == 400 * few.null_count


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(TIMES, st.none(), TEXTS, st.integers(0, 9)), min_size=1, max_size=30))
def test_few_and_many_times_become_the_same(values: list[Any]) -> None:
    shape = Array(Struct({"a": Scalar("timestamp"), "b": Scalar("timestamp")}))
    plan = plan_of_shape("D_v1", shape)
    elements = [{"a": one, "b": other} for one, other in zip(values, reversed(values), strict=True)]
    few = rows_of({"D_v1": plan}, [document(elements)])["dataset_d_v1"]
    many = rows_of({"D_v1": plan}, [document(elements * 50)])["dataset_d_v1"].slice(0, len(elements))
    assert few.to_pylist() == pa.Table.from_batches(many.to_batches()).to_pylist()
