"""The chain of CARIS commands as data: what cannot be written, what cannot be rendered, and what comes out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from pipeline_assets.bathymetry.caris.chain import CHAIN, EXPORTS, GEOREFERENCED, HIPS, PRELIMINARY, PROJECT
from pipeline_assets.bathymetry.caris.command import (
    CarisCommand,
    Chain,
    Change,
    In,
    Out,
    Rendered,
    Step,
    rendered,
    windows_line,
)  # fmt: skip
from pipeline_assets.bathymetry.caris.declared import is_name, is_text
from pipeline_assets.bathymetry.caris.steps import not_for, plan_of
from pipeline_assets.bathymetry.caris.values import SurveyWork, survey_work
from pipeline_assets.bathymetry.config import BathymetryConfig, Declared, parse_declaration
from pipeline_assets.bathymetry.examples import declaration
from pipeline_assets.bathymetry.surface import Grid
from pipeline_assets.landed_file import Refused
from pipeline_assets.product import Making

GRID = Grid(west=540_000.0, north=5_292_100.0, cell=1.0, rows=100, columns=120, crs="EPSG:32755")
FOLDER = "D:\\strandline\\storm_bay-0123456789ab\\"
CONFIG = BathymetryConfig()
_LONLAT = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True).transform
POSITIONS = tuple(
    value
    for pair in zip(*(_LONLAT(GRID.west + x, GRID.north - y) for x, y in ((5, 95), (115, 5))), strict=True)
    for value in pair
)


def rows(
    *names: str,
    caris: dict[str, Any] | None = None,
    kind: str = "gsf",
    at: tuple[float, ...] = POSITIONS,
    cells: str | None = None,
    **said: Any,
) -> dict[str, pa.Table]:
    """Rows of a survey as its tables have them."""
    wanted = {"crs": "EPSG:32755", "vertical_datum": "EPSG:5711", "engine": "caris", **said}
    caris = {"vessel_file": "BlueFin.hvf"} if caris is None else caris
    count = len(names)
    west, east, south, north = at
    lines = pa.table(
        {
            "line": list(names), "source_key": [f"bathymetry/s/{name}" for name in names],
            "sha256": [f"{number:064x}" for number in range(count)], "kind": [kind] * count,
            "longitude_west": [west] * count, "longitude_east": [east] * count, "latitude_min": [south] * count,
            "latitude_max": [north] * count, "cell_m": pa.nulls(count, pa.float64()),
            "cells_by_depth": pa.array([cells] * count, pa.string()),
        }
    )  # fmt: skip
    told = declaration(**wanted, caris=caris).decode()
    return {"lines": lines, "surveys": pa.table({"declared": [told]})}


def work(*names: str, grid: Grid = GRID, survey: str = "storm bay", **said: Any) -> SurveyWork:
    return survey_work(rows(*(names or ("0001_E.gsf",)), **said), survey, CONFIG, grid)


def plan(*names: str, **said: Any) -> dict[str, list[Rendered]]:
    of_rows = rows(*(names or ("0001_E.gsf", "0002_W.gsf")), **said)
    making = Making(of_rows, Path(), CONFIG, "storm bay")
    return {step.name: commands for step, commands in plan_of(making, GRID, FOLDER)}


def test_the_original_s_order_filter_before_grid_cannot_be_written() -> None:
    names = [step.name for step in CHAIN.steps]
    wrong = [names.index(name) for name in ("caris_filtered", "caris_preliminary_surface")]
    steps = list(CHAIN.steps)
    steps[wrong[0]], steps[wrong[1]] = steps[wrong[1]], steps[wrong[0]]
    with pytest.raises(
        ValueError, match=f"caris_filtered: FilterProcessedDepths needs {PRELIMINARY}, which nothing before"
    ):
        Chain(CHAIN.given, tuple(steps))


def test_what_nobody_made_cannot_be_exported_and_nothing_is_made_twice_or_outside_of_its_step() -> None:
    export = CarisCommand("ExportRaster", (In("surface/of_nobody.csar"), Out("exports/a.bag")))
    with pytest.raises(ValueError, match=r"surface/of_nobody.csar, which nothing before it makes"):
        Chain((), (Step("one", "", "exports", (export,)),))
    make = CarisCommand("CreateHIPSFile", (Out(HIPS),))
    with pytest.raises(ValueError, match="which one: CreateHIPSFile has made before"):
        Chain((), (Step("one", "", "project", (make, make)),))
    with pytest.raises(ValueError, match=r"writes project/survey.hips, and the step keeps surface/ alone"):
        Chain((), (Step("one", "", "surface", (make,)),))
    with pytest.raises(ValueError, match="only for some surveys"):
        CarisCommand("CreateHIPSFile", (Out(HIPS),), when="auxiliary")
    with pytest.raises(ValueError, match=r"needs project/survey\.hips"):
        Chain((), (Step("one", "", "project", (CarisCommand("ImportToHIPS", (Change(HIPS),)),)),))


def test_a_value_that_the_chain_names_and_nobody_gives_is_no_empty_text() -> None:
    """The original's recipe named an undefined variable, which the shell took for nothing."""
    values = {name: value for name, value in work().values.items() if name != "crs"}
    with pytest.raises(KeyError, match="crs"):
        rendered(PROJECT, values, FOLDER)
    asked = {name for step in CHAIN.steps for name in re.findall(r"\{(\w+)\}", step.template)}
    assert asked - set(work(caris={"vessel_file": "a.hvf", "georeference": {}}).values) == set()


