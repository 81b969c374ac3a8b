"""The steps of the chain, each made on the licensed host and kept: see `chain` for what they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline_assets.bathymetry.caris.chain import (
    BAG,
    CHAIN,
    DENSITY,
    EXPORTS,
    FILTERED,
    GEOREFERENCED,
    GRID,
    PRELIMINARY_SURFACE,
    PROJECT,
)
from pipeline_assets.bathymetry.caris.checkpoint import (
    FILES,
    LOGS,
    Checkpoint,
    KeptFile,
    RanCommand,
    adopt,
    by_path,
    check_order,
    fingerprint,
    is_whole,
    read_checkpoint,
    sha256_of,
    write_checkpoint,
)  # fmt: skip
from pipeline_assets.bathymetry.caris.command import Rendered, Step, Values, rendered
from pipeline_assets.bathymetry.caris.exports import read_exports
from pipeline_assets.bathymetry.caris.output import Said, in_words, parse_output, version_said, what_failed
from pipeline_assets.bathymetry.caris.values import SurveyWork, declared_of, engine_of, survey_work
from pipeline_assets.bathymetry.caris.work import GIVEN, LINES, bring_lines, keep, opened
from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.products.described import described
from pipeline_assets.bathymetry.products.pictures import hillshade_png
from pipeline_assets.bathymetry.products.stored import load_surface, save_surface
from pipeline_assets.bathymetry.products.survey import provenance_of
from pipeline_assets.bathymetry.surface import Grid
from pipeline_assets.landed_file import Refused
from pipeline_assets.product import Making, ProductResult
from resources.caris_host.host import WorkFolder
from resources.errors import PermanentFailure, TransientFailure

ENGINE = "CARIS HIPS and SIPS"
SAME_FOLDER = "D:\\work\\"
"""For fingerprints, which do not depend on where a step runs."""
_MOST_SHOWN = 30
_MOST_SAID = 200
_TEXT_OF_FAILURE = 40


class CommandFailed(PermanentFailure):
    """A command of CARIS did not do its work. A person looks at why; the same step is then materialized again."""


@dataclass(frozen=True)
class Manner:
    """How commands are run. program: carisbatch as the host finds it. seconds, quiet_seconds: the longest that a command may
    take, and say nothing."""

    program: str
    seconds: float
    quiet_seconds: float


@dataclass(frozen=True)
class Outside:
    """What the steps need of outside. open: the work folder of that name. place_of: of a key of the landing store, the
    local path or s3:// URI. bring: a file of the setting `caris_files`, by its name, to a local path."""

    open: Callable[[str], AbstractContextManager[WorkFolder]]
    place_of: Callable[[str], str]
    bring: Callable[[str | None, str, Path], None]
    manner: Callable[[], Manner]


def not_for(step: Step, making: Making) -> str:
    """Why a survey has no such step, or nothing."""
    rows = making.rows
    if not len(rows["lines"]):
        return "no line of the survey could be read"
    engine = engine_of(rows, making.partition, making.config)
    if engine != "caris":
        return f"the survey's engine is {engine}, not caris"
    caris = declared_of(rows, making.partition, making.config).caris
    if step == GEOREFERENCED and not caris.auxiliary and caris.georeference is None:
        return "survey.json asks for no auxiliary files and no georeferencing: depths stand as the lines have them"
    return ""


def make_project(making: Making) -> ProductResult:
    return _make(PROJECT, making)


def make_georeferenced(making: Making) -> ProductResult:
    return _make(GEOREFERENCED, making)


def make_preliminary_surface(making: Making) -> ProductResult:
    return _make(PRELIMINARY_SURFACE, making)


def make_filtered(making: Making) -> ProductResult:
    return _make(FILTERED, making)


def make_grid(making: Making) -> ProductResult:
    return _make(GRID, making)


def make_surface(making: Making) -> ProductResult:
    """The exports, and the surface that they are."""
    made = _make(EXPORTS, making)
    config: BathymetryConfig = making.config
    asked = load_surface(making.products["preliminary_surface"])[0].grid
    checkpoint = read_checkpoint(making.folder)
    declared = declared_of(making.rows, making.partition, config)
    files = making.folder / FILES
    surface = read_exports(files / BAG, files / DENSITY, asked, declared.vertical_datum, config.max_cells)
    provenance = replace(
        provenance_of(making.partition, making.rows["lines"], declared.order, datetime.now(UTC)),
        engine=ENGINE,
        version=checkpoint.version,
        commands=tuple(one.line for each in (*_before(EXPORTS, making).values(), checkpoint) for one in each.commands),
    )
    save_surface(surface, provenance, making.folder)
    return replace(made, picture=hillshade_png(surface), metadata={**described(surface), **made.metadata})


