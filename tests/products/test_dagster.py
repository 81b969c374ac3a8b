"""Products as Dagster sees them: assets in the batch's run, failing alone, made again alone, and by the sensor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import update

from pipeline_assets.definitions import Overrides, build_defs
from resources.ledger.batches import get_batch
from resources.ledger.database import utc_now
from resources.ledger.products import give_products_back, take_products
from resources.ledger.tables import products
from resources.platform import Platform
from tests import metadata_contract as contract
from tests.conftest import Put
from tests.products.toy_products import AWAY, FAULT, WITH_PRODUCTS
from tests.running import next_batch, run, states, toy

TOTALS, COPY = (dg.AssetKey(["toy", name]) for name in ("totals", "copy_of_totals"))
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Dagster:
    def __init__(self, platform: Platform, instance: dg.DagsterInstance) -> None:
        self.platform, self.instance = platform, instance
        self.defs = build_defs(Overrides(sources=(WITH_PRODUCTS,), platform=platform))

    def execute(self, partition: str, job: str = "toy_ingest", only: list[dg.AssetKey] | None = None) -> Any:
        self.instance.add_dynamic_partitions("toy_batches", [partition])
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=partition,
            asset_selection=only,
            raise_on_error=False,
            run_config=QUIET,
        )

    def tick(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(instance=self.instance, resources={"platform": self.platform})
        result: Any = self.defs.resolve_sensor_def("products")(context)
        self.skipped = result.skip_reason.skip_message if result.skip_reason else None
        return list(result.run_requests or [])

    def told(self, key: dg.AssetKey) -> list[dict[str, Any]]:
        records = self.instance.fetch_materializations(key, limit=10).records
        return [{name: one.value for name, one in record.asset_materialization.metadata.items()} for record in records]  # type: ignore[union-attr]


@pytest.fixture
def dagster(platform: Platform) -> Iterator[Dagster]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Dagster(platform, instance)


def age(platform: Platform, seconds: float) -> None:
    with platform.ledger.write() as connection:
        connection.execute(update(products).values(updated_at=utc_now() - timedelta(seconds=seconds)))


def test_a_run_makes_its_batch_s_products_and_tells_of_them(dagster: Dagster, put: Put) -> None:
    put("toy/a.csv", toy(1, 2))
    batch = next_batch(dagster.platform, WITH_PRODUCTS)
    result = dagster.execute(batch.partition)
    assert result.success
    (told,) = dagster.told(TOTALS)
    assert (told["files"], told["rows of readings"], told["total"]) == (1, 2, 3.0)
    assert told["folder"] == str(dagster.platform.settings.products_folder / "toy" / batch.partition / "totals")
    assert told["report"] == f"**3.0** of {batch.partition}"
    assert told["picture"].startswith("![totals](data:image/png;base64,")
    assert [record.data for record in told["all files"].records] == [{"file": "deep/totals.txt", "bytes": 31}]
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "is_positive"]
    assert (check.passed, check.description, check.asset_key) == (True, "the total is 3.0", TOTALS)
    assert dagster.told(COPY)[0]["highest"] == 2.0
    assert dagster.tick() == []


@pytest.mark.parametrize(("value", "severity"), [(-1, "WARN"), (-200, "ERROR")])
def test_a_product_says_whether_a_finding_is_more_than_a_warning(
    dagster: Dagster, put: Put, value: float, severity: str
) -> None:
    put("toy/a.csv", toy(value))
    result = dagster.execute(next_batch(dagster.platform, WITH_PRODUCTS).partition)
    assert result.success
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "is_positive"]
    assert (check.passed, check.severity.value) == (False, severity)


def test_definitions_tell_what_a_product_is_and_what_it_is_made_of(dagster: Dagster) -> None:
    specs = {spec.key: spec for spec in dagster.defs.resolve_all_asset_specs() if spec.group_name == "toy"}
    assert contract.missing(specs.values()) == []
    assert {dep.asset_key.path[-1] for dep in specs[COPY].deps} == {"readings", "totals"}
    assert specs[TOTALS].metadata["made of"] == "toy.readings, toy.files"
    for name in contract.OF_PRODUCT:
        poorer = specs[TOTALS].replace_attributes(
            metadata={key: value for key, value in specs[TOTALS].metadata.items() if key != name}
        )
        assert contract.missing([*(spec for key, spec in specs.items() if key != TOTALS), poorer]) == [
            f"toy/totals: {name}"
        ]


def test_a_product_that_fails_fails_its_own_asset_only_and_can_be_made_alone(
    dagster: Dagster, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a.csv", toy(1, FAULT))
    batch = next_batch(dagster.platform, WITH_PRODUCTS)
    result = dagster.execute(batch.partition)
    assert not result.success
    failed = [event.step_key for event in result.all_events if event.is_step_failure]
    assert failed == ["toy__totals"]
    error = next(event for event in result.all_events if event.is_step_failure).step_failure_data.error
    assert "write_totals failed with KeyError" in error.message
    assert states(dagster.platform) == {"toy/a.csv": "committed"}
    assert get_batch(dagster.platform.ledger, batch.batch_id).state == "finished"
    assert dagster.told(dg.AssetKey(["toy", "readings"]))
    assert (dagster.told(TOTALS), dagster.told(COPY)) == ([], [])
    age(dagster.platform, 100_000)
    (request,) = dagster.tick()
    assert request.asset_selection == [COPY], "a fault of the function is not tried again; what was skipped is"

    monkeypatch.setattr("tests.products.toy_products.FAULT", -1.0)
    put("toy/a.csv", toy(5))
    again = next_batch(dagster.platform, WITH_PRODUCTS)
    assert dagster.execute(again.partition).success
    alone = dagster.execute(again.partition, "toy_products", [TOTALS])
    assert alone.success
    assert len(dagster.told(TOTALS)) == 2


def test_what_is_away_is_tried_again_at_once(dagster: Dagster, put: Put) -> None:
    put("toy/a.csv", toy(AWAY))
    batch = next_batch(dagster.platform, WITH_PRODUCTS)
    result = dagster.execute(batch.partition)
    assert not result.success
    assert [event.step_key for event in result.all_events if event.is_step_up_for_retry] == ["toy__totals"]
    assert states(dagster.platform) == {"toy/a.csv": "committed"}
    age(dagster.platform, 100)
    assert [request.asset_selection for request in dagster.tick()] == [[COPY]], "its next try waits longer"
    age(dagster.platform, 200)
    assert [request.asset_selection for request in dagster.tick()] == [[COPY, TOTALS]]


def test_the_sensor_has_made_what_a_run_that_died_left(dagster: Dagster, put: Put) -> None:
    put("toy/a.csv", toy(1))
    batch = next_batch(dagster.platform, WITH_PRODUCTS)
    run(dagster.platform, batch, source=WITH_PRODUCTS)  # a run that ends after its commit
    assert dagster.tick() == []
    assert dagster.skipped is not None
    age(dagster.platform, 31)
    lease = take_products(dagster.platform.ledger, batch.batch_id, "another", 60)
    assert lease is not None
    assert dagster.tick() == []
    give_products_back(dagster.platform.ledger, lease)
    (request,) = dagster.tick()
    assert (request.job_name, request.partition_key) == ("toy_products", batch.partition)
    assert request.asset_selection == [COPY, TOTALS]
    assert dagster.execute(batch.partition, "toy_products", list(request.asset_selection)).success
    assert dagster.tick() == []
    assert dagster.told(COPY)


def test_a_batch_without_rows_has_no_product(dagster: Dagster, put: Put) -> None:
    put("toy/a.csv", toy("no number"))
    batch = next_batch(dagster.platform, WITH_PRODUCTS)
    result = dagster.execute(batch.partition)
    assert result.success
    (told,) = dagster.told(TOTALS)
    assert told["made of"] == "no rows: the batch has none, so there is no such product"
    assert not any(path.is_file() for path in dagster.platform.settings.products_folder.rglob("*"))
