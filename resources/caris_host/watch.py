"""How long a command may still take, and whether this process still may."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from resources.caris_host.lines import MOST_OUTPUT

LOOK_SECONDS = 0.5
"""How often one that waits for output looks at the clock and at its lease."""


def over(seconds: float) -> str:
    return f"over {seconds:g} s"


def silent(seconds: float) -> str:
    return f"no output for {seconds:g} s"


CANCELLED = "cancelled"
TOO_MUCH = f"more than {MOST_OUTPUT // 1024**2} MiB of output"


@dataclass(frozen=True)
class Guard:
    """The right to work in a folder. fence: greater than that of anyone who had it before.

    check: raises LeaseLost once the right is lost, as far as this process knows; asks no database. confirm: asks it.
    """

    fence: int
    check: Callable[[], None]
    confirm: Callable[[], None]


@dataclass
class Watch:
    """The two clocks of a command: since it began, and since it last said something."""

    seconds: float
    quiet_seconds: float
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._heard = self.began

    def hear(self) -> None:
        self._heard = time.monotonic()

    @property
    def passed(self) -> float:
        return time.monotonic() - self.began

    def why_stop(self) -> str | None:
        """Why the command has to be stopped now, in the words of `Finished.stopped`; None while it may go on."""
        now = time.monotonic()
        if now - self.began >= self.seconds:
            return over(self.seconds)
        if now - self._heard >= self.quiet_seconds:
            return silent(self.quiet_seconds)
        return None

    def wait_seconds(self) -> float:
        """How long to wait for output before looking again."""
        now = time.monotonic()
        left = min(self.began + self.seconds - now, self._heard + self.quiet_seconds - now)
        return max(0.0, min(left, LOOK_SECONDS))
