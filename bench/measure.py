"""Running commands and telling how long they took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Row:
    """One line of the table: what was done, by whom, against which peer."""

    work: str
    ours: str
    peer: str
    ratio: str
    bar: str


def timed(command: Sequence[str], environment: Mapping[str, str], *, expect: Sequence[int] = (0,)) -> float:
    """Wall seconds of a command, started in the repository's root. Raises RuntimeError with its output if it fails."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, *command], env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True
    )
    seconds = time.monotonic() - started
    if done.returncode not in expect:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
    return seconds


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
