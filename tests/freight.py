"""Ways to land and take places and prices on a platform with a real PostgreSQL, without Dagster."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pipeline_assets.batch_report import BatchReport
from pipeline_assets.batch_run import run_batch
from pipeline_assets.example_places import ports, regions
from pipeline_assets.source import FileSource
from resources.platform import Platform
from resources.serving import queries
from resources.settings import Settings
from tests.conftest import Put
from tests.running import Silent, next_batch, rows_of

HEADER = "orig_code,dest_code,day,price\n"
Row = tuple[str, str, date, float]


def settings_for(postgresql: str, home: Path, **options: object) -> Settings:
    """A deployment of its own on a server that others use, too."""
    values = {"workers": 2, "settle_seconds": 0.05, "lease_seconds": 10} | options
    return Settings(home=home, serving_url=postgresql, namespace=f"n{uuid.uuid4().hex[:10]}", **values)  # type: ignore[arg-type]


def take(platform: Platform, source: FileSource, batch_id: str | None = None) -> BatchReport:
    """Do a batch of what landed, or a batch again."""
    chosen = batch_id or next_batch(platform, source).batch_id
    config = source.config()
    run_id = uuid.uuid4().hex
    return run_batch(platform, source, config, chosen, run_id, Silent(), hold_when_stopped=lambda: True)


def places_csv(rows: Sequence[Sequence[str]], first: str) -> str:
    return "\n".join([f"{first},name,parent_slug", *(",".join(row) for row in rows)]) + "\n"


def land_places(put: Put, some_ports: Sequence[Sequence[str]] = (), some_regions: Sequence[Sequence[str]] = ()) -> None:
    put("places/ports.csv", places_csv(some_ports or ports(), "code"))
    put("places/regions.csv", places_csv(some_regions or regions(), "slug"))


def csv_of(rows: Sequence[Row]) -> str:
    return HEADER + "".join(f"{o},{d},{day},{price:g}\n" for o, d, day, price in rows)


def rates(platform: Platform, origin: str, destination: str, first: str, last: str) -> list[queries.DayRate]:
    with platform.serving.read() as connection:
        return queries.daily_rates(connection, origin, destination, date.fromisoformat(first), date.fromisoformat(last))


def served_prices(platform: Platform) -> list[tuple[object, ...]]:
    """Every price that is served: file, row, ends, day, price."""
    from sqlalchemy import text

    query = (
        'SELECT b.file_id, p."row", l.orig_code, l.dest_code, p.day, p.price FROM prices p JOIN batches b USING (file_no) '
        "JOIN lanes l USING (lane_id) ORDER BY 1, 2"
    )
    with platform.serving.read() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def lake_prices(platform: Platform) -> list[tuple[object, ...]]:
    """Every price that SQL shows, likewise."""
    return rows_of(
        platform, "SELECT file_id, row, orig_code, dest_code, day, price FROM rates.prices ORDER BY file_id, row"
    )
