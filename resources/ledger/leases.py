"""Leases: who may work on something, and until when. A lease that is not renewed ends by itself."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, delete, insert, select, update

from resources.errors import TransientFailure
from resources.ledger.database import Ledger, utc_now
from resources.ledger.tables import leases


class LeaseLost(TransientFailure, RuntimeError):
    """Somebody else holds the lease now: what was begun under it must not be finished."""


@dataclass(frozen=True)
class Lease:
    name: str
    owner: str
    fence: int


def batch_lease(batch_id: str) -> str:
    return f"batch:{batch_id}"


def commit_lease(source: str) -> str:
    return f"commit:{source}"


def acquire(connection: Connection, name: str, owner: str, seconds: float) -> Lease | None:
    """Take a lease, or take it anew if `owner` has it; None while another live owner has it.

    A lease is free when it has expired, or when its process ran on this machine and is no more.
    """
    now = utc_now()
    row = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
    values = {"owner": owner, "process": this_process(), "expires_at": now + timedelta(seconds=seconds)}
    if row is None:
        # Dropped leases leave no row, so the first fence is taken from the clock to be above all earlier ones.
        fence = int(now.timestamp() * 1000)
        connection.execute(insert(leases).values(name=name, fence=fence, **values))
        return Lease(name, owner, fence)
    if row.owner != owner and row.expires_at > now and not is_dead(row.process):
        return None
    fence = row.fence if (row.owner, row.process) == (owner, values["process"]) else row.fence + 1
    connection.execute(update(leases).where(leases.c.name == name).values(fence=fence, **values))
    return Lease(name, owner, fence)


def check(connection: Connection, lease: Lease) -> None:
    """Raise LeaseLost unless the lease is still its owner's. Expired but not taken over is still the owner's."""
    row = connection.execute(select(leases).where(leases.c.name == lease.name)).one_or_none()
    if row is None or row.owner != lease.owner or row.fence != lease.fence:
        holder = "nobody" if row is None else f"run {row.owner}"
        raise LeaseLost(f"lease {lease.name} of run {lease.owner} is gone; {holder} holds it now")


def renew(ledger: Ledger, lease: Lease, seconds: float) -> None:
    with ledger.write() as connection:
        check(connection, lease)
        connection.execute(
            update(leases).where(leases.c.name == lease.name).values(expires_at=utc_now() + timedelta(seconds=seconds))
        )


def drop(connection: Connection, lease: Lease) -> None:
    """End a lease early, if it is still its owner's."""
    connection.execute(
        delete(leases).where(leases.c.name == lease.name, leases.c.owner == lease.owner, leases.c.fence == lease.fence)
    )


def forget(connection: Connection, name: str) -> None:
    """End a lease whoever has it. An owner that is alive after all finds that it lost it."""
    connection.execute(delete(leases).where(leases.c.name == name))


def is_live(connection: Connection, name: str) -> bool:
    row = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
    return row is not None and row.expires_at > utc_now() and not is_dead(row.process)


def this_process() -> str:
    """Host, pid and start time of this process: the start time tells a later process with the same pid apart."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}"


def is_dead(process: str) -> bool:
    """True only if the process ran on this machine and certainly is no more."""
    host, pid, started = process.rsplit("/", 2)
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie has ended; only its parent has not looked yet.
    return "ended" if fields[0] in "ZX" else fields[19]
