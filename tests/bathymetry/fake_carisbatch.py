"""A stand-in for CARIS Batch: speaks its documented grammar, really reads GSF lines, filters them and grids their mean.

`python -m tests.bathymetry.fake_carisbatch STATE ARGUMENT...`; `install` writes a program that calls it. In the folder STATE,
`calls.jsonl` gets a line for each call, and `behaviour.json` may say how the calls of a process misbehave, one after the other:
{"ImportToHIPS": ["good", "partial"]}. What is heavy is imported where it is needed, since most misbehaviour needs none of it.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

OPTIONS: dict[str, dict[str, int]] = {
    "CreateHIPSFile": {"--output-crs": 1},
    "ImportToHIPS": {"--input-format": 1, "--depth-source": 1, "--vessel-file": 1},
    "ImportHIPSFromAuxiliary": {
        "--input-format": 1, "--allow-partial": 0, "--delayed-heave": 1, "--delayed-heave-rms": 1,
    },
    "GeoreferenceHIPSBathymetry": {
        "--vertical-datum-reference": 1, "--compute-gps-vertical-adjustment": 0, "--vertical-offset": 1,
        "--heave-source": 1, "--compute-tpu": 0, "--tide-measured": 1, "--tide-zoning": 1, "--sv-measured": 1,
        "--sv-surface": 1, "--source-navigation": 1, "--source-sonar": 1, "--source-gyro": 1, "--source-pitch": 1,
        "--source-roll": 1, "--source-heave": 1, "--source-tide": 1, "--output-components": 0,
    },
    "FilterProcessedDepths": {"--filter-type": 1, "--surface": 1, "--threshold-type": 1, "--scalar": 1},
    "CreateHIPSGridWithCube": {
        "--output-crs": 1, "--extent": 4, "--keep-up-to-date": 0, "--cube-config-file": 1, "--cube-config-name": 1,
        "--resolution": 1, "--iho-order": 1,
    },
    "ExportRaster": {
        "--output-format": 1, "--include-band": 1, "--uncertainty": 1, "--uncertainty-type": 1, "--abstract": 1,
        "--status": 1, "--vertical-datum": 1, "--party-name": 1, "--party-position": 1, "--party-organization": 1,
        "--party-role": 1, "--legal-constraints": 1, "--other-constraints": 1, "--security-constraints": 1,
        "--notes": 1, "--compression-level": 1,
    },
}  # fmt: skip
"""Of each process the options that it knows, and how many values each has."""


class Failed(Exception):
    """What carisbatch says on standard error; it ends with 1."""


def install(folder: Path, **behaviour: list[str]) -> Path:
    """Write the program into a folder, with its state; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    misbehave(folder, **behaviour)
    program = folder / "carisbatch"
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, "-m", "tests.bathymetry.fake_carisbatch", str(folder)]
    # The state of the caller's folder stays as it is: the files that a command names are whole paths.
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(root))} exec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    return program


def misbehave(folder: Path, **behaviour: list[str]) -> None:
    """How calls from now on misbehave, by process, each in its turn."""
    done = calls(folder)
    from_now = {name: ["good"] * done.count(name) + list(todo) for name, todo in behaviour.items()}
    (folder / "behaviour.json").write_text(json.dumps(from_now))


def calls(folder: Path) -> list[str]:
    """The processes that were run, in their order."""
    log = folder / "calls.jsonl"
    return [json.loads(line)["process"] for line in log.read_text().splitlines()] if log.exists() else []


def main(state: Path, arguments: list[str]) -> int:
    if arguments == ["--version"]:
        note(state, "--version", arguments)
        print("CARIS Batch 11.4.22\nCopyright (c) Teledyne CARIS\nHIPS  11.4.22  Yes\nBASE Editor 5.5.0  No")
        return 0
    try:
        if arguments[:1] not in (["--run"], ["-r"]) or len(arguments) < 2:
            raise Failed("the option --run is required")
        process = next((name for name in OPTIONS if name.lower() == arguments[1].lower()), None)
        if process is None:
            raise Failed(f"{arguments[1]} is not a known process")
        number = calls(state).count(process)
        note(state, process, arguments)
        return run(process, number, state, *parsed(process, arguments[2:]))
    except Failed as failed:
        print(f"Error: {failed}", file=sys.stderr)
        return 1


def note(state: Path, process: str, arguments: list[str]) -> None:
    with (state / "calls.jsonl").open("a") as log:
        log.write(json.dumps({"process": process, "arguments": arguments}) + "\n")


