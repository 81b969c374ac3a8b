"""Who uses the CARIS host, a seat of its licence, a survey's folder on it: leases in the ledger's database, where every
run sees them, also one beside Dagster. A run that dies gives no sign, and its leases end."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from resources.caris_host.host import HostUnavailable
from resources.caris_host.watch import Guard
from resources.ledger import Ledger, leases
from resources.ledger.database import utc_now
from resources.ledger.leases import Lease, LeaseLost
from resources.ledger.tables import leases as table
from resources.logs import OUTSIDE_EVENT_LOG

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_STOPPING_SECONDS = 120.0

_log = logging.getLogger(f"{OUTSIDE_EVENT_LOG}.caris_host")


class Holds:
    """The leases on one host. host: its address; seconds: how long a lease lasts without a sign of its owner."""

    def __init__(self, ledger: Callable[[], Ledger], host: str, seats: int, seconds: float) -> None:
        self._open_ledger = ledger
        # An address may be longer than a lease's name.
        self._host = hashlib.sha256(host.encode()).hexdigest()[:16]
        self._seats = seats
        self._seconds = seconds

    @property
    def _ledger(self) -> Ledger:
        return self._open_ledger()

    @contextmanager
    def hold(self, survey: str, wait_seconds: float) -> Iterator[Guard]:
        """Have a survey's folder, a seat and the host to oneself until the block ends.

        survey: the name of its folder. Waits for what others have, and raises HostUnavailable after `wait_seconds`.
        """
        owner = uuid.uuid4().hex
        deadline = time.monotonic() + wait_seconds
        of_survey = self._wait_for(
            deadline,
            lambda connection: leases.acquire(connection, f"caris-survey:{survey}", owner, self._seconds),
            lambda connection: (
                f"another run works on the survey {survey}: "
                f"{self._holders(connection, table.c.name == f'caris-survey:{survey}')}"
            ),
        )
        keeping = _Keeping(self._ledger, of_survey, self._seconds)
        try:
            # Renewed from here on: the waits below may be longer than a lease.
            with keeping:
                keeping.add(
                    self._wait_for(
                        deadline,
                        lambda connection: self._seat(connection, owner),
                        lambda connection: (
                            f"all {self._seats} seats of the CARIS licence (STRANDLINE_CARIS_SEATS) are taken: "
                            f"{self._holders(connection, _begins('caris-seat:'))}"
                        ),
                    )
                )
                keeping.add(
                    self._wait_for(
                        max(deadline, time.monotonic() + _STOPPING_SECONDS),
                        lambda connection: self._use(connection, owner),
                        lambda _: "it is being stopped",
                    )
                )
                yield Guard(of_survey.fence, keeping.check, keeping.confirm)
        finally:
            with suppress(Exception), self._ledger.write() as connection:
                for lease in keeping.held:
                    leases.drop(connection, lease)

    # -- the machine ---------------------------------------------------------------------------------------------

    def note_started(self, idle_seconds: float) -> None:
        """Note that the host is to be stopped once nobody uses it; from now on it is idle after `idle_seconds`."""
        values = {
            "owner": "to be stopped", "process": leases.this_process(), "fence": 0,
            "expires_at": utc_now() + timedelta(seconds=idle_seconds),
        }  # fmt: skip
        with self._ledger.write() as connection:
            connection.execute(delete(table).where(table.c.name == self._up))
            connection.execute(insert(table).values(name=self._up, **values))

    def note_used(self, idle_seconds: float) -> None:
        """Count the idle time of a host that is to be stopped from now."""
        with self._ledger.write() as connection:
            connection.execute(
                update(table)
                .where(table.c.name == self._up)
                .values(expires_at=utc_now() + timedelta(seconds=idle_seconds))
            )

    def is_to_be_stopped(self) -> bool:
        """Whether somebody noted that the host is to be stopped once it is idle."""
        with self._ledger.read() as connection:
            return connection.scalar(select(table.c.name).where(table.c.name == self._up)) is not None

    def forget_started(self) -> None:
        """Note that there is nothing to stop."""
        with self._ledger.write() as connection:
            connection.execute(delete(table).where(table.c.name == self._up))

    @contextmanager
    def stopping(self) -> Iterator[bool]:
        """Whether the host is to be stopped now: it is to be, its idle time is over and nobody uses it. While the block
        runs nobody else begins to use it."""
        with self._ledger.write() as connection:
            up = connection.execute(select(table).where(table.c.name == self._up)).one_or_none()
            is_due = up is not None and up.expires_at <= utc_now() and not self._live(connection, _begins(self._uses))
            lease = leases.acquire(connection, self._stop, uuid.uuid4().hex, _STOPPING_SECONDS) if is_due else None
        try:
            yield lease is not None
        finally:
            if lease is not None:
                with self._ledger.write() as connection:
                    leases.drop(connection, lease)

    # -- leases --------------------------------------------------------------------------------------------------

    @property
    def _uses(self) -> str:
        return f"caris-use:{self._host}:"

    @property
    def _up(self) -> str:
        return f"caris-up:{self._host}"

    @property
    def _stop(self) -> str:
        return f"caris-stop:{self._host}"

    def _seat(self, connection: Connection, owner: str) -> Lease | None:
        for number in range(self._seats):
            lease = leases.acquire(connection, f"caris-seat:{number}", owner, self._seconds)
            if lease is not None:
                return lease
        return None

    def _use(self, connection: Connection, owner: str) -> Lease | None:
        if leases.is_live(connection, self._stop):
            return None
        alive = {row.name for row in self._live(connection, _begins(self._uses))}
        connection.execute(delete(table).where(_begins(self._uses), table.c.name.not_in(alive)))
        return leases.acquire(connection, f"{self._uses}{owner}", owner, self._seconds)

    def _live(self, connection: Connection, which: ColumnElement[bool]) -> list[Any]:
        rows = connection.execute(select(table).where(which, table.c.expires_at > utc_now()))
        return [row for row in rows if not leases.is_dead(row.process)]

    def _holders(self, connection: Connection, which: ColumnElement[bool]) -> str:
        return ", ".join(
            f"process {row.process.split('/')[1]} on {row.process.split('/')[0]}"
            for row in self._live(connection, which)
        )

    def _wait_for(
        self,
        deadline: float,
        take: Callable[[Connection], Lease | None],
        why: Callable[[Connection], str],
    ) -> Lease:
        pause = _FIRST_PAUSE
        while True:
            with self._ledger.write() as connection:
                lease = take(connection)
                if lease is not None:
                    return lease
                reason = why(connection)
            left = deadline - time.monotonic()
            if left <= 0:
                raise HostUnavailable(
                    f"The CARIS host is busy: {reason}. Waited as long as STRANDLINE_CARIS_WAIT_SECONDS."
                )
            time.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)


def _begins(name: str) -> ColumnElement[bool]:
    return table.c.name.startswith(name, autoescape=True)


class _Keeping:
    """Renews leases from a thread of its own. Not renewed for as long as they last, they count as lost."""

    def __init__(self, ledger: Ledger, first: Lease, seconds: float) -> None:
        self._ledger = ledger
        self.held: tuple[Lease, ...] = (first,)
        self._seconds = seconds
        self._renewed_at = time.monotonic()
        self._lost: LeaseLost | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="strandline-caris-lease", daemon=True)

    def __enter__(self) -> _Keeping:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def add(self, lease: Lease) -> None:
        self.held = (*self.held, lease)

    def check(self) -> None:
        if self._lost is not None:
            raise self._lost
        if time.monotonic() - self._renewed_at > self._seconds:
            raise LeaseLost(
                f"the leases on the CARIS host were not renewed for {self._seconds:g} s, because the ledger's database did "
                "not answer or this machine slept; another run may have them now"
            )

    def confirm(self) -> None:
        self.check()
        self._renew()
        self.check()

    def _beat(self) -> None:
        while not self._stopped.wait(self._seconds / 3):
            try:
                self._renew()
            except Exception as error:  # the database may be back at the next beat
                _log.warning("the leases on the CARIS host were not renewed: %s", error)

    def _renew(self) -> None:
        began, held = time.monotonic(), self.held
        with self._ledger.write() as connection:
            try:
                for lease in held:
                    leases.check(connection, lease)
            except LeaseLost as lost:
                self._lost = lost
                return
            names = [lease.name for lease in held]
            connection.execute(
                update(table)
                .where(table.c.name.in_(names))
                .values(expires_at=utc_now() + timedelta(seconds=self._seconds))
            )
        self._renewed_at = began
