"""Prices in the serving database: how a batch gets in and out, and whether both stores hold the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline_assets.rates.config import RatesConfig, ReadingConfig
from pipeline_assets.rates.read.checked import ERROR_CLASS
from pipeline_assets.serving import Serving
from resources.errors import PermanentFailure, UserError
from resources.lake.lake import TableName
from resources.lake.sql import query_snapshot, rows_of_table
from resources.ledger.batches import Claim
from resources.ledger.leases import Lease
from resources.ledger.publishing import Refusal, published_snapshots
from resources.ledger.queries import row_counts
from resources.platform import Platform
from resources.serving import averages, comparing, loading, places

NAME = "rates"
PRICES = TableName(NAME, "prices")
_ROWS_AT_ONCE = 1_000_000


class NoPorts(UserError, PermanentFailure):
    """No port is known, so every price would be refused. The message says what to land."""


def prepare(platform: Platform, config: RatesConfig) -> ReadingConfig:
    """The configuration with all ports that are known. Raises NoPorts."""
    with platform.serving.engine.connect() as connection:
        known = places.known_ports(connection)
    if not known:
        raise NoPorts(
            "No port is known yet, so no price can be checked. Land ports.csv and regions.csv first: strandline land places "
            "ports.csv regions.csv; when they are committed, let this batch go on: strandline release BATCH_ID"
        )
    return ReadingConfig(**config.model_dump(), known_ports=known)


@dataclass
class _RatesLoad:
    load: loading.PriceLoad
    batch_id: str
    paths: Sequence[str] = ()

    def stage(self, data_files: Mapping[str, Sequence[str]]) -> dict[str, Refusal]:
        self.paths = data_files.get(PRICES.name, [])
        return {
            file_id: Refusal(
                ERROR_CLASS,
                f"{bad.rows:,} rows are wrong, so none was taken: {'; '.join(bad.shown)}"
                f"{'; ...' if bad.rows > len(bad.shown) else ''}. Mend them, or land the ports that they name, and send the "
                "whole file again or replay it.",
                location=bad.shown[0].split(":")[0],
            )
            for file_id, bad in self.load.check(loading.rows_of_files(self.paths)).items()
        }

    def commit(self, keep: Collection[str], remove: Collection[str]) -> None:
        self.load.commit_rows(loading.rows_of_files(self.paths), keep, remove, self.batch_id)


@contextmanager
def _load(platform: Platform, claimed: Claim, turn: Lease, config: RatesConfig) -> Iterator[_RatesLoad]:
    with platform.serving.write(NAME, turn.fence) as connection:
        yield _RatesLoad(loading.PriceLoad(connection, config.price_max), claimed.batch.batch_id)


def _withdraw(platform: Platform, turn: Lease, file_ids: Collection[str]) -> None:
    with platform.serving.write(NAME, turn.fence) as connection:
        loading.withdraw(connection, file_ids)


def _compare(platform: Platform, turn: Lease, file_ids: Collection[str] | None, mend: bool) -> list[str]:
    """Files that are served and not committed, or the other way, or with other rows; of all files, every daily rate, too.

    Row by row where that is asked of some files, or where it is to be mended; else by what the prices of each file add up to.
    """
    published = published_snapshots(platform.ledger, NAME).get(PRICES.name)
    committed = row_counts(platform.ledger, source=NAME).get(PRICES.name, {})
    in_lake = query_snapshot(platform.lake, PRICES, published, comparing.SUMS_IN_LAKE)
    wanted = {} if in_lake is None else comparing.sums_of(in_lake)
    with platform.serving.engine.connect() as connection:
        served = comparing.served_sums(connection)
        if file_ids is not None:
            served = {i: sums for i, sums in served.items() if i in file_ids}
            committed = {i: count for i, count in committed.items() if i in file_ids}
        both = committed.keys() & served.keys()
        differing = {i for i in both if i not in wanted or not served[i].is_close(wanted[i])}
        if file_ids is not None or mend:
            for some in _in_chunks({i: committed[i] for i in sorted(both - differing)}):
                rows = rows_of_table(platform.lake, PRICES, published, loading.COLUMNS, file_ids=some)
                differing |= {i for i in some if comparing.digest_of_file(connection, i) != comparing.digest(rows, i)}
    wrong = dict.fromkeys(sorted(differing), "has other rows than the lake")
    wrong |= dict.fromkeys(sorted(served.keys() - committed.keys()), "is served and not committed")
    wrong |= dict.fromkeys(sorted(committed.keys() - served.keys()), "is committed and not served")
    found = [f"{file_id} {why}" for file_id, why in wrong.items()]
    if wrong and mend:
        _mend(platform, turn, published, set(wrong), wrong.keys() & committed.keys())
    return found if file_ids is not None else [*found, *_compare_days(platform, turn, published, mend)]


def _in_chunks(files: Mapping[str, int]) -> Iterator[list[str]]:
    """Files whose rows are looked at together, from the rows of each: a query goes through the whole table."""
    chunk: list[str] = []
    rows = 0
    for file_id, count in files.items():
        if chunk and rows + count > _ROWS_AT_ONCE:
            yield chunk
            chunk, rows = [], 0
        chunk.append(file_id)
        rows += count
    if chunk:
        yield chunk


def _compare_days(platform: Platform, turn: Lease, published: int | None, mend: bool) -> list[str]:
    """Each daily rate that is kept, against the lake's prices averaged by another engine."""
    with platform.serving.engine.connect() as connection:
        kept = comparing.daily(connection)
    found = query_snapshot(platform.lake, PRICES, published, comparing.DIFFERING_DAYS, {"kept": kept})
    differing = kept.to_pylist() if found is None else found.to_pylist()
    if not differing:
        return []
    if mend:
        with platform.serving.write(NAME, turn.fence) as connection:
            averages.average_all(connection)
    return [
        f"{len(differing):,} days of lanes have another average or percentile than the lake's prices: {differing[:3]}"
    ]


def _mend(platform: Platform, turn: Lease, published: int | None, wrong: set[str], committed: set[str]) -> None:
    """Serve what the lake has: it was published, so its rows were checked."""
    with platform.serving.write(NAME, turn.fence) as connection:
        load = loading.PriceLoad(connection, price_max=float("inf"))
        rows = [rows_of_table(platform.lake, PRICES, published, loading.COLUMNS, file_ids=committed)]
        refused = load.check(rows)
        load.commit_rows(rows, committed - refused.keys(), wrong - committed, "reconcile")


SERVING = Serving(load=_load, withdraw=_withdraw, compare=_compare)
