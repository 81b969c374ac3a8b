"""What the ECG tests share: settings, sample files, and the folder of real files if there is one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.derive import tables
from pipeline_assets.ecg.examples import Example, write_examples
from pipeline_assets.ecg.quality import assess
from pipeline_assets.ecg.read import Recording, lead_names, recording_id


@pytest.fixture(scope="session")
def config() -> EcgConfig:
    return EcgConfig()


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return write_examples(tmp_path_factory.mktemp("examples"), seed=0, good=24)


@pytest.fixture(scope="session")
def good(examples: list[Example]) -> list[Example]:
    return [example for example in examples if "/rec_" in example.key]


@pytest.fixture(scope="session")
def judged() -> Callable[..., dict[str, Any]]:
    """The tables of a recording, without refusing it for its signal."""
    return lambda recording, config: tables(recording, assess(recording, config))


@pytest.fixture(scope="session")
def recording_of() -> Callable[..., Recording]:
    """Makes a `Recording` from counts (samples, or leads x samples)."""

    def make(counts: Any, key: str = "MLII/rec.mat", leads: tuple[str, ...] = ("MLII",)) -> Recording:
        signal = np.atleast_2d(np.asarray(counts, dtype=np.float64))
        return Recording(key, recording_id(key), 360.0, 200.0, 1024.0, lead_names(len(signal), leads), signal)

    return make


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real files: STRANDLINE_TEST_DATA, or shared/data beside the repository."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("STRANDLINE_TEST_DATA") or default)
    if not (folder / "ecg").is_dir():
        pytest.skip(f"no real ECG files in {folder}; set STRANDLINE_TEST_DATA to the folder that holds ecg/")
    return folder
