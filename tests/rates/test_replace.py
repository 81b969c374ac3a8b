"""A batch takes the place of another in one transaction: readers, ledger and both stores have the one or the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner

from cli.main import main
from cli.replace import replace_file
from pipeline_assets.operations.erasure import forget
from pipeline_assets.operations.reconcile import reconcile
from pipeline_assets.operations.replace import replace_by
from pipeline_assets.operations.withdraw import withdraw
from pipeline_assets.places.source import PLACES
from pipeline_assets.rates.source import RATES
from resources.errors import UserError
from resources.ledger.leases import LeaseLost
from resources.ledger.queries import find_files, tell
from resources.ledger.replacing import NotReplaced, replacement_of
from resources.ledger.replay import RefusedFilter, replay
from resources.platform import Platform
from sensors.looking import look_for_arrivals
from tests.conftest import Put
from tests.freight import csv_of, take
from tests.rates.test_path import DAY, A, B, average, the_same
from tests.running import next_batch, rows_of, states

C = [("CNSGH", "NLRTM", DAY, 500.0)] * 3
KEYS = "SELECT source_key FROM rates.batches ORDER BY ALL"


def id_of(platform: Platform, key: str) -> str:
    return find_files(platform.ledger, key)[-1]


@pytest.fixture
def noted(platform: Platform, put: Put) -> str:
    """A and B are committed, and A is to be replaced by what lands as c.csv; the id of A."""
    put("rates/a.csv", csv_of(A))
    put("rates/b.csv", csv_of(B))
    take(platform, RATES)
    old = id_of(platform, "rates/a.csv")
    replace_by(platform, RATES, old, "rates/c.csv", "wrong currency", print)
    return old


def test_the_old_goes_as_the_new_one_comes(platform: Platform, put: Put, noted: str) -> None:
    assert average(platform) == (4, 1325)
    put("rates/c.csv", csv_of(C))
    take(platform, RATES)
    assert average(platform) == (4, 875)
    assert len(the_same(platform)) == 5
    assert rows_of(platform, KEYS) == [("rates/b.csv",), ("rates/c.csv",)]
    assert states(platform)["rates/a.csv"] == "quarantined"
    new = id_of(platform, "rates/c.csv")
    assert rows_of(platform, "SELECT error_class, error FROM operations.quarantine") == [
        ("replaced", f"{new} took its place: wrong currency")
    ]
    assert replacement_of(platform.ledger, noted) is None
    look_for_arrivals(platform, RATES, from_start=True)
    assert reconcile(platform, RATES).balanced
    put("rates/c.csv", csv_of(B[:1] + C))  # a further delivery under the key replaces nothing more
    take(platform, RATES)
    assert len(the_same(platform)) == 9


def test_until_then_nothing_changes_and_doing_its_batch_again_leaves_it(platform: Platform, noted: str) -> None:
    before = the_same(platform)
    batch_id = tell(platform.ledger, noted).file.batch_id
    assert take(platform, RATES, batch_id).files == 1
    assert the_same(platform) == before
    assert tell(platform.ledger, noted).replaced_by == "rates/c.csv"
    assert reconcile(platform, RATES).balanced


def test_a_new_file_that_is_refused_replaces_nothing_and_the_next_one_does(
    platform: Platform, put: Put, noted: str
) -> None:
    before = the_same(platform)
    put("rates/c.csv", csv_of([*C, ("CNSGH", "XXXXX", DAY, 1.0)]))
    assert take(platform, RATES).refused
    assert the_same(platform) == before
    put("rates/c.csv", csv_of(C))
    take(platform, RATES)
    assert rows_of(platform, KEYS) == [("rates/b.csv",), ("rates/c.csv",)]
    the_same(platform)


def test_equal_bytes_of_another_batch_replace_nothing(platform: Platform, put: Put, noted: str) -> None:
    before = the_same(platform)
    put("rates/c.csv", csv_of(B))
    take(platform, RATES)
    assert states(platform)["rates/c.csv"] == "duplicate"
    assert the_same(platform) == before


def test_under_its_own_key(platform: Platform, put: Put) -> None:
    """A known key with other bytes is a further batch; once it is said so, it takes the place of that before."""
    for rows in (A, B):
        put("rates/a.csv", csv_of(rows))
        take(platform, RATES)
    first, second = find_files(platform.ledger, "rates/a.csv")
    replace_by(platform, RATES, second, "rates/a.csv", "", print)
    take(platform, RATES, tell(platform.ledger, first).file.batch_id)  # an older delivery of the key is none
    assert len(the_same(platform)) == 6
    put("rates/a.csv", csv_of(C))
    take(platform, RATES)
    assert average(platform) == (6, 800)
    assert {row[0] for row in the_same(platform)} == {first, id_of(platform, "rates/a.csv")}


def test_a_replay_takes_the_old_one_in_again(platform: Platform, put: Put, noted: str) -> None:
    put("rates/c.csv", csv_of(C))
    take(platform, RATES)
    replay(platform.ledger, RefusedFilter((noted,)))
    take(platform, RATES)
    assert average(platform) == (7, 971)
    assert len(the_same(platform)) == 9


def test_both_in_one_run(platform: Platform, put: Put, noted: str) -> None:
    """The old one was taken back, and is replayed in the very run that brings the new one."""
    withdraw(platform, RATES, [noted], "no", print)
    replay(platform.ledger, RefusedFilter((noted,)))
    put("rates/c.csv", csv_of(C))
    take(platform, RATES)
    assert rows_of(platform, KEYS) == [("rates/b.csv",), ("rates/c.csv",)]
    assert average(platform) == (4, 875)
    the_same(platform)
    assert states(platform)["rates/a.csv"] == "quarantined"
    assert reconcile(platform, RATES).balanced


def test_a_new_file_that_is_gone_after_it_was_served_leaves_the_old_one(
    platform: Platform, put: Put, noted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt ends between the two stores."""
    before = the_same(platform)
    put("rates/c.csv", csv_of(C))
    batch = next_batch(platform, RATES)
    with monkeypatch.context() as patched:
        patched.setattr("pipeline_assets.batch_commit.publish", _fail)
        with pytest.raises(LeaseLost):
            take(platform, RATES, batch.batch_id)
    assert average(platform) == (4, 875), "the new one is served, the ledger has the old one still"
    folder = platform.settings.landing_folder
    assert folder is not None
    (folder / "rates" / "c.csv").unlink()
    take(platform, RATES, batch.batch_id)
    assert states(platform)["rates/c.csv"] == "deleted"
    assert the_same(platform) == before


