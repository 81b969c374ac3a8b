"""Documents to the rows of their dataset's tables: typed, each with the keys of its record, and joinable by `id`.

Works through a batch of documents level by level and column by column, which is what makes it fast. Whatever a document has
that no column can hold is in its row's `_extra`, so that tables joined back give the document: but for members that are null,
which are as good as absent, and for how numbers and times were written.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from pipeline_assets.health.shapes import ARROW_TYPES, Kind
from pipeline_assets.health.tables import EXTRA, FILE_NAME, KEYS, OFFSET, DatasetPlan, StructPlan, TablePlan
from pipeline_assets.health.values import Misfits, column_of, json_text, offsets_of

_MOST_ELEMENTS = 50_000
"""Elements that are held as objects of Python at once; more are turned into columns first."""
_ELEMENTS_OF_AN_OBJECT = 100

_EMPTY: dict[str, Any] = {}


@dataclass(frozen=True)
class Document:
    """One JSON file of an archive, or, of a list, a piece of it.

    uploaded: when the record was uploaded; it gives year, month and day. first: place in the list of the piece's first element.
    annotations: the record's, for the datasets that have them as fields.
    """

    dataset: str
    file_name: str
    recordid: str
    assessmentid: str
    uploaded: date
    content: Any
    first: int = 0
    annotations: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def keys(self) -> dict[str, Any]:
        uploaded = self.uploaded
        return {
            "assessmentid": self.assessmentid, "year": uploaded.year, "month": uploaded.month, "day": uploaded.day,
            "recordid": self.recordid, FILE_NAME: self.file_name,
        }  # fmt: skip


def list_id(recordid: str, file_name: str, pointer: str, places: Sequence[int] = ()) -> str:
    """The id of a list: BLAKE2b with 16 bytes, in hex, of record, file and JSON pointer (RFC 6901), a line each, with `*` for
    the places in lists on the way; and those places after dots. The lists ``/steps/*/events`` have ids such as ``a1...7f.3``.
    """
    return _continued(_digest(recordid, file_name), pointer) + "".join(f".{place}" for place in places)


def _digest(recordid: str, file_name: str) -> blake2b:
    return blake2b(f"{recordid}\n{file_name}\n".encode(), digest_size=16)


def _continued(digest: blake2b, pointer: str) -> str:
    whole = digest.copy()
    whole.update(pointer.encode())
    return whole.hexdigest()


def rows_of(plans: Mapping[str, DatasetPlan], documents: Iterable[Document]) -> dict[str, pa.Table]:
    """The rows of the documents, by table; of tables that get any.

    plans: by dataset. Elements beyond `_MOST_ELEMENTS` are turned into columns piece by piece, so memory follows the columns,
    not the objects, if the documents come one by one. Raises RecursionError for a document nested too deep to be written.
    """
    parts: dict[str, list[pa.Table]] = {}
    with _no_collection():
        for batch in _batches(documents):
            for dataset in dict.fromkeys(document.dataset for document in batch):
                of_dataset = [document for document in batch if document.dataset == dataset]
                for name, table in _Batch(plans[dataset], of_dataset).tables():
                    parts.setdefault(name, []).append(table)
    return {name: pa.concat_tables(some) for name, some in parts.items()}


@contextmanager
def _no_collection() -> Iterator[None]:
    """Objects of JSON have no cycles. Looking for some among them, over and over, was a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    elements = 0
    for document in documents:
        batch.append(document)
        elements += len(document.content) if isinstance(document.content, list) else _ELEMENTS_OF_AN_OBJECT
        if elements >= _MOST_ELEMENTS:
            yield batch
            batch, elements = [], 0
    if batch:
        yield batch


@dataclass
class _Lists:
    """The lists whose elements are the rows of one table: a run of elements for each.

    places: in lists on the way to each list, each after a dot. ids: only of lists that are no whole documents. firsts: place of each
    run's first element, where it is not 0.
    """

    elements: list[Any] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)


class _Whole:
    """In `_extra`: the element itself, because it is no object."""

    def __init__(self, value: Any) -> None:
        self.value = value


class _Rows:
    """The rows of one table while they are made."""

    def __init__(self, plan: TablePlan, lists: _Lists) -> None:
        self.plan = plan
        self.elements = lists.elements
        self.runs = np.repeat(np.arange(len(lists.counts)), lists.counts)
        counts = np.asarray(lists.counts, dtype=np.int64)
        starts = np.cumsum(counts) - counts
        if lists.firsts:
            starts -= np.asarray(lists.firsts, dtype=np.int64)
        self.index = np.arange(len(self.elements), dtype=np.int64) - starts[self.runs]
        self.documents = np.asarray(lists.documents, dtype=np.int64)[self.runs]
        self.lists = lists
        self.columns: dict[str, pa.Array] = {}
        self.extra: dict[int, Any] = {}
        self.times: list[tuple[str, tuple[str, ...], Sequence[Any]]] = []
        self.children: list[tuple[TablePlan, _Lists]] = []

    @cached_property
    def places(self) -> list[str]:
        """In the lists on the way to each row's element, each after a dot."""
        places = [self.lists.places[run] for run in self.runs.tolist()]
        if not self.plan.is_list:
            return places
        return [f"{outer}.{place}" for outer, place in zip(places, self.index.tolist(), strict=True)]

    def keep(self, row: int, path: tuple[str, ...], value: Any) -> None:
        """Put what no column can hold into the row's `_extra`, at its place in the row's element."""
        if not path:
            self.extra[row] = _Whole(value)
            return
        at = self.extra.setdefault(row, {})
        for part in path[:-1]:
            at = at.setdefault(part, {})
        if isinstance(value, dict) and isinstance(at.get(path[-1]), dict):
            return  # an empty object of which something is kept already
        at[path[-1]] = value

    def keep_all(self, path: tuple[str, ...], misfits: Misfits) -> None:
        for row, value in misfits:
            self.keep(row, path, value)


class _Batch:
    """Some documents of one dataset, on their way into its tables."""

    def __init__(self, plan: DatasetPlan, documents: Sequence[Document]) -> None:
        self._plan = plan
        self._documents = documents
        self._digests = [_digest(document.recordid, document.file_name) for document in documents]
        keys = [document.keys for document in documents]
        self._keys = {name: [one[name] for one in keys] for name in KEYS}
        self._key_arrays = {name: pa.array(self._keys[name], kind) for name, (kind, _) in KEYS.items()}

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        lists = _Lists()
        root = self._plan.root
        odd: list[int] = []
        for number, document in enumerate(self._documents):
            content = document.content
            if self._plan.with_annotations and isinstance(content, dict) and root.struct is not None:
                content = {**content, **_typed(document.annotations, root.struct)}
            elements = content if root.is_list and isinstance(content, list) else [content]
            if root.is_list and not isinstance(content, list):
                odd.append(len(lists.elements))
            lists.elements += elements
            lists.counts.append(len(elements))
            lists.documents.append(number)
            lists.places.append("")
            lists.firsts.append(document.first)
        yield from self._table(root, lists, frozenset(odd))

    def _table(
        self, plan: TablePlan, lists: _Lists, no_elements: frozenset[int] = frozenset()
    ) -> Iterator[tuple[str, pa.Table]]:
        if not lists.elements:
            return
        rows = _Rows(plan, lists)
        if plan.struct is not None:
            self._objects(rows, plan.struct)
        elif plan.inner is not None:
            self._list(rows, plan.inner, plan.value, (), rows.elements)
        else:
            assert plan.scalar is not None
            self._values(rows, plan.value, plan.scalar, (), rows.elements)
        yield plan.spec.name, self._finished(rows, no_elements)
        for child, elements in rows.children:
            yield from self._table(child, elements)

    def _objects(self, rows: _Rows, struct: StructPlan) -> None:
        objects = rows.elements
        if set(map(type, objects)) != {dict}:
            rows.keep_all((), [(row, one) for row, one in enumerate(objects) if type(one) is not dict])
            objects = [one if type(one) is dict else _EMPTY for one in objects]
        self._struct(rows, struct, objects, ())

    def _struct(self, rows: _Rows, struct: StructPlan, objects: list[dict[str, Any]], path: tuple[str, ...]) -> None:
        there: set[str] = set().union(*objects)
        if not there <= struct.fields:
            objects = self._without_strangers(rows, struct, objects, path)
            there = set().union(*objects)

        def values_of(key: str) -> list[Any] | None:
            return [one.get(key) for one in objects] if key in there else None

        for key, column, kind in struct.scalars:
            self._values(rows, column, kind, (*path, key), values_of(key))
        for key, inner in struct.structs:
            values = values_of(key)
            inner_objects = [_EMPTY] * len(objects) if values is None else _inner(rows, (*path, key), values)
            self._struct(rows, inner, inner_objects, (*path, key))
        for key, column, child in struct.lists:
            self._list(rows, child, column, (*path, key), values_of(key))

    def _without_strangers(
        self,
        rows: _Rows,
        struct: StructPlan,
        objects: list[dict[str, Any]],
        path: tuple[str, ...],
    ) -> list[dict[str, Any]]:
        """The objects with their fields under the names of the columns, and what has no column kept."""
        known, spelling = struct.fields, struct.spelling
        objects = list(objects)
        for row, one in enumerate(objects):
            if one.keys() <= known:
                continue
            renamed = {key: value for key, value in one.items() if key in known}
            for key, value in one.items():
                if key in known:
                    continue
                name = spelling.get(key.lower())
                if name is not None and name not in renamed:
                    renamed[name] = value
                elif path or rows.plan.spec.path or not self._is_key(rows, row, key, value):
                    rows.keep(row, (*path, key), value)
            objects[row] = renamed
        return objects

    def _is_key(self, rows: _Rows, row: int, name: str, value: Any) -> bool:
        """Whether a field of the document only repeats a key that the row has anyway."""
        return name in KEYS and str(self._keys[name][rows.documents[row]]) == str(value)

    def _values(
        self, rows: _Rows, column: str, kind: Kind, path: tuple[str, ...], values: Sequence[Any] | None
    ) -> None:
        if values is None:
            rows.columns[column] = pa.nulls(len(rows.elements), ARROW_TYPES[kind])
            return
        rows.columns[column], misfits = column_of(values, kind)
        rows.keep_all(path, misfits)
        if kind == "timestamp":
            rows.times.append((column, path, values))

    def _list(
        self, rows: _Rows, child: TablePlan, column: str, path: tuple[str, ...], values: Sequence[Any] | None
    ) -> None:
        if values is None:
            rows.columns[column] = pa.nulls(len(rows.elements), pa.string())
            return
        places: Sequence[int] = range(len(values))
        if set(map(type, values)) != {list}:
            places = [row for row in places if type(values[row]) is list]
            odd = ((row, value) for row, value in enumerate(values) if type(value) is not list)
            rows.keep_all(path, [(row, value) for row, value in odd if value is not None])
        ways, documents = rows.places, rows.documents.tolist()
        numbers = [documents[row] for row in places]
        found = [values[row] for row in places]
        lists = _Lists(list(chain.from_iterable(found)), list(map(len, found)), numbers, [ways[row] for row in places])
        heads = {number: _continued(self._digests[number], child.pointer) for number in set(numbers)}
        lists.ids = [heads[number] + way for number, way in zip(numbers, lists.places, strict=True)]
        ids = lists.ids
        if len(places) < len(values):
            of_row = dict(zip(places, lists.ids, strict=True))
            ids = [of_row.get(row) for row in range(len(values))]  # type: ignore[misc]
        rows.columns[column] = pa.array(ids, pa.string())
        rows.children.append((child, lists))

    def _finished(self, rows: _Rows, no_elements: frozenset[int]) -> pa.Table:
        columns = rows.columns
        if rows.plan.spec.parent is not None:
            columns["id"] = pa.array(rows.lists.ids, pa.string()).take(pa.array(rows.runs))
        index = pa.array(rows.index)
        if no_elements:
            index = pa.array(
                [None if row in no_elements else place for row, place in enumerate(rows.index.tolist())], pa.int64()
            )
        columns["index"] = index
        if len(self._documents) == 1:
            for name, values in self._key_arrays.items():
                columns[name] = pa.repeat(values[0], len(rows.elements))
        else:
            documents = pa.array(rows.documents)
            for name, values in self._key_arrays.items():
                columns[name] = values.take(documents)
        if rows.plan.times:
            columns[OFFSET] = pa.nulls(len(rows.elements), pa.string())
        if rows.times:
            columns[OFFSET], others = offsets_of([(texts, columns[column]) for column, _, texts in rows.times])
            for (_, path, _), misfits in zip(rows.times, others, strict=True):
                rows.keep_all(path, misfits)
        columns[EXTRA] = _extra(rows)
        spec = rows.plan.spec
        return pa.Table.from_arrays([columns[column.name] for column in spec.columns], schema=spec.schema)


def _inner(rows: _Rows, path: tuple[str, ...], values: list[Any]) -> list[dict[str, Any]]:
    """The objects that a field holds; an empty one where it holds none. One without any value is kept, or it would be lost."""
    inner: list[dict[str, Any]] = []
    for row, value in enumerate(values):
        if type(value) is dict:
            if all(one is None for one in value.values()):
                rows.keep(row, path, {})
            inner.append(value)
        else:
            if value is not None:
                rows.keep(row, path, value)
            inner.append(_EMPTY)
    return inner


def _extra(rows: _Rows) -> pa.Array:
    if not rows.extra:
        return pa.nulls(len(rows.elements), pa.string())
    texts: list[str | None] = [None] * len(rows.elements)
    for row, value in rows.extra.items():
        whole = isinstance(value, _Whole)
        # Where null is an element of single values, the empty column says so.
        if not whole or value.value is not None or rows.plan.struct is not None:
            texts[row] = json_text(value.value if whole else value)
    return pa.array(texts, pa.string())


def _typed(annotations: Mapping[str, str | None], struct: StructPlan) -> dict[str, Any]:
    """Annotations are texts; numbers and truth values as their columns want them, where they are some."""
    kinds = {key: kind for key, _, kind in struct.scalars}
    return {name: _of_text(text, kinds.get(name, "string")) for name, text in annotations.items()}


def _of_text(text: str | None, kind: Kind) -> Any:
    if text is None or kind not in {"integer", "number", "boolean"}:
        return text
    try:
        value = orjson.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text
