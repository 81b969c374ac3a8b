"""The statistics of a cruise's parameters as items of a DynamoDB table, where those that use it are to find them.

The table has the partition key `cruise` (text) and the sort key `item` (text). What a cruise has there is exchanged:
new and changed items first, then those go that it does not have any more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from pipeline_assets.product import Making, ProductResult

STATS_COLUMNS = {
    "parameter_stats": (
        "source_key", "cruise", "cast_index", "station", "cast_number", "parameter", "standard_name", "unit", "n", "n_good",
        "n_missing", *(f"n_flag_{flag}" for flag in (*range(1, 10), "other", "none")), "n_qartod_suspect", "n_qartod_fail",
        "min", "max", "mean", "min_good", "max_good", "mean_good",
    ),
}  # fmt: skip
PARTITION_KEY, SORT_KEY = "cruise", "item"
_DIGITS = 17
"""of a double, so that the number that is read is the one that was written"""


def is_on(config: Any) -> bool:
    """Whether a table is configured."""
    return bool(config.dynamodb_table)


def write_stats(making: Making) -> ProductResult:
    """Let the table's items of this cruise be those of its rows; `written.json` says what was done."""
    items = {str(item[SORT_KEY]): item for item in items_of(making)}
    table = _table(making.config)
    there = _keys_there(table, making.partition)
    gone = sorted(there - items.keys())
    with table.batch_writer(overwrite_by_pkeys=[PARTITION_KEY, SORT_KEY]) as batch:
        for item in items.values():
            batch.put_item(Item=item)
        for key in gone:
            batch.delete_item(Key={PARTITION_KEY: making.partition, SORT_KEY: key})
    done: dict[str, str | int | float] = {"table": table.name, "items": len(items), "items deleted": len(gone)}
    (making.folder / "written.json").write_text(json.dumps({**done, "cruise": making.partition}) + "\n")
    return ProductResult(metadata=done)


def items_of(making: Making) -> Iterator[dict[str, Any]]:
    """An item for each row. The group is the partition key, because a file may name another cruise than its folder."""
    for row in making.rows["parameter_stats"].to_pylist():
        kept = {name: dynamo_value(value) for name, value in row.items() if value is not None and name != "file_id"}
        named = kept.pop("cruise", "")
        item = f"{row['source_key']}#{row['cast_index']:06d}#{row['parameter']}#{row['unit']}"
        yield {**kept, PARTITION_KEY: making.partition, SORT_KEY: item, "cruise_in_file": named}


def dynamo_value(value: Any) -> Any:
    """A value as DynamoDB takes it: numbers are decimals, and what is no number is a text."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return str(value)
    # DynamoDB keeps 38 digits, of 1e-130 to 1e125.
    return Decimal(f"{value:.{_DIGITS}g}") if value == 0 or 1e-130 <= abs(value) < 1e125 else f"{value:.{_DIGITS}g}"


def _table(config: Any) -> Any:
    import boto3

    options: Mapping[str, Any] = {"endpoint_url": config.dynamodb_endpoint} if config.dynamodb_endpoint else {}
    return boto3.resource("dynamodb", **options).Table(config.dynamodb_table)


def _keys_there(table: Any, cruise: str) -> set[str]:
    from boto3.dynamodb.conditions import Key

    query: dict[str, Any] = {
        "KeyConditionExpression": Key(PARTITION_KEY).eq(cruise),
        "ProjectionExpression": "#key",
        "ExpressionAttributeNames": {"#key": SORT_KEY},
        "ConsistentRead": True,
    }
    found: set[str] = set()
    while True:
        answer = table.query(**query)
        found |= {str(item[SORT_KEY]) for item in answer["Items"]}
        if "LastEvaluatedKey" not in answer:
            return found
        query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