def parsed(process: str, arguments: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Options with their values, and what is left: inputs and output. Names of options are case-sensitive."""
    options: dict[str, list[str]] = {}
    left: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            left.append(word)
            continue
        name, _, joined = word.partition("=")
        if name not in OPTIONS[process]:
            raise Failed(f"unrecognised option '{name}'")
        count = OPTIONS[process][name] - bool(joined)
        if len(rest) < count:
            raise Failed(f"the option '{name}' needs {OPTIONS[process][name]} values")
        options[name] = ([joined] if joined else []) + [rest.pop(0) for _ in range(count)]
    return options, left


def run(process: str, number: int, state: Path, options: dict[str, list[str]], left: list[str]) -> int:
    todo = json.loads((state / "behaviour.json").read_text()).get(process, [])
    how = todo[number] if number < len(todo) else "good"
    if how == "silence":
        time.sleep(600)
    say(f"====== {process} start: 21/11/2026 3:04:05 PM ======", how)
    if how == "hang":
        while True:
            say("working", how)
            time.sleep(0.1)
    if how == "exit_only":
        return 1
    if how == "error_exit":
        for path in left:
            spoilt = local(path)
            if spoilt.is_file() and spoilt.suffix == ".hips":
                spoilt.write_text("half of a project")
                (spoilt.parent / "half.tmp").write_text("left behind")
        raise Failed("Could not allocate memory for the line")
    if how == "error_line":
        say("Error: There is not enough disk space; some depths were not written", how)
    if how == "partial":
        say("Warning: the file is not whole", how)
        say("0 of 1 lines successfully converted.", how)
        return 0
    if how == "converted":
        say("1 of 1 lines successfully converted.", how)
        return 0
    if how not in ("no_output", "says_nothing", "error_line"):
        globals()[f"run_{process}"](options, left, how)
    if how == "empty_output":
        local(left[-1]).write_bytes(b"")
    say(f"====== {process} end: 21/11/2026 3:06:16 PM (Elapsed Time: 00:02:11) ======", how)
    return 0


def say(text: str, how: str) -> None:
    if how != "split":
        print(text, flush=True)
        return
    for at in range(0, len(text) + 1, 7):
        sys.stdout.write((text + "\n")[at : at + 7])
        sys.stdout.flush()


def local(path: str) -> Path:
    """A file by its path or URI."""
    return Path(path.removeprefix("file://").partition("?")[0])


def project(uri: str) -> Any:
    if not uri.startswith("file:///"):
        raise Failed(f"'{uri}' is not a URI of a HIPS file")
    try:
        return json.loads(local(uri).read_text())
    except (OSError, ValueError):
        raise Failed(f"'{uri}' cannot be opened as a HIPS file") from None


def run_CreateHIPSFile(options: dict[str, list[str]], left: list[str], how: str) -> None:
    path = local(left[0])
    if path.exists():
        raise Failed(f"{path.name} exists")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"crs": options["--output-crs"][0], "lines": []}))


def run_ImportToHIPS(options: dict[str, list[str]], left: list[str], how: str) -> None:
    import numpy as np

    from pipeline_assets.bathymetry.config import BathymetryConfig
    from pipeline_assets.bathymetry.read.gsf import read_gsf
    from pipeline_assets.landed_file import LandedFile

    *files, uri = left
    hips, vessel = project(uri), local(options["--vessel-file"][0])
    if options["--input-format"] != ["GSF"] or not vessel.read_text().startswith("<HIPSVesselConfig"):
        raise Failed("the vessel file or the format is not known")
    for name in files:
        beside = LandedFile("bathymetry/s/survey.json", data=json.dumps({"crs": hips["crs"]}).encode())
        file = LandedFile(f"bathymetry/s/{Path(name).name}", path=local(name), companions={"survey.json": beside})
        line = read_gsf(file, BathymetryConfig())
        stem = Path(name).stem
        folder = local(uri).parent / vessel.stem / "2024-153" / stem
        folder.mkdir(parents=True)
        np.savez(
            folder / "depths.npz", x=line.x, y=line.y, depth=line.depth, tvu=line.tvu, thu=line.thu, ping=line.ping,
            beam=line.beam, accepted=line.accepted,
        )  # fmt: skip
        (folder / "Process.log").write_text(json.dumps({"processes": [{"id": "ImportToHIPS"}]}))
        hips["lines"].append(f"{vessel.stem}/2024-153/{stem}")
        say(f"Warning: static values used for line {name}", how)
        say(f"Converted Line: {name}", how)
        say(f"Depths Converted: {len(line.depth)}", how)
        say(f"Accepted: {int(line.accepted.sum())}", how)
        say(f"Rejected by Disabled Beam: {int((~line.accepted).sum())}", how)
    local(uri).write_text(json.dumps(hips))
    say(f"{len(files)} of {len(files)} lines successfully converted.", how)


def run_ImportHIPSFromAuxiliary(options: dict[str, list[str]], left: list[str], how: str) -> None:
    *files, uri = left
    hips = project(uri)
    records = sum(len(local(name).read_bytes().splitlines()) for name in files)
    local(uri).write_text(json.dumps(hips | {"heave": records}))
    say(f"Total DelayedHeave records applied: {records}", how)


def run_GeoreferenceHIPSBathymetry(options: dict[str, list[str]], left: list[str], how: str) -> None:
    hips = project(left[0])
    if options["--heave-source"] == ["DELAYED_HEAVE"] and not hips.get("heave"):
        say("Warning: Delayed heave was selected but no data was found", how)
    local(left[0]).write_text(json.dumps(hips | {"georeferenced": True}))


def soundings_of(uri: str) -> Any:
    import numpy as np

    from pipeline_assets.bathymetry.soundings import Soundings

    hips, folder = project(uri), local(uri).parent
    parts = [dict(np.load(folder / line / "depths.npz")) for line in hips["lines"]]
    if not parts:
        raise Failed("No TPU found for any survey lines to process")
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    line = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part["x"]) for part in parts])
    return Soundings(**joined, line=line, crs=hips["crs"], vertical_datum="MSL", lines=tuple(hips["lines"]))


def run_CreateHIPSGridWithCube(options: dict[str, list[str]], left: list[str], how: str) -> None:
    import numpy as np

    from pipeline_assets.bathymetry.grid.config import GridConfig
    from pipeline_assets.bathymetry.grid.engine import grid

    west, south, east, north = map(float, options["--extent"])
    cell = float(options["--resolution"][0].removesuffix("m"))
    if not (west < east and south < north):
        raise Failed("the extent has its corners the wrong way round: <LowerX> <LowerY> <UpperX> <UpperY>")
    soundings = soundings_of(left[0])
    if soundings.crs != options["--output-crs"][0]:
        raise Failed("There is no overlapping data for the surface")
    made = grid(soundings, GridConfig(method="mean", cell_m=cell))
    rows, columns = round((north - south) / cell), round((east - west) / cell)
    down, along = round((north - made.grid.north) / cell), round((made.grid.west - west) / cell)
    if down < 0 or along < 0 or down + made.grid.rows > rows or along + made.grid.columns > columns:
        raise Failed("There is no overlapping data for the surface")
    layers = {}
    for name in ("depth", "uncertainty", "std_dev", "shoal", "density", "hypotheses"):
        values = getattr(made, name)
        layers[name] = np.full((rows, columns), 0 if values.dtype.kind == "i" else np.nan, values.dtype)
        layers[name][down : down + made.grid.rows, along : along + made.grid.columns] = values
    path = local(left[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"grid": [west, north, cell, rows, columns, soundings.crs]}))
    with path.with_suffix(".csar0").open("wb") as data:
        np.savez(data, **layers)


def surface_of(path: str) -> Any:
    import numpy as np

    from pipeline_assets.bathymetry.surface import Grid, Surface

    try:
        told = json.loads(local(path).read_text())
    except OSError:
        raise Failed(f"the surface {path} does not exist") from None
    with np.load(local(path).with_suffix(".csar0")) as layers:
        values = {name: layers[name] for name in layers.files}
    return Surface(grid=Grid(*told["grid"]), method="cube", parameters={}, vertical_datum="MSL", **values)


def run_FilterProcessedDepths(options: dict[str, list[str]], left: list[str], how: str) -> None:
    import numpy as np

    from pipeline_assets.bathymetry.sigma_filter import off_surface

    surface, soundings = surface_of(options["--surface"][0]), soundings_of(left[0])
    off, sigma = off_surface(soundings, surface)
    with np.errstate(invalid="ignore"):
        far = np.abs(off) > float(options["--scalar"][0]) * sigma
    hips, folder = project(left[0]), local(left[0]).parent
    for number, line in enumerate(hips["lines"]):
        path = folder / line / "depths.npz"
        content = dict(np.load(path))
        np.savez(path, **{**content, "accepted": content["accepted"] & ~far[soundings.line == number]})
    say(f"Rejected: {int(far.sum())}", how)


def run_ExportRaster(options: dict[str, list[str]], left: list[str], how: str) -> None:
    from dataclasses import replace
    from datetime import UTC, datetime

    import numpy as np
    import rasterio

    from pipeline_assets.bathymetry.products.bag import write_bag
    from pipeline_assets.bathymetry.products.geotiff import transform_of
    from pipeline_assets.bathymetry.products.provenance import Provenance

    surface, path = surface_of(left[0]), local(left[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    if options["--output-format"] == ["BAG"]:
        bare = replace(surface, density=np.zeros_like(surface.density), hypotheses=np.zeros_like(surface.hypotheses))
        moment = datetime(2026, 11, 21, tzinfo=UTC)
        write_bag(bare, Provenance("s", "1a", "fake CARIS", "11.4.22", moment), path)
        return
    values = getattr(surface, options["--include-band"][0].lower()).astype(np.float32)
    with rasterio.open(
        path, "w", driver="GTiff", width=values.shape[1], height=values.shape[0], count=1, dtype="float32",
        crs=surface.grid.crs, transform=transform_of(surface.grid), nodata=0,
    ) as content:  # fmt: skip
        content.write(values, 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
