"""Who has the host, a seat and a survey: on SQLite and PostgreSQL, between threads that are two runs to the database."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from resources.caris_host.holds import Holds
from resources.caris_host.host import HostUnavailable
from resources.ledger import Ledger
from resources.ledger.database import utc_now
from resources.ledger.leases import LeaseLost
from resources.ledger.tables import leases


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'ledger.db'}" if is_sqlite else str(request.getfixturevalue("postgresql"))
    made = Ledger(url, schema=f"test_{uuid.uuid4().hex[:12]}")
    yield made
    made.close()


def holds(ledger: Ledger, seats: int = 2, seconds: float = 60, host: str = "ssm:i-0123456789abcdef0") -> Holds:
    return Holds(lambda: ledger, host, seats, seconds)


def names(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return sorted(name.split(":")[0] for name in connection.scalars(select(leases.c.name)))


def expire(ledger: Ledger) -> None:
    """As if all who hold something had given no sign for long, on another machine."""
    with ledger.write() as connection:
        past = utc_now() - timedelta(seconds=1)
        connection.execute(update(leases).values(expires_at=past, process="elsewhere/1/1"))


def test_a_survey_is_worked_on_by_one_run(ledger: Ledger) -> None:
    with holds(ledger).hold("survey-7", 0) as first:
        with (
            pytest.raises(
                HostUnavailable, match=r"another run works on the survey survey-7: process \d+ on .*WAIT_SECONDS"
            ),
            holds(ledger).hold("survey-7", 0.3),
        ):
            pass
        assert names(ledger) == ["caris-seat", "caris-survey", "caris-use"]
        first.confirm()
    assert names(ledger) == []
    with holds(ledger).hold("survey-7", 0) as second:
        assert second.fence > first.fence


def test_there_are_as_many_at_once_as_seats(ledger: Ledger) -> None:
    with ExitStack() as stack:
        for survey in ("a", "b"):
            stack.enter_context(holds(ledger).hold(survey, 0))
        with (
            pytest.raises(HostUnavailable, match=r"all 2 seats of the CARIS licence \(STRANDLINE_CARIS_SEATS\)"),
            holds(ledger, host="local:").hold("c", 0),
        ):
            pass
        assert "caris-survey" in names(ledger)
        assert len(names(ledger)) == 6, "who got no seat holds nothing"
    with holds(ledger).hold("c", 0):
        pass


def test_a_run_waits_for_a_seat(ledger: Ledger) -> None:
    got = threading.Event()

    def work() -> None:
        with holds(ledger, seats=1, seconds=2).hold("b", 30):
            got.set()

    with holds(ledger, seats=1, seconds=2).hold("a", 0):
        thread = threading.Thread(target=work)
        thread.start()
        assert not got.wait(0.5)
    assert got.wait(30)
    thread.join(30)


def test_the_leases_of_a_dead_run_end_and_it_finds_out(ledger: Ledger) -> None:
    with holds(ledger, seats=1).hold("survey-7", 0) as first:
        expire(ledger)
        with holds(ledger, seats=1).hold("survey-7", 0) as second:
            assert second.fence > first.fence
            first.check()
            with pytest.raises(LeaseLost):
                first.confirm()
            with pytest.raises(LeaseLost):
                first.check()
            second.confirm()
        assert "caris-seat" not in names(ledger), "the one that lost it gives back nothing that is not its own"


def test_leases_are_renewed_while_a_run_works(ledger: Ledger) -> None:
    def ends() -> set[object]:
        with ledger.read() as connection:
            return set(connection.scalars(select(leases.c.expires_at)))

    with holds(ledger, seconds=0.6).hold("survey-7", 0) as guard:
        before = ends()
        renewed = threading.Event()
        for _ in range(200):
            if before.isdisjoint(ends()):
                renewed.set()
                break
            renewed.wait(0.05)
        assert renewed.is_set()
        guard.check()


def test_a_run_whose_database_is_away_stops_in_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not go on when its leases may be another's."""
    with holds(ledger, seconds=60).hold("survey-7", 0) as guard:
        guard.check()
        later = __import__("time").monotonic() + 61
        monkeypatch.setattr("resources.caris_host.holds.time.monotonic", lambda: later)
        with pytest.raises(LeaseLost, match="not renewed for 60 s"):
            guard.check()
        monkeypatch.undo()


def test_a_host_is_stopped_only_when_nobody_uses_it(ledger: Ledger) -> None:
    first, second = holds(ledger), holds(ledger)

    def is_due() -> bool:
        with holds(ledger).stopping() as due:
            return due

    assert not is_due(), "nobody started it"
    with first.hold("a", 0):
        first.note_started(0)
        with second.hold("b", 0):
            assert not is_due()
        assert not is_due(), "one is left"
        assert holds(ledger, host="ssm:i-another").is_to_be_stopped() is False
    first.note_used(3600)
    assert not is_due(), "its idle time is not over"
    first.note_used(0)
    assert is_due()
    with first.hold("a", 0):
        expire(ledger)
    assert is_due(), "a dead run does not keep it up"
    first.forget_started()
    assert not is_due()


def test_nobody_begins_to_use_a_host_that_is_being_stopped(ledger: Ledger) -> None:
    began = threading.Event()

    def work() -> None:
        with holds(ledger).hold("a", 0):
            began.set()

    holds(ledger).note_started(0)
    with holds(ledger).stopping() as due:
        assert due
        thread = threading.Thread(target=work)
        thread.start()
        assert not began.wait(0.5)
    assert began.wait(30)
    thread.join(30)
