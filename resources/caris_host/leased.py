"""The CARIS host as the engine has it: held by lease, started, proved to work, and left again."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from resources.caris_host.config import CarisSettings
from resources.caris_host.holds import Holds
from resources.caris_host.host import Finished, HostNotReady, HostUnavailable, WorkFolder
from resources.caris_host.machine import Machine
from resources.caris_host.paths import folder_name
from resources.caris_host.watch import Guard

_VERSION_SECONDS = 180.0
_EXPORT_SECONDS = 600.0
_SHOWN = 300

_log = logging.getLogger(__name__)


class Transport(Protocol):
    """One way to reach the host."""

    def __str__(self) -> str: ...

    def folder(self, name: str, guard: Guard) -> AbstractContextManager[WorkFolder]:
        """A work folder, made if it is not there. What a dead client left running in it has ended."""


class LeasedHost:
    """A host whose use is a lease that all runs see.

    namespace: prefix of the folders' names, where several deployments have one host.
    """

    def __init__(
        self, transport: Transport, holds: Holds, machine: Machine | None, settings: CarisSettings, namespace: str = ""
    ) -> None:
        self._transport = transport
        self._holds = holds
        self._machine = machine
        self._settings = settings
        self._namespace = namespace

    def __str__(self) -> str:
        return str(self._transport)

    @contextmanager
    def open(self, survey: str) -> Iterator[WorkFolder]:
        """See CarisHost. Raises HostUnavailable when seat, survey or host are not to be had in time."""
        name = f"{self._namespace}{folder_name(survey)}"
        with self._left_afterwards(), self._holds.hold(name, self._settings.wait_seconds) as guard:
            if self._machine is not None:
                self._machine.start()
            with self._transport.folder(name, guard) as folder:
                prove(folder, self._settings, str(self._transport))
                yield folder

    @contextmanager
    def _left_afterwards(self) -> Iterator[None]:
        """Around the lease on the host: while that is held, the host is in use."""
        try:
            yield
        finally:
            if self._machine is not None:
                try:
                    self._machine.leave()
                except Exception as error:  # the survey is done or failed for its own reason; the sensor looks again
                    _log.warning("the CARIS host %s was not left as it should be: %s", self, error)

    def stop_if_idle(self) -> bool:
        """Stop the host if it is ours to stop and nobody has used it for its idle time; whether it was."""
        return self._machine is not None and self._machine.stop_if_idle()


def prove(folder: WorkFolder, settings: CarisSettings, where: str) -> None:
    """Show with a small real command that the program is there and, with a real export, that it has a licence.

    What ``--version`` says of modules shows only what is enabled; an export shows that a seat is to be had.
    """
    version = _run(folder, [settings.program, "--version"], _VERSION_SECONDS)
    if version.exit_code != 0:
        raise HostNotReady(
            f"{settings.program} --version on {where} {_ended(version)}. Is it carisbatch (STRANDLINE_CARIS_PROGRAM), and "
            "does its user have its installation and licence?"
        )
    if settings.licence_surface is None:
        return
    # A name of its own: CARIS does not write over a file.
    made = f"licence-proof-{uuid.uuid4().hex[:8]}.tif"
    export = [
        settings.program, "--run", "ExportRaster", "--output-format", "GEOTIFF", "--include-band", "Depth",
        settings.licence_surface, f"{folder.path}{made}",
    ]  # fmt: skip
    proof = _run(folder, export, _EXPORT_SECONDS)
    if proof.exit_code != 0 or not folder.outputs([made]):
        raise HostUnavailable(
            f"CARIS on {where} cannot export {settings.licence_surface} (STRANDLINE_CARIS_LICENCE_SURFACE): it "
            f"{_ended(proof)}. No seat of the licence may be free, the license server away, or the surface not there."
        )


def _run(folder: WorkFolder, argv: list[str], seconds: float) -> Finished:
    return folder.run(argv, seconds=seconds, quiet_seconds=seconds, say=_not_said)


def _not_said(line: str) -> None:
    """The survey's log is for the survey's commands."""


def _ended(finished: Finished) -> str:
    said = " / ".join(line for line in finished.lines[-5:] if line.strip())[-_SHOWN:] or "nothing"
    how = finished.stopped if finished.stopped else f"exit code {finished.exit_code}"
    return f"ended with {how} and said: {said}"