def test_the_commands_of_a_survey() -> None:
    lines = [one.line for commands in plan().values() for one in commands]
    hips = "file:///D:/strandline/storm_bay-0123456789ab/project/survey.hips"
    at = "D:\\strandline\\storm_bay-0123456789ab\\"
    gridded = (
        "carisbatch --run CreateHIPSGridWithCube --output-crs EPSG:32755 --extent 540000.0 5292000.0 540120.0 5292100.0{more} "
        f"--resolution 1.0m --iho-order S44_1A {hips} {at}{{to}}.csar"
    )
    imported = f"carisbatch --run ImportToHIPS --input-format GSF --depth-source TRUE --vessel-file {at}given\\BlueFin.hvf {at}lines\\"
    assert lines[:-2] == [
        "carisbatch --version",
        f"carisbatch --run CreateHIPSFile --output-crs EPSG:32755 {hips}",
        f"{imported}0001_E.gsf {hips}",
        f"{imported}0002_W.gsf {hips}",
        gridded.format(more="", to="preliminary\\preliminary"),
        f"carisbatch --run FilterProcessedDepths --filter-type SURFACE --surface {at}preliminary\\preliminary.csar "
        f"--threshold-type STANDARD_DEVIATION --scalar 1.6 {hips}",
        gridded.format(more=" --keep-up-to-date", to="surface\\surface"),
    ]
    assert '--abstract "Surface of the survey storm bay"' in lines[-2]
    assert "--vertical-datum EPSG:5711" in lines[-2]
    assert "undefined" not in " ".join(lines)
    assert "Mean Sea Level" not in " ".join(lines)
    assert lines[-1].endswith(f"--include-band Density {at}surface\\surface.csar {at}exports\\density.tif")


