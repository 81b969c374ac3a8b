"""What is laid down in a data file comes out of it, whatever it was encoded as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.columns import FEW, concat, decoded
from resources.lake import data_files
from resources.lake.data_files import write_data_file

SCHEMA = pa.schema(
    [
        pa.field("few", pa.string()), pa.field("text", pa.string()), pa.field("counter", pa.int32()), pa.field("large", pa.int64()),
        pa.field("value", pa.float64()), pa.field("small", pa.float32()), pa.field("yes", pa.bool_()),
        pa.field("at", pa.timestamp("us", tz="UTC")), pa.field("day", pa.date32()),
    ]
)  # fmt: skip


def written(rows: pa.Table, schema: pa.Schema, folder: Path) -> pq.ParquetFile:
    path = folder / "data" / "b1" / "rows.parquet"
    write_data_file(f"file://{path}", rows, schema)
    return pq.ParquetFile(path)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.sampled_from(["a", "b", ""])),
            st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=4)),
            st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            st.one_of(st.none(), st.floats(allow_nan=False)),
            st.one_of(st.none(), st.floats(allow_nan=False, width=32)),
            st.one_of(st.none(), st.booleans()),
            st.one_of(st.none(), st.datetimes()),
            st.one_of(st.none(), st.dates()),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_rows_come_out_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[object, ...]]
) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    plain = pa.Table.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )
    kept = plain.set_column(0, "few", plain["few"].dictionary_encode().cast(FEW))
    found = written(kept, SCHEMA, tmp_path_factory.mktemp("rows")).read()
    assert found.schema.types == SCHEMA.types
    assert found.equals(plain)


def test_a_column_says_whether_it_may_lack_values(tmp_path: Path) -> None:
    strict = pa.schema([pa.field("few", pa.string(), nullable=False), pa.field("n", pa.int64(), nullable=True)])
    rows = pa.table({"few": pa.array(["a", "a"]).dictionary_encode().cast(FEW), "n": [1, None]})
    file = written(rows, strict, tmp_path)
    assert file.schema_arrow.equals(strict)
    assert [file.metadata.row_group(0).column(at).statistics.null_count for at in (0, 1)] == [0, 1]


def test_counters_and_texts_of_few_values_take_next_to_no_room(tmp_path: Path) -> None:
    count = 200_000
    schema = pa.schema([pa.field("key", pa.string()), pa.field("n", pa.int32()), pa.field("flag", pa.int32())])
    indices = pa.array(np.zeros(count, dtype=np.int32))
    key = pa.DictionaryArray.from_arrays(indices, pa.array(["ocean/a/rather/long/key.csv"]))
    rows = pa.table({"key": key, "n": np.arange(count, dtype=np.int32), "flag": np.ones(count, dtype=np.int32)})
    file = written(rows, schema, tmp_path)
    assert sum(file.metadata.row_group(0).column(at).total_compressed_size for at in range(3)) < 10_000
    statistics = [file.metadata.row_group(0).column(at).statistics for at in range(3)]
    assert [(one.min, one.max) for one in statistics] == [
        ("ocean/a/rather/long/key.csv",) * 2, (0, count - 1), (1, 1),
    ]  # fmt: skip


def test_floats_are_looked_up_where_they_come_again(tmp_path: Path) -> None:
    count = 150_000
    schema = pa.schema(
        [pa.field("counts", pa.float64()), pa.field("any", pa.float64()), pa.field("none", pa.float64())]
    )
    rng = np.random.default_rng(1)
    rows = pa.table(
        {
            "counts": rng.integers(0, 900, count) / 200,
            "any": rng.normal(size=count),
            "none": pa.nulls(count, pa.float64()),
        }
    )
    file = written(rows, schema, tmp_path)
    encodings = [set(file.metadata.row_group(0).column(at).encodings) for at in range(3)]
    assert "RLE_DICTIONARY" in encodings[0]
    assert "BYTE_STREAM_SPLIT" in encodings[1]
    assert "RLE_DICTIONARY" in encodings[2]
    assert file.read().equals(rows)


def test_floats_that_go_evenly_are_not_looked_up(tmp_path: Path) -> None:
    count = 200_000
    schema = pa.schema([pa.field("pressure", pa.float64()), pa.field("steps", pa.float64())])
    pressure = np.tile(np.arange(2_000) * 2.0, count // 2_000)
    rows = pa.table({"pressure": pressure, "steps": np.repeat(pressure[:2_000], count // 2_000)})
    file = written(rows, schema, tmp_path)
    columns = [file.metadata.row_group(0).column(at) for at in range(2)]
    assert "BYTE_STREAM_SPLIT" in columns[0].encodings
    assert columns[0].total_compressed_size < 10_000
    assert "RLE_DICTIONARY" in columns[1].encodings
    assert file.read().equals(rows)


def test_files_whose_texts_came_in_different_forms_go_together() -> None:
    few = pa.array(["a", "b", "a"]).dictionary_encode().cast(FEW)
    parts = [pa.table({"it": few}), pa.table({"it": ["c", None]}), pa.table({"it": pa.array([], pa.string())})]
    together = concat(parts)
    assert together.schema.types == [FEW]
    assert together["it"].to_pylist() == ["a", "b", "a", "c", None]
    assert decoded(together)["it"].type == pa.string()
    assert decoded(together)["it"].to_pylist() == ["a", "b", "a", "c", None]
    assert concat([pa.table({"it": ["x"]})] * 2).schema.types == [pa.string()], "plain text stays plain"


@given(sizes=st.lists(st.integers(0, 400), min_size=1, max_size=6), wanted=st.integers(1, 300))
def test_what_is_looked_at_is_spread_over_all_chunks(sizes: list[int], wanted: int) -> None:
    ends = np.cumsum(sizes)
    chunks = [pa.array(np.arange(end - size, end, dtype=np.float64)) for size, end in zip(sizes, ends, strict=True)]
    found = data_files._spread(pa.chunked_array(chunks, type=pa.float64()), wanted).to_numpy()
    total = int(ends[-1])
    expected = np.arange(total) if total <= wanted else np.linspace(0, total - 1, wanted).astype(np.int64)
    np.testing.assert_array_equal(found, expected)
