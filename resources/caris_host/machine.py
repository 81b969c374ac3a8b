"""The instance that is the host: started when a survey needs it, stopped when nobody does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from resources.caris_host.aws import code_of, in_our_words, make_client
from resources.caris_host.config import CarisSettings
from resources.caris_host.holds import Holds
from resources.caris_host.host import HostNotReady, HostUnavailable

_LOOK_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Machine:
    """An EC2 instance by its id, started and stopped under the leases of those who use it.

    It is stopped only if the platform started it, unless STRANDLINE_CARIS_STOP says otherwise; that it did is noted where
    all runs see it, so that it is stopped also when the run that started it died.
    """

    def __init__(
        self, instance: str, holds: Holds, settings: CarisSettings, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._instance = instance
        self._holds = holds
        self._settings = settings
        self._pause = pause

    @cached_property
    def _ec2(self) -> Any:
        return make_client("ec2")

    def start(self) -> None:
        """Return once the instance runs. To be called by one who uses the host: nobody stops it meanwhile."""
        deadline = time.monotonic() + self._settings.start_seconds
        while (state := self._state()) != "running":
            if state in {"terminated", "shutting-down"}:
                raise HostNotReady(
                    f"the instance {self._instance} of the CARIS host is {state}. Set STRANDLINE_CARIS_HOST or "
                    "STRANDLINE_CARIS_INSTANCE to one that exists."
                )
            if state == "stopped":
                self._start()
            if time.monotonic() > deadline:
                raise HostUnavailable(
                    f"the instance {self._instance} of the CARIS host is still {state} after "
                    f"{self._settings.start_seconds:g} s (STRANDLINE_CARIS_START_SECONDS)"
                )
            self._pause(_LOOK_SECONDS)
        if self._settings.stop == "always" and not self._holds.is_to_be_stopped():
            self._holds.note_started(self._settings.idle_seconds)

    def leave(self) -> None:
        """Count the idle time from now, and stop the instance at once if there is none."""
        self._holds.note_used(self._settings.idle_seconds)
        if self._settings.idle_seconds == 0:
            self.stop_if_idle()

    def stop_if_idle(self) -> bool:
        """Stop the instance if it is to be stopped, has been idle for its time, and nobody uses it; whether it was."""
        if self._settings.stop == "never" or not self._holds.is_to_be_stopped():
            return False
        with self._holds.stopping() as is_due:
            if not is_due:
                return False
            if self._state() in {"running", "pending"}:
                with in_our_words(self._instance, "ec2:StopInstances"):
                    self._ec2.stop_instances(InstanceIds=[self._instance])
                _log.info("the CARIS host %s was idle and is being stopped", self._instance)
            self._holds.forget_started()
        return True

    def _start(self) -> None:
        if self._settings.stop != "never":
            # Before it is started: a run killed in between must not leave it running for ever.
            self._holds.note_started(self._settings.idle_seconds)
        try:
            with in_our_words(self._instance, "ec2:StartInstances"):
                self._ec2.start_instances(InstanceIds=[self._instance])
        except HostUnavailable as error:
            # It began to stop or to start just now; the next look tells.
            if code_of(error) != "IncorrectInstanceState":
                raise
        _log.info("the CARIS host %s is being started", self._instance)

    def _state(self) -> str:
        with in_our_words(self._instance, "ec2:DescribeInstances"):
            answer = self._ec2.describe_instances(InstanceIds=[self._instance])
        found = [one for reservation in answer["Reservations"] for one in reservation["Instances"]]
        if not found:
            raise HostNotReady(
                f"there is no instance {self._instance} in this region. Correct STRANDLINE_CARIS_HOST or "
                "STRANDLINE_CARIS_INSTANCE, and the region in AWS_REGION."
            )
        return str(found[0]["State"]["Name"])
