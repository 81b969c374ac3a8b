"""Homes that are prepared once: with files landed, and with a first version of them committed and a second landed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_assets.ecg.examples import write_examples
from tests.crash.deployment import SOME_REFUSED, Deployment
from tests.crash.warm_client import Warm

FRESH, SECOND = "landed", "second_version_landed"


def examples(folder: Path, *, seed: int, good: int) -> dict[str, bytes]:
    """Generated files by key, good ones and one of each broken kind; all parts of records."""
    found = {}
    for one in write_examples(folder, seed=seed, good=good):
        for path in (one.path, *one.companions):
            found[f"ecg/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return found


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    with Warm() as started:
        yield started


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Deployment:
    return prepare(tmp_path_factory.mktemp("crash"), warm)


def prepare(base: Path, warm: Warm) -> Deployment:
    """A deployment with copies of its home at two moments: FRESH and SECOND."""
    made = Deployment(base, warm)
    first = examples(made.base / "first", seed=0, good=8)
    second = examples(made.base / "second", seed=1, good=12)
    made.land(first)
    made.keep(FRESH)
    assert made.drain() == SOME_REFUSED, made.log()
    made.assert_done()
    good = sorted(key for key in first if "/rec_" in key)
    bad = sorted(key for key in first if "/broken/" in key)
    new = sorted(set(second) - set(first))
    assert (len(good), len(bad), len(new)) == (8, 11, 4)
    made.land(
        {key: second[key] for key in good[:5] + new}
        | {key: second[key] for key in second if "/wfdb/" in key}
        | {good[6]: second[bad[1]], good[7]: second[bad[2]], bad[0]: second[good[6]]}
    )
    made.keep(SECOND)
    return made


@pytest.fixture
def deployment(prepared: Deployment) -> Deployment:
    """The prepared deployment; a test puts back the home it wants."""
    return prepared