def _before(step: Step, making: Making) -> dict[str, Checkpoint]:
    """The finished steps before a step, in their order; one that this survey does not have is left out."""
    earlier = [one.name for one in CHAIN.steps[: CHAIN.steps.index(step)] if one.name in making.products]
    before = {name: read_checkpoint(making.products[name]) for name in earlier}
    check_order(before)
    return before


def _make(step: Step, making: Making) -> ProductResult:
    """Run a step, or take its older generation where nothing that goes into it changed. Raises CommandFailed, Refused."""
    grid = load_surface(making.products["preliminary_surface"])[0].grid
    survey = survey_work(making.rows, making.partition, making.config, grid)
    before = _before(step, making)
    given = _given(step, survey, making, before)
    planned = rendered(step, survey.values, SAME_FOLDER)
    inputs = {file.path: file.sha256 for file in given.values()}
    if step == PROJECT:
        inputs |= {f"{LINES}/{line.name}": line.sha256 for line in survey.lines}
    mark = fingerprint(planned, inputs, {name: one.fingerprint for name, one in before.items()}, survey.revision)
    older = _unchanged(making.older, mark)
    if older is not None and making.older is not None:
        making.say(f"{step.name}: nothing that goes into it changed since it was made; it is not run again")
        adopt(making.older, making.folder)
        return _shown(older, ran_now=False)
    checkpoint = _run(step, survey, making, before, given, mark)
    write_checkpoint(checkpoint, making.folder)
    return _shown(checkpoint, ran_now=True)


def _unchanged(older: Path | None, mark: str) -> Checkpoint | None:
    """The checkpoint of an older generation that is what would be made now; None where it must be made."""
    if older is None:
        return None
    try:
        checkpoint = read_checkpoint(older)
    except Refused:
        return None
    return checkpoint if checkpoint.fingerprint == mark and is_whole(checkpoint, older) else None


def _given(step: Step, survey: SurveyWork, making: Making, before: Mapping[str, Checkpoint]) -> dict[str, KeptFile]:
    """The vessel file and its like: taken once, by the first step, so that all steps see the same. By path."""
    if step != PROJECT:
        return {
            path: file for path, file in by_path(before[PROJECT.name].files).items() if path.startswith(f"{GIVEN}/")
        }
    config: BathymetryConfig = making.config
    found = {}
    for name in survey.given:
        path = f"{GIVEN}/{name}"
        to = making.folder / FILES / path
        to.parent.mkdir(parents=True, exist_ok=True)
        making.outside.bring(config.caris_files, name, to)
        found[path] = KeptFile(path, to.stat().st_size, sha256_of(to), PROJECT.name)
    return found


def _run(
    step: Step,
    survey: SurveyWork,
    making: Making,
    before: Mapping[str, Checkpoint],
    given: Mapping[str, KeptFile],
    mark: str,
) -> Checkpoint:
    state = dict(given)
    for one in before.values():
        state = by_path(one.files)  # of the last of them: each has all
    folders = {name: making.products[name] for name in before} | {step.name: making.folder}
    version = next((one.version for one in before.values()), "unknown")
    ran: list[RanCommand] = []
    with opened(making.outside.open, survey.folder, state, folders, making.say) as work:
        commands = rendered(step, survey.values, work.path)
        for number, command in enumerate(commands, start=1):
            making.say(f"{step.name}: planned {number} of {len(commands)}: {command.line}")
        if step == PROJECT:
            bring_lines(work, survey.lines, making.outside.place_of)
        for number, command in enumerate(commands, start=1):
            ran.append(_command(work, command, number, making))
            if command.process == "--version":
                version = version_said(
                    (making.folder / LOGS / _log_name(number, command)).read_text("utf-8").splitlines()
                )
        files, changed = keep(work, step.name, step.keeps, state, making.folder)
        making.say(f"{step.name}: kept {len(changed)} files, {sum(file.size_bytes for file in changed):,} bytes")
        if step == EXPORTS:
            _clear_away(work, making.say)
    return Checkpoint(
        step.name,
        mark,
        {name: one.fingerprint for name, one in before.items()},
        work.path,
        version,
        tuple(ran),
        tuple(files),
        _as_json(survey.values),
    )


