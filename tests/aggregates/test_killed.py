"""Updates that are killed, raced, or lose their right; the next one heals it."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline_assets import aggregate_run
from pipeline_assets.aggregate_run import (
    update_aggregate,
)
from pipeline_assets.source import NoConfig
from resources.lake import lake as lake_module
from resources.ledger.aggregates import take_aggregate
from resources.ledger.leases import LeaseLost, this_process
from resources.ledger.tables import leases
from resources.platform import Platform
from tests.aggregates.updating import (
    assert_up_to_date,
    behind,
    land_and_run,
    shown,
    update,
)
from tests.conftest import Put
from tests.running import toy, visible
from tests.toy_source import BY_VALUE, TOY


class Killed(BaseException):
    pass


POINTS = {
    "before it reads": (aggregate_run, "compute_rows"),
    "before its table is committed": (lake_module.Lake, "replace_all"),
    "before it is published": (aggregate_run, "publish_aggregate"),
}


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
@pytest.mark.parametrize("times", [1, 3])
def test_killed_anywhere_the_next_run_heals_it(
    platform: Platform, put: Put, point: tuple[Any, str], times: int
) -> None:
    """After the kill batches go on, and readers see the aggregate as it was."""
    land_and_run(platform, put, a=toy(1, 2))
    update(platform)
    before = shown(platform)
    for number in range(times):
        land_and_run(platform, put, **{f"b{number}": toy(2, number + 3)})
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(*point, die)
            # A killed run gives nothing back.
            patched.setattr(aggregate_run, "give_aggregate_back", lambda *args: None)
            with pytest.raises(Killed):
                update(platform)
        with platform.ledger.write() as connection:
            dead = leases.update().where(leases.c.name == "aggregate:toy/by_value")
            assert connection.execute(dead.values(process=f"{own_host(platform)}/999999999/1")).rowcount == 1
        assert shown(platform) == before
        assert behind(platform)
    land_and_run(platform, put, a=toy(8))
    update(platform)
    assert_up_to_date(platform)


def own_host(platform: Platform) -> str:
    return this_process().rsplit("/", 2)[0]


def die(*args: object, **kwargs: object) -> None:
    raise Killed


def test_killed_after_it_was_published_nothing_is_left_to_do(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1, 2))
    publish = aggregate_run.publish_aggregate

    def publish_and_die(*args: Any, **kwargs: Any) -> None:
        publish(*args, **kwargs)
        raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(aggregate_run, "publish_aggregate", publish_and_die)
        with pytest.raises(Killed):
            update(platform)
    assert_up_to_date(platform)


def test_a_run_that_lost_its_right_publishes_nothing(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1))
    update(platform)
    land_and_run(platform, put, b=toy(2))
    publish = aggregate_run.publish_aggregate

    def lose_then_publish(*args: Any, **kwargs: Any) -> None:
        with platform.ledger.write() as connection:
            connection.execute(leases.delete().where(leases.c.name == "aggregate:toy/by_value"))
        assert take_aggregate(platform.ledger, "toy", "by_value", "another", 10)
        publish(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(aggregate_run, "publish_aggregate", lose_then_publish)
        with pytest.raises(LeaseLost, match="run another holds it now"):
            update(platform)
    assert shown(platform) == {1.0: (1, 0)}


def test_a_batch_published_meanwhile_is_for_the_next_update(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1))
    publish = aggregate_run.publish_aggregate

    def land_then_publish(*args: Any, **kwargs: Any) -> None:
        land_and_run(platform, put, b=toy(1, 2))
        publish(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(aggregate_run, "publish_aggregate", land_then_publish)
        update(platform)
    assert shown(platform) == {1.0: (1, 0)}
    assert visible(platform) == {"toy/a": [1.0], "toy/b": [1.0, 2.0]}
    assert behind(platform)
    assert update(platform).rebuilt == ""
    assert_up_to_date(platform)


def test_two_updates_at_once_take_turns(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1))
    lease = take_aggregate(platform.ledger, "toy", "by_value", "another", 0.5)
    assert lease is not None
    said: list[str] = []
    update_aggregate(platform, TOY, BY_VALUE, NoConfig(), "mine", said.append)
    assert said[0] == "waiting: another run makes toy.by_value"
    assert_up_to_date(platform)
