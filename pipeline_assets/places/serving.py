"""Ports and regions in the serving database. They take the place of those before, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import Connection

from pipeline_assets.serving import Serving
from resources.lake import files as files_of_lake
from resources.lake.lake import TableName
from resources.lake.sql import rows_of_table
from resources.ledger.batches import Claim
from resources.ledger.leases import Lease
from resources.ledger.publishing import Refusal, published_snapshots
from resources.platform import Platform
from resources.serving import places

NAME = "places"
_TABLES = {
    "ports": ("code", "name", "region_slug"),
    "regions": ("slug", "name", "parent_slug"),
    "closure": ("region_slug", "port_code", "depth"),
}
_MOST_SHOWN = 10

Rows = dict[str, list[dict[str, Any]]]


@dataclass
class _PlacesLoad:
    connection: Connection
    claimed: Claim
    rows: Rows = field(default_factory=dict)

    def stage(self, data_files: Mapping[str, Sequence[str]]) -> dict[str, Refusal]:
        self.rows = {
            table: [
                row
                for path in data_files.get(table, [])
                for row in pq.read_table(
                    files_of_lake.path_in(path), columns=list(columns), partitioning=None, **files_of_lake.place(path)
                ).to_pylist()
            ]
            for table, columns in _TABLES.items()
        }
        if not self.rows["ports"]:
            return {}
        missing = sorted(places.ports_in_use(self.connection) - {row["code"] for row in self.rows["ports"]})
        if not missing:
            return {}
        refusal = Refusal(
            "port_in_use",
            f"{len(missing)} ports are gone that prices are for: {', '.join(missing[:_MOST_SHOWN])}"
            f"{', ...' if len(missing) > _MOST_SHOWN else ''}. Keep them in ports.csv, or withdraw these prices first: "
            "strandline withdraw FILE_ID",
        )
        return {file.file_id: refusal for file in self.claimed.files}

    def commit(self, keep: Collection[str], remove: Collection[str]) -> None:
        if keep and self.rows["ports"]:
            places.replace(self.connection, self.rows["ports"], self.rows["regions"], self.rows["closure"])


@contextmanager
def _load(platform: Platform, claimed: Claim, turn: Lease, config: Any) -> Iterator[_PlacesLoad]:
    with platform.serving.write(NAME, turn.fence) as connection:
        yield _PlacesLoad(connection, claimed)


def _withdraw(platform: Platform, turn: Lease, file_ids: Collection[str]) -> None:
    """What is left of the places is what the published tables have. Ports with prices stay, outside of all regions."""
    _take_over(platform, turn, without=file_ids)


def _compare(platform: Platform, turn: Lease, file_ids: Collection[str] | None, mend: bool) -> list[str]:
    published = _published(platform)
    with platform.serving.write(NAME, turn.fence) as connection:
        served = places.served(connection)
    differing = [
        f"{table}: {len(wanted ^ served[table])} rows differ"
        for table, wanted in ((table, _as_set(rows)) for table, rows in published.items())
        if wanted != served[table]
    ]
    if differing and mend:
        _take_over(platform, turn)
    return differing


def _take_over(platform: Platform, turn: Lease, without: Collection[str] = ()) -> None:
    rows = _published(platform, without)
    with platform.serving.write(NAME, turn.fence) as connection:
        places.replace(connection, rows["ports"], rows["regions"], rows["closure"])


def _published(platform: Platform, without: Collection[str] = ()) -> Rows:
    published = published_snapshots(platform.ledger, NAME)
    found: Rows = {}
    for table, columns in _TABLES.items():
        rows = rows_of_table(platform.lake, TableName(NAME, table), published.get(table), ("file_id", *columns))
        found[table] = [
            {name: row[name] for name in columns} for row in rows.to_pylist() if row["file_id"] not in without
        ]
    return found


def _as_set(rows: Sequence[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    return {tuple(row.values()) for row in rows}


SERVING = Serving(load=_load, withdraw=_withdraw, compare=_compare)
