"""What the ocean tests share: settings, sample files, and the folder of real files if there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.examples import Example, write_examples

CONFIG = OceanConfig()


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return write_examples(tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real ocean files: below STRANDLINE_TEST_DATA, or shared/data beside the repository."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("STRANDLINE_TEST_DATA") or default) / "ocean"
    if not folder.is_dir():
        pytest.skip(f"no real ocean files in {folder}; set STRANDLINE_TEST_DATA to the folder that holds ocean/")
    return folder
