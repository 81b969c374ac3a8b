"""Tells of a test that fails what its processes said: they say more than the test can know."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tests.aws.watched import Watched


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    watched: Any = getattr(item, "funcargs", {}).get("watched")
    if report.failed and isinstance(watched, Watched):
        try:
            said = watched.says()
        except Exception as error:  # the test's own failure matters more
            said = f"nothing more can be told: {error!r}"
        report.sections.append((f"what was there at the end of {report.when}", said))
    return report
