"""The tables of a dataset, by name, with their columns and types. They follow from the mapping alone, before any document.

Names are those of BridgeDownstream: ``dataset_{id}_{path}``; objects in objects joined by ``_``; each list a table of its own
with `id` and `index`, and the list's `id` in the column of the table that it is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from pipeline_assets.health.mapping import Mapping
from pipeline_assets.health.shapes import ARROW_TYPES, Array, Kind, Scalar, Shape, Struct

EXTRA = "_extra"
OFFSET = "_utc_offset"
FILE_NAME = "file_name"

KEYS: dict[str, tuple[pa.DataType, str]] = {
    "assessmentid": (pa.string(), "assessment, from the record's annotations"),
    "year": (pa.int32(), "year of the record's upload (UTC)"),
    "month": (pa.int32(), "month of the record's upload"),
    "day": (pa.int32(), "day of the record's upload"),
    "recordid": (pa.string(), "record, from its annotations"),
    FILE_NAME: (pa.string(), "file of the archive, with its folders"),
}
"""What every row of every table carries."""

_RESERVED = frozenset({*KEYS, "id", "index", EXTRA, OFFSET, "file_id", "batch_id", "source_key"})
_ID = pa.string()
_INDEX = pa.int64()
_DEEPEST = 12
"""Levels of lists in lists that become tables; what is deeper is JSON text."""


@dataclass(frozen=True)
class Column:
    """One column. made_from: the field that it holds, as a JSON pointer from the row's element; empty if it is of ours."""

    name: str
    type: pa.DataType
    description: str
    made_from: str = ""


@dataclass(frozen=True)
class TableSpec:
    """One table.

    dataset: the dataset it is of. path: the fields that lead to it from the document's root; empty for the root table.
    parent: the table with the lists whose elements its rows are.
    """

    name: str
    dataset: str
    path: tuple[str, ...]
    parent: str | None
    description: str
    columns: tuple[Column, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(column.name, column.type) for column in self.columns])

    def empty(self) -> pa.Table:
        return self.schema.empty_table()


@dataclass(frozen=True)
class StructPlan:
    """Where the fields of an object go. Columns are of the table whose row the object is, or is a part of."""

    scalars: tuple[tuple[str, str, Kind], ...]
    """field, column, kind"""
    structs: tuple[tuple[str, StructPlan], ...]
    lists: tuple[tuple[str, str, TablePlan], ...]
    """field, column for the list's id, table of its elements"""

    @cached_property
    def fields(self) -> frozenset[str]:
        """The names of all fields that have a place."""
        return frozenset(entry[0] for entries in (self.scalars, self.structs, self.lists) for entry in entries)

    @cached_property
    def spelling(self) -> dict[str, str]:
        """The same by their names in lower case."""
        return {name.lower(): name for name in sorted(self.fields)}


@dataclass(frozen=True)
class TablePlan:
    """How elements become rows of a table. Exactly one of `struct`, `scalar` and `inner` says what an element is."""

    spec: TableSpec
    struct: StructPlan | None = None
    scalar: Kind | None = None
    inner: TablePlan | None = None
    value: str = ""
    """column of the value, or of the inner list's id, where an element is no object"""
    is_list: bool = True
    """whether rows are elements of a list; false only for the root table of documents that are objects"""
    times: tuple[str, ...] = ()
    """columns that hold instants"""
    pointer: str = ""
    """where in a document the lists are, as a JSON pointer with `*` for places; empty for the document itself"""


@dataclass(frozen=True)
class DatasetPlan:
    """How the documents of a dataset become rows."""

    dataset: str
    root: TablePlan
    with_annotations: bool = False
    """whether the record's annotations are fields of its documents"""
    tables: tuple[TableSpec, ...] = field(default=())


def dataset_tables(mapping: Mapping) -> tuple[TableSpec, ...]:
    """Every table of every dataset, each before the tables of its lists."""
    return tuple(table for dataset in mapping.datasets for table in dataset_plan(mapping, dataset).tables)


def dataset_plan(mapping: Mapping, dataset: str) -> DatasetPlan:
    """How the documents of a dataset become rows. Raises KeyError for one that the mapping does not have."""
    if dataset not in mapping.datasets:
        raise KeyError(dataset)
    # The original's rule: what stands before the version decides.
    return plan_of_shape(dataset, mapping.shape_of(dataset), dataset.split("_")[0] == "ArchiveMetadata")


def plan_of_shape(dataset: str, shape: Shape, with_annotations: bool = False) -> DatasetPlan:
    """The same, from a shape."""
    item = shape.item if isinstance(shape, Array) else shape
    root = _Planner(dataset).table((), None, item, is_list=isinstance(shape, Array), about=shape.description)
    return DatasetPlan(dataset, root, with_annotations, tuple(_specs(root)))


def _specs(plan: TablePlan) -> Iterator[TableSpec]:
    yield plan.spec
    for child in _children(plan):
        yield from _specs(child)


def _children(plan: TablePlan) -> Iterator[TablePlan]:
    if plan.inner is not None:
        yield plan.inner
    if plan.struct is not None:
        yield from _lists_in(plan.struct)


