"""The CARIS host that the settings name. Making it opens nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from resources.caris_host.buckets import Buckets
from resources.caris_host.config import CarisSettings, Local, Ssh
from resources.caris_host.holds import Holds
from resources.caris_host.leased import LeasedHost, Transport
from resources.caris_host.local import LocalTransport
from resources.caris_host.machine import Machine
from resources.caris_host.shells import PosixShell, WindowsShell
from resources.caris_host.ssh import SshTransport
from resources.caris_host.ssm import SsmTransport
from resources.ledger import Ledger
from resources.settings import Settings


def make_host(caris: CarisSettings, settings: Settings, ledger: Callable[[], Ledger]) -> LeasedHost | None:
    """None where no host is set."""
    if caris.host is None:
        return None
    holds = Holds(ledger, str(caris.host), caris.seats, caris.lease_seconds)
    instance = caris.started_instance
    machine = None if instance is None else Machine(instance, holds, caris)
    return LeasedHost(_transport(caris, settings), holds, machine, caris, settings.table_prefix)


def _transport(caris: CarisSettings, settings: Settings) -> Transport:
    buckets = Buckets(settings.s3_endpoint)
    if caris.host is None or isinstance(caris.host, Local):
        return LocalTransport(
            settings.home / "caris" if caris.work_folder is None else Path(caris.work_folder), buckets
        )
    # The settings have it that a host elsewhere has a folder, and one under Systems Manager a bucket.
    assert caris.work_folder is not None
    if isinstance(caris.host, Ssh):
        shell = WindowsShell() if caris.is_windows else PosixShell()
        patience = 0.0 if caris.started_instance is None else caris.start_seconds
        return SshTransport(caris.host, caris.work_folder, shell, caris.ssh_key, caris.known_hosts, patience, buckets)
    assert caris.bucket is not None
    return SsmTransport(caris.host, caris.work_folder, caris.bucket, buckets, caris.start_seconds)