def test_what_survey_json_declares_is_in_the_commands() -> None:
    caris = {
        "vessel_file": "Blue Fin.hvf", "cube_config_file": "CUBEParams_AusSeabed_2019.xml", "cube_config_name": "AusSeabed_002m",
        "filter_scalar": 2, "auxiliary": ["a.000", "b.000"], "georeference": {"vertical_offset": "-7.74m"},
    }  # fmt: skip
    made = plan(caris=caris, order="special")
    auxiliary, georeferenced = made["caris_georeferenced"]
    assert auxiliary.argv[4:7] == ("--allow-partial", f"{FOLDER}given\\a.000", f"{FOLDER}given\\b.000")
    assert "--vertical-offset -7.74m" in georeferenced.line
    assert f'--vessel-file "{FOLDER}given\\Blue Fin.hvf"' in made["caris_project"][2].line
    for name in ("caris_preliminary_surface", "caris_grid"):
        (gridded,) = made[name]
        assert (
            f"--cube-config-file {FOLDER}given\\CUBEParams_AusSeabed_2019.xml --cube-config-name AusSeabed_002m"
            in gridded.line
        )
        assert "--iho-order S44_SPECIAL" in gridded.line
        assert gridded.reads == ("given/CUBEParams_AusSeabed_2019.xml", HIPS)
    assert "--scalar 2.0" in made["caris_filtered"][0].line
    assert made["caris_surface"][0].makes == ("exports/surface.bag",)


def test_steps_that_a_survey_does_not_have() -> None:
    assert "caris_georeferenced" not in plan()
    making = Making(rows("a.gsf", engine="open"), Path(), CONFIG, "s")
    assert not_for(PROJECT, making) == "the survey's engine is open, not caris"
    making = Making(rows("a.gsf"), Path(), CONFIG, "s")
    assert not_for(EXPORTS, making) == ""
    assert "georeferencing" in not_for(GEOREFERENCED, making)
    assert not_for(EXPORTS, Making(rows(), Path(), CONFIG, "s")) == "no line of the survey could be read"


def test_the_engine_and_the_vessel_of_a_deployment_hold_where_a_survey_says_nothing() -> None:
    config = BathymetryConfig(engine="caris", default=Declared.model_validate({"caris": {"vessel_file": "ours.hvf"}}))
    of_rows = rows("a.gsf")
    of_rows["surveys"] = pa.table({"declared": ['{"crs": "EPSG:32755", "vertical_datum": "LAT"}']})
    assert not_for(PROJECT, Making(of_rows, Path(), config, "s")) == ""
    assert survey_work(of_rows, "s", config, GRID).given == ("ours.hvf",)
    none = {"lines": of_rows["lines"], "surveys": pa.table({"declared": pa.array([], pa.string())})}
    config = config.model_copy(update={"default": config.default.model_copy(update={"vertical_datum": "LAT"})})
    assert survey_work(none, "s", config, GRID).values["vertical_datum"] == "LAT"


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"caris": {}}, "no_vessel_file", "vessel_file"),
        ({"vertical_datum": "unknown"}, "no_vertical_datum", "Declare `vertical_datum`"),
        ({"vertical_datum": "MSL & del *"}, "no_vertical_datum", "letters, digits"),
        ({"kind": "las"}, "not_gsf", "las"),
        ({"cells": "[[20.0, 1.0]]"}, "cells_by_depth", "Declare cell_m in survey.json, or use the open engine"),
        # Northings of the north, in the zone of the south: the fault of a logged run of the original.
        ({"grid": replace(GRID, crs="EPSG:32655")}, "wrong_place", "hemisphere"),
        ({"at": (150.1, 150.2, -42.5, -42.4)}, "wrong_place", "zone"),
    ],
)
def test_surveys_that_cannot_be_given_to_caris(said: dict[str, Any], error: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        work(**said)
    assert refused.value.error_class == error


@pytest.mark.parametrize(
    "caris",
    [
        {"vessel_file": "..\\x.hvf"}, {"vessel_file": "a/b.hvf"}, {"vessel_file": "D:x.hvf"}, {"vessel_file": "nul.hvf"},
        {"vessel_file": "-x.hvf"}, {"vessel_file": "a&b.hvf"}, {"vessel_file": "a.hvf "}, {"cube_config_name": "a; b"},
        {"cube_config_name": "--set-option"}, {"cube_config_name": "$(x)"}, {"cube_config_name": "%PATH%"},
        {"party_name": 'a"b'}, {"party_name": "`x`"}, {"party_name": "a\nb"}, {"georeference": {"vertical_offset": "0m --x"}},
        {"georeference": {"vertical_offset": "deep"}}, {"georeference": {"sensors": "REAL TIME"}}, {"filter_scalar": 0},
        {"auxiliary": ["*.*"]}, {"unknown": 1},
    ],
)  # fmt: skip
def test_declared_values_that_could_mean_something_else_are_refused(caris: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"survey\.json says something wrong: caris\.") as refused:
        parse_declaration(declaration(caris=caris))
    assert refused.value.error_class == "bad_declaration"


def test_a_value_is_looked_at_again_where_it_is_rendered() -> None:
    values = {**work().values, "crs": "EPSG:32755 & calc"}
    with pytest.raises(Refused, match="may stand in no command"):
        rendered(PROJECT, values, FOLDER)
    for name in ("../../etc/passwd", "..", "a|b.gsf", "", "C:\\x.gsf"):
        with pytest.raises(Refused, match="a path below the work folder"):
            rendered(PROJECT, {**work().values, "line": (name,)}, FOLDER)


def test_lines_of_any_name_get_names_that_windows_tells_apart() -> None:
    names = [one.name for one in work("a b&c.gsf", "sub/A_b_C.gsf", "Öresund 1.gsf", "a_b_c.gsf").lines]
    assert len({name.lower() for name in names}) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+\.gsf", name) for name in names)
    folders = {work(survey=name).folder for name in ("Storm Bay", "storm bay", "Störm", "x" * 300, "--")}
    assert len(folders) == 5
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,57}[a-z0-9]", folder) for folder in folders)
    assert work("a.gsf").folder != work("a.gsf", "b.gsf").folder


