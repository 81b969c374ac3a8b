"""What people ask of the engine CARIS: its commands before they run, and to go on where a survey's chain stopped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from cli.notes import note
from resources.errors import UserError

if TYPE_CHECKING:
    from pipeline_assets.bathymetry.config import BathymetryConfig
    from resources.ledger.batches import Batch
    from resources.platform import Platform

EXAMPLE_FOLDER = "D:\\strandline"
"""Where work folders would be, for a plan before a host is set up."""


class NoSurvey(UserError):
    """There is no such survey, or it is not far enough."""


def print_plan(platform: Platform, survey: str, *, as_json: bool) -> None:
    """Print the commands of a survey exactly as they would run; no host is asked. Raises NoSurvey."""
    from pipeline_assets.bathymetry.caris.products import PRODUCTS
    from pipeline_assets.bathymetry.caris.steps import plan_of
    from pipeline_assets.bathymetry.caris.values import engine_of, survey_work
    from pipeline_assets.bathymetry.products.stored import load_surface
    from pipeline_assets.bathymetry.source import BATHYMETRY
    from pipeline_assets.landed_file import Refused
    from pipeline_assets.product import Making
    from pipeline_assets.product_run import place_of, rows_for

    batch, config = _survey(platform, survey)
    preliminary = next(one for one in BATHYMETRY.products if one.name == "preliminary_surface")
    made = platform.products.find(place_of(platform, BATHYMETRY, preliminary, batch.partition))
    if made is None:
        raise NoSurvey(
            f'{survey} has no preliminary surface yet, whose cells and extent the commands are given. See `strandline sql "SELECT * FROM '
            'operations.products"` for why, and run `strandline drain`.'
        )
    rows = rows_for(platform, BATHYMETRY, PRODUCTS[0], batch)
    making = Making(rows, made, config, batch.partition)
    grid = load_surface(made)[0].grid
    try:
        work = survey_work(rows, batch.partition, config, grid)
        root, is_set = _work_root(platform)
        separator = "/" if root.startswith("/") else "\\"
        folder = f"{root}{separator}{platform.settings.table_prefix}{work.folder}{separator}"
        planned = plan_of(making, grid, folder)
    except Refused as refused:
        raise NoSurvey(f"{survey} cannot be planned ({refused.error_class}): {refused}") from refused
    engine = engine_of(rows, batch.partition, config)
    if engine != "caris":
        note(f'the survey\'s engine is {engine}: these commands would run with "engine": "caris" in its survey.json')
    if not is_set:
        note(f"no host is set (STRANDLINE_CARIS_HOST): work folders are shown below {EXAMPLE_FOLDER}")
    if as_json:
        told = [
            {
                "step": step.name,
                "commands": [
                    {
                        "process": one.process,
                        "argv": list(one.argv),
                        "line": one.line,
                        "reads": list(one.reads),
                        "makes": list(one.makes),
                    }
                    for one in commands
                ],
            }
            for step, commands in planned
        ]
        click.echo(
            json.dumps(
                {"survey": batch.partition, "engine": engine, "work_folder": folder, "steps": told}, ensure_ascii=False
            )
        )
        return
    for step, commands in planned:
        click.echo(f"# {step.name}: {step.description}")
        for one in commands:
            click.echo(one.line)


def _survey(platform: Platform, survey: str) -> tuple[Batch, BathymetryConfig]:
    from pipeline_assets.bathymetry.config import BathymetryConfig
    from pipeline_assets.bathymetry.source import BATHYMETRY
    from resources.ledger.batches import NotClaimed, get_batch
    from resources.settings import load_source_config

    try:
        batch = get_batch(platform.ledger, BATHYMETRY.batch_of(survey))
    except NotClaimed as unknown:
        raise NoSurvey(
            f"there is no survey {survey!r}; expected the name of a folder below bathymetry/ in the landing store that was read. "
            "Land its lines and run `strandline drain`."
        ) from unknown
    return batch, load_source_config(BathymetryConfig, BATHYMETRY.name)


def _work_root(platform: Platform) -> tuple[str, bool]:
    """The folder of all work folders on the host, and whether a host is set."""
    settings = platform.caris
    if settings.host is None:
        return settings.work_folder or EXAMPLE_FOLDER, False
    return settings.work_folder or str(platform.settings.home / "caris"), True


def resume_survey(platform: Platform, survey: str, *, as_json: bool) -> int:
    """Make what is not made of a survey, beginning with what failed; finished steps are not run again. The exit code."""
    from cli.drain import _Runner
    from cli.instance import use_dagster_home
    from cli.progress import BarReporter
    from pipeline_assets.bathymetry.source import BATHYMETRY
    from pipeline_assets.product_run import behind_products

    batch, config = _survey(platform, survey)

    def lacking() -> dict[str, str | None]:
        behind = {
            one.name: one.error
            for one in behind_products(platform, BATHYMETRY, config)
            if one.batch_id == batch.batch_id
        }
        return {one.name: behind[one.name] for one in BATHYMETRY.products if one.name in behind}

    before = lacking()
    if before:
        use_dagster_home(platform.settings)
        with BarReporter() as bar:
            _Runner(platform, BATHYMETRY, bar).run_products(batch, list(before))
    left = lacking()
    made = [name for name in before if name not in left]
    if as_json:
        click.echo(json.dumps({"survey": batch.partition, "made": made, "not_made": left}, ensure_ascii=False))
    else:
        click.echo(f"made: {', '.join(made) or 'nothing'}" if before else "all is made; there is nothing to do")
        for name, error in left.items():
            click.echo(f"not made: {name}: {error or 'what it is made from is not there'}")
    return 3 if left else 0
