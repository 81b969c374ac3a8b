"""A survey with the engine CARIS, from landing to delivery, by a stand-in for carisbatch on a local host: a step fails and is
gone on from, what is finished is not run again, what is planned is what runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets import registry
from pipeline_assets.bathymetry.caris.chain import CHAIN
from pipeline_assets.bathymetry.caris.checkpoint import Checkpoint, read_checkpoint
from pipeline_assets.bathymetry.examples import declaration
from pipeline_assets.bathymetry.judge.compare import compare
from pipeline_assets.bathymetry.landed_surface.bag import read_bag
from pipeline_assets.bathymetry.made_survey import CRS, Plan, gsf, lines, sea_floor
from pipeline_assets.bathymetry.products.stored import load_surface
from pipeline_assets.bathymetry.source import BATHYMETRY
from tests.bathymetry import fake_carisbatch as fake
from tests.bathymetry.landing import Landed
from tests.bathymetry.made_survey import centers

SURVEY = "storm bay"
HOST = "STRANDLINE_CARIS_HOST"
PLAN = Plan(seed=11, width_m=40, height_m=50, ping_m=0.5, beams=80, swath_m=18, sigma_m=0.05)
IMPORTED = ["CreateHIPSFile", "ImportToHIPS", "ImportToHIPS"]
GRIDDED, FILTERED, EXPORTED = ["CreateHIPSGridWithCube"], ["FilterProcessedDepths"], ["ExportRaster"] * 2


@dataclass(kw_only=True)
class Caris(Landed):
    """A home whose engine is a stand-in for CARIS on this machine, and commands on it."""

    state: Path
    files: dict[str, bytes]
    without_host: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    resumed: dict[str, Any] = field(default_factory=dict)
    planned: dict[str, Any] = field(default_factory=dict)
    calls_before: list[str] = field(default_factory=list)

    def calls(self) -> list[str]:
        """What was run, without the looks at the version with which a host proves itself."""
        return [name for name in fake.calls(self.state) if name != "--version"]

    def checkpoint(self, step: str) -> Checkpoint:
        return read_checkpoint(self.product(step))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caris]:
    """A survey that has no host at first, whose filter then fails, spoiling the project, and that goes on after that."""
    home, state = tmp_path_factory.mktemp("caris") / "home", tmp_path_factory.mktemp("fake")
    program = fake.install(state, ImportToHIPS=["split"], FilterProcessedDepths=["error_exit"])
    given = tmp_path_factory.mktemp("given")
    (given / "BlueFin.hvf").write_text("<HIPSVesselConfig/>")
    settings = {
        "HOME": home, "SETTLE_SECONDS": 0.05, "WORKERS": 1, "CARIS_HOST": "local:", "CARIS_PROGRAM": program,
        "BATHYMETRY_CARIS_FILES": given, "BATHYMETRY_DELIVER_FAILING": "true",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        # Given to each command: what tests find in the environment is taken out of it before each.
        environment = {f"STRANDLINE_{name}": str(value) for name, value in settings.items()}
        patch.setattr(registry, "SOURCES", (BATHYMETRY,))
        patch.setattr(registry.get_source, "__defaults__", ((BATHYMETRY,),))

        def run(*arguments: str, code: int = 0, without: str = "") -> Any:
            env = {name: None if name == without else value for name, value in environment.items()}
            done = CliRunner().invoke(main, arguments, env=env)
            assert done.exit_code == code, (done.output, done.exception)
            return json.loads(done.stdout) if "--json" in arguments else done.output

        files = {line.name: gsf(line) for line in lines(PLAN)}
        declared = declaration(
            crs=CRS, vertical_datum="MSL", order="1a", engine="caris", cell_m=1.0, lines=sorted(files),
            caris={"vessel_file": "BlueFin.hvf"},
        )  # fmt: skip
        here = Caris(
            SURVEY, home, state, run, state=state, files={"survey.json": declared, **files, "survey.done": b"done\n"}
        )
        here.land(SURVEY, here.files)
        here.without_host = run("drain", "--json", code=3, without=HOST)
        here.failed = run("caris", "resume", SURVEY, "--json", code=3)["not_made"]
        here.calls_before = here.calls()
        here.planned = run("caris", "plan", SURVEY, "--json")
        here.resumed = run("caris", "resume", SURVEY, "--json")
        yield here


def test_without_a_host_the_survey_is_read_and_says_what_to_set(story: Caris) -> None:
    assert story.without_host["states"] == {"committed": len(story.files)}
    (told,) = [text for text in story.without_host["products"] if "caris_project of" in text]
    assert told.startswith(
        f"bathymetry/caris_project of {SURVEY}: the survey's engine is caris, and no host with CARIS is set up"
    )
    assert "Set STRANDLINE_CARIS_HOST to local:" in told
    shown = story.run("caris", "plan", SURVEY, without=HOST)
    assert f"carisbatch --run CreateHIPSFile --output-crs {CRS} file:///D:/strandline/storm-bay-" in shown
    assert "no host is set (STRANDLINE_CARIS_HOST)" in shown


def test_a_step_that_fails_fails_alone_and_says_why(story: Caris) -> None:
    told = story.failed["caris_filtered"]
    assert told.startswith("FilterProcessedDepths failed: its exit code is 1")
    assert "it said Error: Could not allocate memory for the line" in told
    assert "It ran as: carisbatch --run FilterProcessedDepths --filter-type SURFACE" in told
    assert story.calls_before == [*IMPORTED, *GRIDDED, *FILTERED]


def test_going_on_runs_the_failed_step_and_what_comes_after_it(story: Caris) -> None:
    """Although the failed step left a spoilt project: it begins from what the step before it kept."""
    assert story.resumed["not_made"] == {}
    assert story.resumed["made"] == [
        "caris_filtered", "caris_grid", "caris_surface", "surface", "geotiff", "bag", "coverage", "gsf", "checks", "delivery",
    ]  # fmt: skip
    assert story.calls()[len(story.calls_before) :] == [*FILTERED, *GRIDDED, *EXPORTED]
    project = {file.path for file in story.checkpoint("caris_filtered").files}
    assert not any(path.endswith("half.tmp") for path in project)


def test_what_was_planned_is_what_ran(story: Caris) -> None:
    assert story.planned["engine"] == "caris"
    steps = [step.name for step in CHAIN.steps if step.name != "caris_georeferenced"]
    assert [one["step"] for one in story.planned["steps"]] == steps
    for one in story.planned["steps"]:
        ran = [command.line for command in story.checkpoint(one["step"]).commands]
        assert [command["line"] for command in one["commands"]] == ran
    shown = story.run("caris", "plan", SURVEY)
    for one in story.planned["steps"]:
        assert f"# {one['step']}: " in shown
        assert all(command["line"] in shown.splitlines() for command in one["commands"])


def test_a_step_keeps_what_it_changed_and_how_its_commands_ended(story: Caris) -> None:
    imported = story.checkpoint("caris_project")
    assert imported.version == "11.4.22"
    assert [one.exit_code for one in imported.commands] == [0] * 4
    assert imported.commands[2].warnings == {"Warning: static values used for line …": 1}
    counted = imported.commands[2].counts["0001_E.gsf"]
    assert counted["Depths Converted"] == counted["Accepted"] + counted["Rejected by Disabled Beam"]
    kept = {name: {file.path for file in story.checkpoint(name).files if file.kept_in == name} for name in
            ("caris_project", "caris_preliminary_surface", "caris_filtered", "caris_grid")}  # fmt: skip
    assert {"given/BlueFin.hvf", "project/survey.hips"} <= kept["caris_project"]
    assert kept["caris_preliminary_surface"] == {"preliminary/preliminary.csar", "preliminary/preliminary.csar0"}
    assert {path.rsplit("/", 1)[1] for path in kept["caris_filtered"]} == {"depths.npz"}
    assert kept["caris_grid"] == {"surface/surface.csar", "surface/surface.csar0"}
    log = story.product("caris_project") / "logs" / "0003_ImportToHIPS.txt"
    assert "1 of 1 lines successfully converted." in log.read_text().splitlines()
    assert not Path(imported.work_folder).exists(), "its files are kept, so it was cleared away at the end"


def test_the_surface_is_caris_s_and_everything_after_it_is_as_ever(story: Caris) -> None:
    surface, provenance = load_surface(story.product("surface"))
    assert (provenance.engine, provenance.version) == ("CARIS HIPS and SIPS", "11.4.22")
    assert provenance.commands == tuple(
        command["line"] for step in story.planned["steps"] for command in step["commands"]
    )
    known = np.isfinite(surface.depth)
    assert np.sqrt(np.mean((surface.depth - sea_floor(*centers(surface.grid)))[known] ** 2)) < 0.1
    np.testing.assert_array_equal(known, surface.density > 0)
    kept, _ = load_surface(story.product("caris_surface"))
    np.testing.assert_array_equal(kept.depth, surface.depth)
    again = read_bag(story.product("delivery") / f"{provenance.survey}.bag")
    np.testing.assert_array_equal(again.depth, surface.depth)
    made = story.sql("SELECT engine, engine_version, cells FROM bathymetry.surfaces")
    assert made == [("CARIS HIPS and SIPS", "11.4.22", int(known.sum()))]
    checked = dict(story.sql("SELECT check_name, state FROM bathymetry.check_results"))
    assert (checked["bag_structure"], checked["cog"], checked["crs_and_datum"]) == ("pass", "pass", "pass")


def test_both_engines_surfaces_can_be_compared_cell_by_cell(story: Caris) -> None:
    ours, _ = load_surface(story.product("preliminary_surface"))
    theirs, _ = load_surface(story.product("caris_surface"))
    found = compare(theirs, ours, "engines")
    assert not found.not_judged
    assert found.share > 0.99, found.message
    assert found.metadata["common cells"] > 1500


def test_a_survey_that_is_read_again_with_the_same_lines_asks_caris_for_nothing(story: Caris) -> None:
    before = story.calls()
    (batch,) = story.sql("SELECT DISTINCT batch_id FROM operations.files")[0]
    story.run("redo", batch)
    assert story.run("drain", "--json")["products"] == []
    assert story.calls() == before
    made = story.sql("SELECT product, state FROM operations.products")
    assert {state for _, state in made} == {"made"}
    assert {name for name, _ in made} == {one.name for one in BATHYMETRY.products}


def test_a_plan_needs_a_survey_that_was_read(story: Caris) -> None:
    assert "there is no survey 'nowhere'" in story.run("caris", "plan", "nowhere", code=2)
    assert "there is nothing to do" in story.run("caris", "resume", SURVEY)


def test_an_acceptance_needs_a_vessel_and_a_folder_of_its_own(story: Caris, tmp_path: Path) -> None:
    assert "name one with --vessel-file" in story.run("caris", "accept", str(tmp_path / "new"), code=2)
    assert not (tmp_path / "new").exists()
    assert "is not empty" in story.run("caris", "accept", str(story.home), "--vessel-file", "BlueFin.hvf", code=2)


def test_an_acceptance_runs_every_command_and_says_what_differs(story: Caris, tmp_path: Path) -> None:
    found = story.run("caris", "accept", str(tmp_path / "good"), "--vessel-file", "BlueFin.hvf", "--json")
    assert found["differs"] == []
    assert all(step["made"] for step in found["steps"])
    assert [one["process"] for step in found["steps"] for one in step["commands"]][:3] == [
        "--version", "CreateHIPSFile", "ImportToHIPS",
    ]  # fmt: skip
    assert all(found["said"].values())
    assert found["figures"]["common cells"] > 2000
    fake.misbehave(story.state, ExportRaster=["no_output"])
    shown = story.run("caris", "accept", str(tmp_path / "bad"), "--vessel-file", "BlueFin.hvf", code=3)
    assert "caris_grid: made" in shown
    assert "differs: caris_surface: ExportRaster failed: it left no exports/surface.bag" in shown
