"""A batch of prices from landed to served: real runs, real PostgreSQL, and both stores say the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from pipeline_assets.aggregate_run import update_aggregate
from pipeline_assets.batch_hold import BatchHeld
from pipeline_assets.operations.erasure import forget
from pipeline_assets.operations.reconcile import reconcile
from pipeline_assets.operations.withdraw import NotWithdrawn, withdraw
from pipeline_assets.places.source import PLACES
from pipeline_assets.rates.examples import Row
from pipeline_assets.rates.serving import NoPorts
from pipeline_assets.rates.source import RATES
from pipeline_assets.served import compare_served
from resources.ledger.batches import get_batch
from resources.ledger.queries import find_files
from resources.ledger.replay import RefusedFilter, replay
from resources.platform import Platform
from resources.serving import places
from resources.serving.database import Overtaken
from sensors.looking import look_for_arrivals, plan_batches
from tests.conftest import Put, putter
from tests.freight import csv_of, lake_prices, land_places, rates, served_prices, take
from tests.running import all_states, next_batch, rows_of, states

DAY = date(2016, 1, 1)
A: list[Row] = [("CNSGH", "NLRTM", DAY, 1000.0)] * 2 + [("CNSGH", "NLRTM", DAY, 1300.0), ("NLRTM", "CNSGH", DAY, 5.0)]
B: list[Row] = [("CNSGH", "NLRTM", DAY, 2000.0), ("CNSGH", "NLRTM", date(2016, 1, 2), 7.0)]


def the_same(platform: Platform) -> list[tuple[object, ...]]:
    """Every price, asserted to be the same in both stores."""
    served = served_prices(platform)
    assert served == lake_prices(platform)
    assert compare_served(platform, RATES, print) == []
    return served


def average(platform: Platform, day: str = "2016-01-01") -> tuple[int, int | None]:
    (found,) = rates(platform, "CNSGH", "NLRTM", day, day)
    return found.prices, found.average_price


def test_a_batch_is_in_both_stores_equal_rows_and_all(platform: Platform, put: Put) -> None:
    put("rates/a.csv", csv_of(A))
    report = take(platform, RATES)
    assert (report.committed, report.rows) == (1, {"prices": 4, "batches": 1})
    assert len(the_same(platform)) == 4
    assert average(platform) == (3, 1100)
    put("rates/b.csv", csv_of(B))
    take(platform, RATES)
    assert len(the_same(platform)) == 6
    assert average(platform) == (4, 1325)
    assert average(platform, "2016-01-02") == (1, None)
    assert rows_of(platform, "SELECT source_key, prices, lanes, first_day, highest FROM rates.batches ORDER BY ALL") == [
        ("rates/a.csv", 4, 2, DAY, 1300.0), ("rates/b.csv", 2, 1, DAY, 2000.0),
    ]  # fmt: skip


def test_the_lakes_daily_rates_are_those_that_are_served(platform: Platform, put: Put) -> None:
    put("rates/a.csv", csv_of(A + B))
    take(platform, RATES)
    update_aggregate(platform, RATES, RATES.aggregates[0], RATES.config(), "run", print)
    lake = rows_of(
        platform, "SELECT * EXCLUDE (file_id, batch_id) FROM rates.daily_rates ORDER BY orig_code, dest_code, day"
    )
    from resources.serving.comparing import daily

    with platform.serving.read() as connection:
        served = [tuple(row.values()) for row in daily(connection).to_pylist()]
    assert [row[:4] for row in lake] == [row[:4] for row in served]
    for one, other in zip(lake, served, strict=True):
        assert one[4:] == pytest.approx(other[4:], rel=1e-12)
    assert served[0][:5] == ("CNSGH", "NLRTM", DAY, 4, 1325.0)


def test_the_same_bytes_are_one_batch_and_other_bytes_another(platform: Platform, put: Put) -> None:
    put("rates/a.csv", csv_of(A))
    put("rates/also_a.csv", csv_of(A))
    take(platform, RATES)
    assert {key: state for key, state in states(platform).items() if key.startswith("rates/")} == {
        "rates/a.csv": "committed", "rates/also_a.csv": "duplicate",
    }  # fmt: skip
    assert len(the_same(platform)) == 4
    put("rates/a.csv", csv_of(B))
    take(platform, RATES)
    assert all_states(platform)["rates/a.csv", "committed"] == 2
    assert len(the_same(platform)) == 6


def test_a_batch_with_a_wrong_row_goes_in_nowhere(platform: Platform, put: Put) -> None:
    put("rates/good.csv", csv_of(A))
    put("rates/bad.csv", csv_of([*B, ("CNSGH", "XXXXX", DAY, 1.0)]))
    report = take(platform, RATES)
    assert [(one.key, one.refusal.error_class) for one in report.refused] == [("rates/bad.csv", "wrong_rows_in_batch")]
    assert "row 3: dest_code 'XXXXX' is no known port" in report.refused[0].refusal.message
    assert len(the_same(platform)) == 4


def remove_after_asking(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    """Let ports go once the run has asked which there are."""
    ask = places.known_ports

    def then_remove(connection: Connection) -> frozenset[str]:
        known = ask(connection)
        for statement in statements:
            connection.execute(text(statement))
        connection.commit()
        return known

    monkeypatch.setattr(places, "known_ports", then_remove)


def test_a_port_that_goes_while_a_batch_is_read(platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader knew it; the database has the last word, before anything is visible, and the others go on."""
    put("rates/good.csv", csv_of(A))
    put("rates/bad.csv", csv_of([("CNSGH", "GBFXT", DAY, float(price)) for price in range(1, 31)]))
    remove_after_asking(
        monkeypatch, "DELETE FROM closure WHERE port_code = 'GBFXT'", "DELETE FROM ports WHERE code = 'GBFXT'"
    )
    report = take(platform, RATES)
    assert [one.key for one in report.refused] == ["rates/bad.csv"]
    message = report.refused[0].refusal.message
    assert "30 rows are wrong" in message
    assert "row 20: dest_code GBFXT is no known port; ..." in message
    assert len(the_same(platform)) == 4
    assert rows_of(platform, "SELECT source_key FROM rates.batches") == [("rates/good.csv",)]


