"""What the tests of surveys share: sample files, and the folder of real files if there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.examples import Example, write_examples
from pipeline_assets.bathymetry.made_survey import MadeLine, Plan, lines
from pipeline_assets.bathymetry.read.line import SurveyLine
from pipeline_assets.bathymetry.source import BATHYMETRY
from pipeline_assets.landed_file import LandedFile
from pipeline_assets.reading_units import parse

CONFIG = BathymetryConfig()
DECLARED = b'{"crs": "EPSG:32755", "vertical_datum": "MSL"}'


def read(
    data: bytes, name: str = "line", *, declared: bytes | None = DECLARED, config: BathymetryConfig = CONFIG
) -> SurveyLine:
    """What the source makes of a file beside a survey.json."""
    beside = {} if declared is None else {"survey.json": LandedFile("bathymetry/survey/survey.json", data=declared)}
    return parse(BATHYMETRY, config, LandedFile(f"bathymetry/survey/{name}", data=data, companions=beside))


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return write_examples(tmp_path_factory.mktemp("surveys"), seed=0)


@pytest.fixture(scope="session")
def made() -> MadeLine:
    return next(iter(lines(Plan(seed=3, width_m=60, beams=48))))


def real_folder() -> Path:
    """Where real survey files are, if they are: in STRANDLINE_TEST_DATA, or shared/data beside the repository."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    return Path(os.environ.get("STRANDLINE_TEST_DATA") or default) / "bathymetry"


@pytest.fixture(scope="session")
def real_surveys() -> Path:
    """The folder of real survey files."""
    folder = real_folder()
    if not folder.is_dir():
        pytest.skip(f"no real survey files in {folder.parent}; set STRANDLINE_TEST_DATA to the folder that holds them")
    return folder
