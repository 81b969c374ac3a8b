"""The sample surveys: each file is what it says, the same seed gives the same, and a survey of any size can be made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.examples import Example, write_examples
from pipeline_assets.bathymetry.made_survey import Plan, lines, sea_floor
from pipeline_assets.bathymetry.picture import line_png
from pipeline_assets.bathymetry.read.line import SurveyLine
from pipeline_assets.bathymetry.source import BATHYMETRY
from pipeline_assets.columns import BATCH_ID, FILE_ID, to_table
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.reading_units import derive, parse
from pipeline_assets.validation import violations

CONFIG = BathymetryConfig()


def landed(example: Example) -> LandedFile:
    beside = [path for path in (example.path.with_name("survey.json"),) if path.exists() and path != example.path]
    return LandedFile.at(example.path, f"bathymetry/{example.key}", beside)


def test_every_sample_is_what_it_says(examples: list[Example]) -> None:
    for example in examples:
        if example.key.endswith(".done"):
            continue
        if example.error_class is not None:
            with pytest.raises(Refused) as refused:
                parse(BATHYMETRY, CONFIG, landed(example))
            assert refused.value.error_class == example.error_class, (example.key, refused.value.message)
            continue
        found = parse(BATHYMETRY, CONFIG, landed(example))
        rows = derive(BATHYMETRY, CONFIG, found)
        fill = {FILE_ID: "f", BATCH_ID: "b", "source_key": example.key}
        for table in BATHYMETRY.tables:
            made = to_table(table.schema, rows[table.name], fill)
            assert violations(table.schema, made, [made.num_rows], [FILE_ID, BATCH_ID]) == {}, (example.key, table.name)
            is_line = example.soundings > 0
            expected = {"soundings": example.soundings, "lines": int(is_line), "surveys": int(not is_line)}
            assert made.num_rows == expected.get(table.name, 0), (example.key, table.name)


def test_every_way_of_being_refused_has_its_sample(examples: list[Example]) -> None:
    assert len({example.error_class for example in examples}) > 15


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    plan = Plan(seed=5, width_m=30, height_m=60, beams=16)
    one, two = (write_examples(tmp_path / name, plan=plan) for name in ("one", "two"))
    assert [example.path.read_bytes() for example in one] == [example.path.read_bytes() for example in two]
    other = write_examples(tmp_path / "other", plan=Plan(seed=6, width_m=30, height_m=60, beams=16))
    assert other[0].path.read_bytes() != one[0].path.read_bytes()


def test_a_made_survey_is_as_its_plan_says() -> None:
    plan = Plan(seed=1, width_m=200, height_m=200, beams=200, fliers=0.002, rejected=0.02)
    made = list(lines(plan))
    whole = {
        name: np.concatenate([getattr(one, name) for one in made]) for name in ("x", "y", "depth", "rejected", "flier")
    }
    good = ~whole["rejected"] & ~whole["flier"]
    error = whole["depth"] - sea_floor(whole["x"], whole["y"])
    assert whole["flier"].mean() == pytest.approx(0.002, rel=0.15)
    assert whole["rejected"].mean() == pytest.approx(0.02, rel=0.05)
    off = np.abs(error[whole["flier"]])
    assert off.min() > 2.5
    assert off.max() < 10.5
    assert np.abs(error[good]).max() < 0.6
    assert error[good].std() == pytest.approx(0.061, abs=0.005)
    assert [one.name for one in made] == [f"{n + 1:04d}_{'EW'[n % 2]}.gsf" for n in range(len(made))]
    assert all(len(one.ping_x) == 200 - plan.gaps for one in made)
    rows = np.floor(whole["y"] - whole["y"].min()).astype(int)
    assert np.unique(rows).size >= 195, "the lines overlap"


def test_a_line_has_a_picture_that_fits_the_event_log(examples: list[Example]) -> None:
    found = parse(BATHYMETRY, CONFIG, landed(examples[0]))
    assert isinstance(found, SurveyLine)
    png = line_png(found, derive(BATHYMETRY, CONFIG, found))
    assert png.startswith(b"\x89PNG")
    assert len(png) < 100_000
