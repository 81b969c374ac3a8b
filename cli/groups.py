"""Groups of commands of `strandline`, beside those in `main`. Each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cli.opened import opened_platform


@click.group()
def quarantine() -> None:
    """Refused files: list them, show why, send them back to be read again."""


@quarantine.command("list")
@click.option("--source", help="Only this source.")
@click.option("--class", "error_class", help="Only this error class.")
@click.option("--batch", "batch_id", help="Only this batch.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def quarantine_list(source: str | None, error_class: str | None, batch_id: str | None, as_json: bool) -> None:
    """List the files that are refused now."""
    from cli.quarantine import list_refused
    from resources.ledger.replay import RefusedFilter

    list_refused(opened_platform().ledger, RefusedFilter((), source, error_class, batch_id), as_json=as_json)


@quarantine.command("show")
@click.argument("key_or_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def quarantine_show(key_or_id: str, as_json: bool) -> None:
    """Show every refusal of a file, the newest last."""
    from cli.quarantine import show_refusals

    sys.exit(show_refusals(opened_platform().ledger, key_or_id, as_json=as_json))


@quarantine.command("replay")
@click.argument("keys_or_ids", nargs=-1, metavar="[KEY_OR_ID...]")
@click.option("--source", help="All refused files of this source.")
@click.option("--class", "error_class", help="All refused files of this error class.")
@click.option("--batch", "batch_id", help="All refused files of this batch.")
@click.option("--all", "every", is_flag=True, help="Every refused file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the ids of the files.")
def quarantine_replay(
    keys_or_ids: tuple[str, ...],
    source: str | None,
    error_class: str | None,
    batch_id: str | None,
    every: bool,
    as_json: bool,
) -> None:
    """Let refused files be read again, by the next run of the sensor or of `strandline drain`."""
    from cli.quarantine import replay_refused

    if not (keys_or_ids or source or error_class or batch_id or every):
        raise click.UsageError("say which: KEY_OR_ID, --source, --class, --batch, or --all")
    replay_refused(opened_platform().ledger, keys_or_ids, source, error_class, batch_id, as_json=as_json)


@click.group()
def table() -> None:
    """Numbered archives of tables, and of all tables of a dataset: take one, list them, put one back."""


@table.command("archive")
@click.argument("what", metavar="SOURCE.TABLE|SOURCE.DATASET")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def table_archive(what: str, as_json: bool) -> None:
    """Keep what a table shows now, or all tables of a dataset, under the next number."""
    from cli.archives import archive_table

    archive_table(opened_platform(), what, as_json=as_json)


@table.command("archives")
@click.argument("source")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def table_archives(source: str, as_json: bool) -> None:
    """List the archives of a source."""
    from cli.archives import list_archives
    from pipeline_assets.registry import get_source

    list_archives(opened_platform(), get_source(source), as_json=as_json)


@table.command("restore")
@click.argument("what", metavar="SOURCE.ARCHIVE")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def table_restore(what: str, yes: bool, as_json: bool) -> None:
    """Put the rows of an archive in place of those that its tables show now.

    Files that landed since are read again by the next run. Exit code: 0 done, 3 some files are to be read again.
    """
    from cli.archives import restore_table

    sys.exit(restore_table(opened_platform(), what, yes=yes, as_json=as_json))


@click.group()
def health() -> None:
    """Mobile-health records: completeness, exports of studies, samples against new schemas, changes of schema."""


@health.command("completeness")
@click.argument("listing")
@click.option(
    "--to-send", type=click.Path(path_type=Path, dir_okay=False), help="Write missing and outdated record ids here."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every record with its status.")
def health_completeness(listing: str, to_send: Path | None, as_json: bool) -> None:
    """Compare a LISTING of the source's records with what landed.

    LISTING: a .csv, .json or .ndjson file with recordid and perhaps exportedon; python:MODULE:FUNCTION; synapse:VIEW.
    Exit code: 0 every listed record is processed, 3 some are not.
    """
    from cli.health import show_completeness

    sys.exit(show_completeness(opened_platform(), listing, to_send, as_json=as_json))


@health.command("export")
@click.argument("study")
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def health_export(study: str, output: Path, as_json: bool) -> None:
    """Write all rows of a STUDY to OUTPUT, a .zip of one CSV file a table and one that says what the columns mean."""
    from cli.health import export

    export(opened_platform(), study, output, as_json=as_json)


@health.command("sample")
@click.argument("schemas", type=click.Path(exists=True, path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def health_sample(schemas: Path, as_json: bool) -> None:
    """Read the newest record of each app version with the candidate SCHEMAS of a folder, and change nothing.

    Exit code: 0 all would be taken, 3 some would be refused.
    """
    from cli.health import show_sample

    sys.exit(show_sample(opened_platform(), schemas, as_json=as_json))


@health.command("schemas")
@click.option(
    "--open", "is_open", is_flag=True, help="Open a new version of each dataset whose tables cannot take the change."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def health_schemas(is_open: bool, as_json: bool) -> None:
    """Compare the tables with what the schemas declare: additive, widening or breaking.

    Exit code: 0 the tables take it all, 3 a dataset needs a new version.
    """
    from cli.health import show_schemas

    sys.exit(show_schemas(opened_platform(), is_open=is_open, as_json=as_json))


@click.group()
def caris() -> None:
    """The engine CARIS: its commands as they would run, going on after a failure, acceptance on a licensed host."""


@caris.command("plan")
@click.argument("survey")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: steps with their commands, what they read and make.")
def caris_plan(survey: str, as_json: bool) -> None:
    """Print the commands of SURVEY exactly as they would run. No host is asked."""
    from cli.caris import print_plan

    print_plan(opened_platform(), survey, as_json=as_json)


@caris.command("resume")
@click.argument("survey")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what was made, and what was not and why.")
def caris_resume(survey: str, as_json: bool) -> None:
    """Make what is not made of SURVEY, beginning with the step that failed. Finished steps are not run again.

    Exit code: 0 all is made, 3 something is not.
    """
    from cli.caris import resume_survey

    sys.exit(resume_survey(opened_platform(), survey, as_json=as_json))


@caris.command("accept")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--vessel-file", metavar="NAME", help="In the folder STRANDLINE_BATHYMETRY_CARIS_FILES.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def caris_accept(folder: Path, vessel_file: str | None, as_json: bool) -> None:
    """Run every command on the licensed host with a small made survey, and tell what differs from what is expected.

    All of it is kept in FOLDER, which must be empty; nothing else of this deployment is touched.
    Exit code: 0 nothing differs, 3 something does.
    """
    from cli.caris_accept import accept

    sys.exit(accept(opened_platform(), folder, vessel_file, as_json=as_json))
