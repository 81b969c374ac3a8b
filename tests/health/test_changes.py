"""Changes of schema, classified against tables as they are."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline_assets.health.changes import changes_of, next_version, worst
from pipeline_assets.health.shapes import Array, Scalar, Struct
from pipeline_assets.health.tables import plan_of_shape


def tables(fields: Struct) -> dict[str, pa.Schema]:
    return {table.name: table.schema for table in plan_of_shape("X_v1", fields).tables}


NOW = Struct({"a": Scalar("integer"), "l": Array(Scalar("string"))})


@pytest.mark.parametrize(
    ("after", "kind", "says"),
    [
        (NOW, None, ""),
        (Struct({**NOW.fields, "b": Scalar("timestamp")}), "additive", "dataset_x_v1.b: not there → timestamp"),
        (Struct({**NOW.fields, "m": Array(Scalar("integer"))}), "additive", "dataset_x_v1_m: not there → a new table"),
        (Struct({"a": NOW.fields["a"]}), "additive", "dataset_x_v1.l: string → not declared any more"),
        (Struct({**NOW.fields, "a": Scalar("number")}), "breaking", "dataset_x_v1.a: int64 → double"),
        (Struct({**NOW.fields, "a": Scalar("string")}), "breaking", "dataset_x_v1.a: int64 → string"),
        (Struct({"A": NOW.fields["a"], "l": NOW.fields["l"]}), "breaking", "dataset_x_v1.A: a → A"),
        (
            Struct({"a": NOW.fields["a"], "L": NOW.fields["l"]}),
            "breaking",
            "dataset_x_v1_L: dataset_x_v1_l → dataset_x_v1_L",
        ),
        (Struct({**NOW.fields, "l": Array(Struct({"x": Scalar("string")}))}), "additive", "dataset_x_v1_l.x"),
    ],
)
def test_each_change_has_a_class(after: Struct, kind: str | None, says: str) -> None:
    found = changes_of(tables(NOW), plan_of_shape("X_v1", after).tables)
    assert worst(found) == kind
    assert not says or any(str(change).startswith(says) for change in found), [str(change) for change in found]


def test_a_type_that_iceberg_widens_in_place_is_widening() -> None:
    before = tables(NOW)
    at = before["dataset_x_v1"].get_field_index("a")
    before["dataset_x_v1"] = before["dataset_x_v1"].set(at, pa.field("a", pa.int32()))
    found = changes_of(before, plan_of_shape("X_v1", Struct({**NOW.fields, "b": Scalar("string")})).tables)
    assert [change.kind for change in found] == ["widening", "additive"]
    assert worst(found) == "widening"


def test_columns_that_the_frame_adds_are_no_change() -> None:
    before = {name: schema.append(pa.field("file_id", pa.string())) for name, schema in tables(NOW).items()}
    assert changes_of(before, plan_of_shape("X_v1", NOW).tables) == []


@pytest.mark.parametrize(
    ("dataset", "taken", "following"),
    [("X_v1", (), "X_v2"), ("X_v9", (), "X_v10"), ("X_v1", ("x_V2", "X_v3"), "X_v4"), ("X", (), "X_v2")],
)
def test_a_breaking_change_opens_the_next_version(dataset: str, taken: tuple[str, ...], following: str) -> None:
    assert next_version(dataset, taken) == following
