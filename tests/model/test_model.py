"""The platform does what the model says, in some hundred orders of events; `tests.model.long` tries thousands."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Platforms, seen

EXAMPLES = int(os.environ.get("STRANDLINE_TEST_ORDERS", "20"))
SEED = int(os.environ.get("STRANDLINE_TEST_SEED", "0"))


def check(examples: int, seed: int, *, steps: int = 40, shrink: bool = True) -> None:
    """Examples that follow from the seed. A failing one is made small, and printed as a test that repeats it."""
    options = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None, print_blob=False,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
    )  # fmt: skip
    run_state_machine_as_test(seeded(seed)(Platforms), settings=options)


def test_whatever_happens_in_whatever_order() -> None:
    check(EXAMPLES, SEED)
    assert seen["run ended: published"] > EXAMPLES / 2