def _lists_in(struct: StructPlan) -> Iterator[TablePlan]:
    for _, _, child in struct.lists:
        yield child
    for _, inner in struct.structs:
        yield from _lists_in(inner)


class _Names:
    """Names given once each. SQL does not tell case apart, so neither do they."""

    def __init__(self, taken: frozenset[str] = frozenset()) -> None:
        self._taken = {name.lower() for name in taken}

    def give(self, wanted: str, otherwise: str) -> str:
        name, number = wanted, 2
        if name.lower() in self._taken:
            name = otherwise
        while name.lower() in self._taken:
            name = f"{otherwise}_{number}"
            number += 1
        self._taken.add(name.lower())
        return name


@dataclass(frozen=True)
class _Table:
    """A table while it is planned. elements: where its elements are in a document, as `TablePlan.pointer`."""

    name: str
    path: tuple[str, ...]
    elements: str
    columns: list[Column] = field(default_factory=list)
    names: _Names = field(default_factory=lambda: _Names(_RESERVED))

    def column(self, wanted: str) -> str:
        """A name for a column. Where it is taken, the original leaves the whole way to it before the name."""
        return self.names.give(wanted, "_".join((*self.path, "val", wanted)))


class _Planner:
    def __init__(self, dataset: str) -> None:
        self._dataset = dataset
        self._tables = _Names()

    def table(
        self, path: tuple[str, ...], parent: str | None, item: Shape, *, is_list: bool, about: str, pointer: str = ""
    ) -> TablePlan:
        wanted = "_".join((f"dataset_{self._dataset.lower()}", *path))
        table = _Table(self._tables.give(wanted, wanted), path, f"{pointer}/*" if is_list else pointer)
        struct = scalar = inner = None
        value = ""
        if isinstance(item, Struct):
            struct = self._struct(item, table, ())
        else:
            value = f"{path[-1] if path else 'document'}_val"
            value = table.names.give(value, value)
            if isinstance(item, Array) and len(path) < _DEEPEST:
                about_list = item.description or "id of the list that this element is"
                table.columns.append(Column(value, _ID, about_list, "/"))
                inner = self.table(
                    (*path, "val"), table.name, item.item, is_list=True, about=item.description, pointer=table.elements
                )
            else:
                scalar = item.kind if isinstance(item, Scalar) else "json"
                table.columns.append(Column(value, ARROW_TYPES[scalar], item.description or "the element", "/"))
        times = tuple(column.name for column in table.columns if column.type == ARROW_TYPES["timestamp"])
        columns = tuple(self._all_columns(table.columns, bool(times), is_list, parent))
        spec = TableSpec(table.name, self._dataset, path, parent, self._about(path, about or item.description), columns)
        return TablePlan(spec, struct, scalar, inner, value, is_list, times, pointer)

    def _struct(self, shape: Struct, table: _Table, within: tuple[str, ...]) -> StructPlan:
        scalars: list[tuple[str, str, Kind]] = []
        structs: list[tuple[str, StructPlan]] = []
        lists: list[tuple[str, str, TablePlan]] = []
        for key, one in shape.fields.items():
            here = (*within, key)
            pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in here)
            if isinstance(one, Struct):
                structs.append((key, self._struct(one, table, here)))
                continue
            column = table.column(_word("_".join(here)))
            if isinstance(one, Array) and len(table.path) < _DEEPEST:
                about = one.description or f"id of the list {'.'.join(here)}"
                table.columns.append(Column(column, _ID, about, pointer))
                path = (*table.path, *map(_word, here))
                elements = self.table(
                    path, table.name, one.item, is_list=True, about=one.description, pointer=table.elements + pointer
                )
                lists.append((key, column, elements))
            else:
                kind: Kind = one.kind if isinstance(one, Scalar) else "json"
                table.columns.append(
                    Column(column, ARROW_TYPES[kind], one.description or _said_of(here, kind), pointer)
                )
                scalars.append((key, column, kind))
        return StructPlan(tuple(scalars), tuple(structs), tuple(lists))

    def _about(self, path: tuple[str, ...], about: str) -> str:
        what = f"the elements of its list {'.'.join(path)}" if path else "its documents"
        return f"Dataset {self._dataset}: {what}. {about}".strip()

    def _all_columns(self, own: list[Column], has_times: bool, is_list: bool, parent: str | None) -> Iterator[Column]:
        if parent is not None:
            yield Column("id", _ID, "the list that the row is an element of: the value of the parent's column")
        if is_list:
            yield Column("index", _INDEX, "place of the element in its list, from 0")
        yield from own
        for name, (kind, text) in KEYS.items():
            yield Column(name, kind, text)
        if has_times:
            yield Column(
                OFFSET, pa.string(), "the offset from UTC, such as -08:00, that the row's times were written with"
            )
        yield Column(EXTRA, pa.string(), "what the document has here and no column can hold, as JSON text")


def _said_of(here: tuple[str, ...], kind: Kind) -> str:
    return f"field {'.'.join(here)}" + (", as JSON text" if kind == "json" else "")


def _word(name: str) -> str:
    """A field's name as part of a name in SQL: dots and blanks would have to be quoted, and Iceberg takes dots for paths."""
    return "".join(letter if letter.isalnum() or letter in "_$-" else "_" for letter in name) or "_"