def _clear_away(work: WorkFolder, say: Callable[[str], None]) -> None:
    """Delete the folder on the host, at the end of the chain: every step has its files."""
    try:
        work.remove()
    except TransientFailure as error:
        say(f"{work.path} is not needed any more, and could not be deleted: {error}")


def _as_json(values: Values) -> dict[str, str | list[str] | None]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _log_name(number: int, command: Rendered) -> str:
    return f"{number:04d}_{command.process.strip('-')}.txt"


def _command(work: WorkFolder, command: Rendered, number: int, making: Making) -> RanCommand:
    """Run one command and judge it. Raises CommandFailed."""
    making.say(f"running: {command.line}")
    manner: Manner = making.outside.manner()
    seconds = manner.seconds if command.seconds is None else min(manner.seconds, command.seconds)
    finished = work.run(
        (manner.program, *command.argv), seconds=seconds, quiet_seconds=min(manner.quiet_seconds, seconds),
        say=_Told(making.say).hear,
    )  # fmt: skip
    (making.folder / LOGS).mkdir(exist_ok=True)
    log = making.folder / LOGS / _log_name(number, command)
    log.write_text("\n".join(finished.lines) + "\n", encoding="utf-8", errors="replace")
    said = parse_output(finished.lines)
    sizes = {file.path: file.size_bytes for file in work.outputs(command.makes)} if command.makes else {}
    failed = what_failed(command, finished.exit_code, finished.stopped, said, sizes)
    if failed:
        for line in finished.lines[-_TEXT_OF_FAILURE:]:
            making.say(f"{command.process} said: {line[:500]}")
        raise CommandFailed(in_words(command, failed, said))
    making.say(f"{command.process}: exit code 0 after {finished.seconds:.1f} s, {sum(said.warnings.values())} warnings")
    return RanCommand(
        command.process,
        command.line,
        finished.exit_code or 0,
        round(finished.seconds, 3),
        dict(said.warnings),
        dict(said.counts),
    )


class _Told:
    """What a command says into the run's log: errors, warnings of each kind once, and what is counted; not a line for each."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()

    def hear(self, line: str) -> None:
        said: Said = parse_output([line])
        kinds = {*said.errors, *said.warnings, *(("",) if said.converted else ())}
        if kinds - self._said and len(self._said) < _MOST_SAID:
            self._said |= kinds - {""}
            self._say(line.strip()[:500])


def _shown(checkpoint: Checkpoint, *, ran_now: bool) -> ProductResult:
    """The step for its asset's page: what was run, and what became of it."""
    told = [] if ran_now else ["Not run again: nothing that goes into it changed. It ran as:", ""]
    for one in checkpoint.commands[:_MOST_SHOWN]:
        warned = sum(one.warnings.values())
        told += [f"- `{one.line}`", "", f"  exit code {one.exit_code}, {one.seconds:.1f} s, {warned} warnings"]
        told += [f"  - {count} × {kind}" for kind, count in sorted(one.warnings.items())[:5]]
        told += [f"  - {line or 'all'}: {_counted(counts)}" for line, counts in list(one.counts.items())[:10]]
        told.append("")
    if len(checkpoint.commands) > _MOST_SHOWN:
        told.append(f"... and {len(checkpoint.commands) - _MOST_SHOWN} more commands, in the step's manifest.json")
    return ProductResult(
        markdown="\n".join(told),
        metadata={
            "commands": len(checkpoint.commands),
            "run": "now" if ran_now else "before; nothing changed since",
            "seconds of its commands": round(sum(one.seconds for one in checkpoint.commands), 3),
            "warnings": sum(sum(one.warnings.values()) for one in checkpoint.commands),
            "CARIS": checkpoint.version,
            "work folder": checkpoint.work_folder,
            "files kept": sum(file.kept_in == checkpoint.step for file in checkpoint.files),
        },
    )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def plan_of(making: Making, grid: Grid, folder: str) -> list[tuple[Step, list[Rendered]]]:
    """All commands of a survey as they would run, without a host. folder: the work folder's path. Raises Refused."""
    survey = survey_work(making.rows, making.partition, making.config, grid)
    return [(step, rendered(step, survey.values, folder)) for step in CHAIN.steps if not not_for(step, making)]