def test_too_many_files_that_the_database_refuses_hold_the_batch(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("rates/a.csv", csv_of(A))
    put("rates/b.csv", csv_of(B))
    remove_after_asking(monkeypatch, "TRUNCATE closure, lanes, ports CASCADE")
    with pytest.raises(BatchHeld, match="2 of 2 files were refused"):
        take(platform, replace(RATES, hold_from_files=2, hold_above=0.5))
    assert served_prices(platform) == []


def test_a_batch_done_again_changes_nothing(platform: Platform, put: Put) -> None:
    put("rates/a.csv", csv_of(A))
    batch_id = next_batch(platform, RATES).batch_id
    take(platform, RATES, batch_id)
    before = the_same(platform)
    take(platform, RATES, batch_id)
    assert the_same(platform) == before
    assert average(platform) == (3, 1100)


def test_withdrawn_exactly_and_taken_in_again(platform: Platform, put: Put) -> None:
    put("rates/a.csv", csv_of(A))
    put("rates/b.csv", csv_of(B))
    batch_id = next_batch(platform, RATES).batch_id
    take(platform, RATES, batch_id)
    before = the_same(platform)
    (file_id,) = find_files(platform.ledger, "rates/b.csv")
    assert withdraw(platform, RATES, [file_id], "a wrong currency", print) == [file_id]
    assert len(the_same(platform)) == 4
    assert average(platform) == (3, 1100)
    assert average(platform, "2016-01-02") == (0, None)
    assert states(platform)["rates/b.csv"] == "quarantined"
    assert rows_of(platform, "SELECT error_class, error FROM operations.quarantine") == [
        ("withdrawn", "a wrong currency")
    ]
    take(platform, RATES, batch_id)  # its batch, done again, does not bring it back
    look_for_arrivals(platform, RATES, from_start=True)
    assert reconcile(platform, RATES).balanced
    assert len(the_same(platform)) == 4
    with pytest.raises(NotWithdrawn, match=f"{file_id} is not committed"):
        withdraw(platform, RATES, [file_id], "again", print)
    with pytest.raises(NotWithdrawn, match="land that instead"):
        withdraw(platform, PLACES, [file_id], "again", print)
    replay(platform.ledger, RefusedFilter((file_id,)))
    take(platform, RATES)
    assert [row[2:] for row in the_same(platform)] == [row[2:] for row in before]
    assert average(platform) == (4, 1325)


def test_what_was_withdrawn_may_come_under_another_key(platform: Platform, put: Put) -> None:
    put("rates/a.csv", csv_of(A))
    take(platform, RATES)
    withdraw(platform, RATES, find_files(platform.ledger, "rates/a.csv"), "no", print)
    put("rates/anew.csv", csv_of(A))
    assert take(platform, RATES).committed == 1
    assert average(platform) == (3, 1100)


def test_forgotten_is_served_no_more(platform: Platform, put: Put) -> None:
    put("rates/a.csv", csv_of(A))
    put("rates/b.csv", csv_of(B))
    take(platform, RATES)
    forget(platform, RATES, find_files(platform.ledger, "rates/b.csv"), print, lambda runs: None)
    assert len(the_same(platform)) == 4
    assert average(platform) == (3, 1100)
    assert reconcile(platform, RATES).balanced


def test_without_ports_the_batch_is_held_and_says_what_to_land(platform: Platform, tmp_path: Path) -> None:
    put = putter(platform.landing, tmp_path)
    put("rates/a.csv", csv_of(A))
    batch = next_batch(platform, RATES)
    with pytest.raises(NoPorts, match=r"Land ports\.csv and regions\.csv first"):
        take(platform, RATES, batch.batch_id)
    assert get_batch(platform.ledger, batch.batch_id).state == "held"


def test_prices_are_planned_after_the_places_that_landed(platform: Platform, tmp_path: Path) -> None:
    """By the sensor; a person's drain goes on."""
    put = putter(platform.landing, tmp_path)
    put("rates/a.csv", csv_of(A))
    land_places(put)
    for _ in range(20):
        if not look_for_arrivals(platform, RATES).unsettled:
            break
    plan_batches(platform, RATES)
    assert states(platform)["rates/a.csv"] == "pending"
    assert rows_of(platform, "SELECT batch_id FROM operations.files WHERE source = 'rates'") == [(None,)]
    take(platform, PLACES)
    plan_batches(platform, RATES)
    assert rows_of(platform, "SELECT batch_id IS NULL FROM operations.files WHERE source = 'rates'") == [(False,)]


def test_new_places_take_the_place_of_the_old(platform: Platform, put: Put) -> None:
    put("rates/a.csv", csv_of(A))
    take(platform, RATES)
    some_ports = [("CNSGH", "Shanghai", "asia"), ("NLRTM", "Rotterdam", "europe")]
    land_places(put, some_ports, [("asia", "Asia", "world"), ("europe", "Europe", "world"), ("world", "World", "")])
    take(platform, PLACES)
    (found,) = rates(platform, "asia", "world", "2016-01-01", "2016-01-01")
    assert found.prices == 3
    assert compare_served(platform, PLACES, print) == []
    put("places/ports.csv", "code,name,parent_slug\nCNSGH,Shanghai,asia\n")
    report = take(platform, PLACES)
    assert {one.refusal.error_class for one in report.refused} == {"port_in_use"}
    assert "1 ports are gone that prices are for: NLRTM" in report.refused[0].refusal.message
    assert compare_served(platform, PLACES, print) == []
    (found,) = rates(platform, "asia", "europe", "2016-01-01", "2016-01-01")
    assert found.prices == 3
    withdraw(platform, RATES, find_files(platform.ledger, "rates/a.csv"), "no", print)
    replay(platform.ledger, RefusedFilter(source="places"))
    assert take(platform, PLACES).committed == 2
    assert rows_of(platform, "SELECT code FROM places.ports") == [("CNSGH",)]
    assert compare_served(platform, PLACES, print) == []


def break_price(platform: Platform) -> None:
    with platform.serving.engine.begin() as connection:
        connection.execute(text('UPDATE prices SET price = price + 1 WHERE "row" = 1'))


def break_average(platform: Platform) -> None:
    with platform.serving.engine.begin() as connection:
        connection.execute(text("UPDATE daily_rates SET p25 = p25 * 1.001"))


def lose_all(platform: Platform) -> None:
    with platform.serving.engine.begin() as connection:
        connection.execute(text("TRUNCATE prices, batches, daily_rates"))


def serve_a_stranger(platform: Platform) -> None:
    with platform.serving.engine.begin() as connection:
        connection.execute(text("INSERT INTO batches (file_id, batch_id, prices) VALUES ('stranger', 'x', 1)"))
        connection.execute(
            text("INSERT INTO prices SELECT (SELECT max(file_no) FROM batches), 1, lane_id, day, 9 FROM prices LIMIT 1")
        )


@pytest.mark.parametrize("damage", [break_price, break_average, lose_all, serve_a_stranger])
def test_reconciling_serves_what_the_lake_has(platform: Platform, put: Put, damage: object) -> None:
    put("rates/a.csv", csv_of(A))
    put("rates/b.csv", csv_of(B))
    take(platform, RATES)
    before = the_same(platform)
    damage(platform)  # type: ignore[operator]
    assert compare_served(platform, RATES, print) != []
    found = reconcile(platform, RATES)
    assert found.served
    assert not found.balanced
    assert reconcile(platform, RATES).balanced
    assert the_same(platform) == before
    assert average(platform) == (4, 1325)


def test_a_run_whose_turn_was_taken_over_writes_nothing(platform: Platform, put: Put) -> None:
    put("rates/a.csv", csv_of(A))
    take(platform, RATES)
    with platform.serving.write("rates", 1 << 60):
        pass
    put("rates/b.csv", csv_of(B))
    with pytest.raises(Overtaken, match="another run has written the prices of rates"):
        take(platform, RATES)
    assert len(served_prices(platform)) == len(lake_prices(platform)) == 4


def test_a_database_that_is_away_is_asked_again_and_keeps_its_password(platform: Platform, put: Put) -> None:
    put("rates/a.csv", csv_of(A))
    batch = next_batch(platform, RATES)
    away = SecretStr("postgresql://someone:canary0f1e2d@127.0.0.1:1/rates")
    beside = Platform(platform.settings.model_copy(update={"serving_url": away}))
    with pytest.raises(OperationalError) as raised:
        take(beside, RATES, batch.batch_id)
    beside.close()
    after = get_batch(platform.ledger, batch.batch_id)
    assert after.state == "planned"
    assert after.error
    assert "canary0f1e2d" not in f"{after.error} {raised.value}"
    assert take(platform, RATES, batch.batch_id).committed == 1
