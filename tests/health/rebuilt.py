"""Documents from tables: every list, object and value put back where the columns say that it was."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from pipeline_assets.health.tables import EXTRA, DatasetPlan, StructPlan, TablePlan

_ABSENT = object()


def documents_of(plan: DatasetPlan, tables: Mapping[str, pa.Table]) -> dict[tuple[str, str], Any]:
    """By record and file name, the documents that the tables hold."""
    lists = _lists_by_id(plan, tables)
    rows = tables.get(plan.root.spec.name, plan.root.spec.empty()).to_pylist()
    found: dict[tuple[str, str], Any] = {}
    for row in sorted(rows, key=lambda row: (row["recordid"], row["file_name"], row.get("index") or 0)):
        key = (row["recordid"], row["file_name"])
        element = _element(plan.root, row, lists)
        if plan.root.is_list and row["index"] is not None:
            found.setdefault(key, []).append(element)
        else:
            found[key] = element
    return found


def _lists_by_id(plan: DatasetPlan, tables: Mapping[str, pa.Table]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    lists: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for spec in plan.tables:
        by_id: dict[str, list[dict[str, Any]]] = defaultdict(list)
        if spec.parent is not None and spec.name in tables:
            for row in sorted(tables[spec.name].to_pylist(), key=lambda row: row["index"]):
                by_id[row["id"]].append(row)
        lists[spec.name] = by_id
    return lists


def _element(plan: TablePlan, row: dict[str, Any], lists: Any) -> Any:
    extra = json.loads(row[EXTRA]) if row[EXTRA] is not None else _ABSENT
    if plan.struct is None:
        if extra is not _ABSENT:
            return extra
        if plan.inner is not None:
            return _list(plan.inner, row[plan.value], lists)
        return _value(row[plan.value], plan.scalar)
    if extra is not _ABSENT and not isinstance(extra, dict):
        return extra
    built = _object(plan.struct, row, lists)
    return _merged(built, {} if extra is _ABSENT else extra)


def _object(struct: StructPlan, row: dict[str, Any], lists: Any) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key, column, kind in struct.scalars:
        if row[column] is not None:
            built[key] = _value(row[column], kind)
    for key, inner in struct.structs:
        one = _object(inner, row, lists)
        if one:
            built[key] = one
    for key, column, child in struct.lists:
        if row[column] is not None:
            built[key] = _list(child, row[column], lists)
    return built


def _list(plan: TablePlan, list_id: str | None, lists: Any) -> Any:
    return None if list_id is None else [_element(plan, row, lists) for row in lists[plan.spec.name][list_id]]


def _value(value: Any, kind: str | None) -> Any:
    if kind == "json":
        return None if value is None else json.loads(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: _merged(one.get(key, other.get(key)), other.get(key, one.get(key))) for key in {**one, **other}}
    return other


def plain(value: Any) -> Any:
    """What of a document is meant to come back: members that are null are absent, an instant is one however it is written."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, str) and "T" in value:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return value
        return ("instant", at.timestamp()) if at.tzinfo else value
    if isinstance(value, bool):
        return ("truth", value)
    return value