def _fail(*given: object, **named: object) -> None:
    raise LeaseLost("the end")


def test_what_is_forgotten_is_not_to_be_replaced(platform: Platform, put: Put, noted: str) -> None:
    forget(platform, RATES, [noted], print, lambda runs: None)
    assert replacement_of(platform.ledger, noted) is None
    put("rates/c.csv", csv_of(C))
    take(platform, RATES)
    assert rows_of(platform, KEYS) == [("rates/b.csv",), ("rates/c.csv",)]
    the_same(platform)


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (lambda p: replace_by(p, RATES, id_of(p, "rates/a.csv"), "rates/b.csv", "", print), "rates/b.csv is committed already"),
        (lambda p: replace_by(p, RATES, id_of(p, "rates/a.csv"), "ecg/b.csv", "", print), "begins with rates/"),
        (lambda p: replace_by(p, PLACES, "x", "places/ports.csv", "", print), "land that instead"),
        (lambda p: replace_file(p, "rates/b.csv", None, "", as_json=False), "is not to be replaced by anything"),
        (lambda p: replace_file(p, "rates/none.csv", "rates/c.csv", "", as_json=False), "names no file"),
    ],
)  # fmt: skip
def test_what_cannot_be_replaced_is_told(
    platform: Platform, noted: str, ask: Callable[[Platform], None], why: str
) -> None:
    with pytest.raises(UserError, match=why):
        ask(platform)


def test_only_what_is_committed_is_replaced(platform: Platform, noted: str) -> None:
    withdraw(platform, RATES, [noted], "no", print)
    with pytest.raises(NotReplaced, match=f"{noted} is quarantined, not committed"):
        replace_by(platform, RATES, noted, "rates/d.csv", "", print)
    take_turn_again = id_of(platform, "rates/b.csv")  # the turn to commit is free after a refusal
    replace_by(platform, RATES, take_turn_again, "rates/d.csv", "", print)


def test_the_command(platform: Platform, put: Put, noted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.main._platform", lambda: platform)

    def said(*arguments: str) -> str:
        done = CliRunner().invoke(main, [*arguments])
        assert done.exit_code == 0, done.output
        return done.output

    assert "to be replaced by the next file that is committed under rates/c.csv" in said("explain", noted)
    assert "stays" in said("replace", noted, "--cancel")
    assert "to be replaced" not in said("explain", noted)
    assert "in the same transaction" in said("replace", "rates/a.csv", "--by", "rates/d.csv")
    assert '"by": "rates/d.csv"' in said("replace", "rates/a.csv", "--by", "rates/d.csv", "--json")
    assert CliRunner().invoke(main, ["replace", noted]).exit_code == 2