def test_too_many_files_for_a_command_line() -> None:
    caris = {"vessel_file": "a.hvf", "auxiliary": [f"{number:05d}_{'x' * 60}.000" for number in range(400)]}
    with pytest.raises(Refused, match=r"ImportHIPSFromAuxiliary has .* Windows takes 32,767"):
        plan(caris=caris)


def windows_arguments(line: str) -> list[str]:
    """What a Windows program makes of a command line (Microsoft, Parsing C command-line arguments)."""
    found: list[str] = []
    at, end = 0, len(line)
    while at < end:
        while at < end and line[at] in " \t":
            at += 1
        if at == end:
            break
        word, quoted = "", False
        while at < end and (quoted or line[at] not in " \t"):
            slashes = 0
            while at < end and line[at] == "\\":
                slashes, at = slashes + 1, at + 1
            if at < end and line[at] == '"':
                word += "\\" * (slashes // 2)
                if slashes % 2:
                    word += '"'
                else:
                    quoted = not quoted
                at += 1
            else:
                word += "\\" * slashes
                if at < end and (quoted or line[at] not in " \t"):
                    word, at = word + line[at], at + 1
        found.append(word)
    return found


@given(st.lists(st.text(alphabet=st.sampled_from('ab \\"\t-=é'), max_size=8), min_size=1, max_size=5))
def test_a_windows_program_takes_the_line_apart_to_the_same_arguments(arguments: list[str]) -> None:
    assert windows_arguments(windows_line(tuple(arguments))) == arguments


@given(st.text(max_size=30))
def test_what_may_stand_in_a_command_means_nothing_to_a_shell(text: str) -> None:
    if is_text(text) or is_name(text):
        assert not set(text) & set("&|<>^%\"'`$;!*?~#{}[]\\\r\n\0")
        assert not text.startswith("--")
    if is_name(text):
        assert not set(text) & set("/:")
        assert text not in (".", "..")


def test_posix_folders_too() -> None:
    (_, create, *_), folder = rendered(PROJECT, work().values, "/srv/caris/s-1/"), "/srv/caris/s-1"
    assert create.argv[-1] == f"file://{folder}/project/survey.hips"
    assert rendered(EXPORTS, work().values, folder)[1].argv[-1] == f"{folder}/exports/density.tif"
