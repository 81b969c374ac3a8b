"""The `strandline` command. Each command imports what it needs when it runs, so that short ones are quick."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from cli.groups import caris, health, quarantine, table
from cli.opened import opened_platform as _platform
from resources.errors import UserError


class _Commands(click.Group):
    """Shows errors that a user can cause as their message alone."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            from cli.notes import complain

            complain(f"Error: {error}")
            sys.exit(error.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="strandline")
def main() -> None:
    """Files land, become checked rows, and are there for SQL. State is under STRANDLINE_HOME (default ./.strandline)."""


@main.command()
@click.argument("source")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE...")
@click.option("--key", help="Key below the source's folder, for a single FILE.")
@click.option(
    "--metadata", "pairs", multiple=True, metavar="NAME=VALUE", help="Kept beside each FILE; may be repeated."
)
@click.option(
    "--metadata-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The same from a JSON object."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def land(
    source: str,
    paths: tuple[Path, ...],
    key: str | None,
    pairs: tuple[str, ...],
    metadata_file: Path | None,
    as_json: bool,
) -> None:
    """Put files into the landing store, where SOURCE looks for them.

    A relative FILE keeps its folders, a folder keeps its name and what is below it; an absolute FILE keeps its name.
    A bucket keeps metadata with the object; beside a file in a folder it lands as FILE.metadata.json.
    """
    from cli.land import land_files, read_metadata
    from cli.notes import note
    from pipeline_assets.registry import get_source

    platform = _platform()
    prefix = platform.settings.prefix_of(source)
    landed = land_files(
        platform.landing, get_source(source), paths, key, read_metadata(pairs, metadata_file), prefix=prefix
    )
    if as_json:
        click.echo(json.dumps([{"key": item.key, "changed": item.changed} for item in landed], ensure_ascii=False))
        return
    for item in landed:
        click.echo(f"{item.key}{'' if item.changed else '  (these bytes are there already)'}")
    changed = sum(item.changed for item in landed)
    note(f"{changed} landed, {len(landed) - changed} unchanged")


@main.command()
@click.option("--source", "source_name", help="Only this source.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def drain(source_name: str | None, as_json: bool) -> None:
    """Find what landed and process it here, until nothing is left to do.

    Exit code: 0 all files of this drain are committed, 3 some were quarantined or wait for a person (held, or still
    being written), 1 an error of the platform.
    """
    from cli.drain import drain_sources
    from pipeline_assets.registry import SOURCES, get_source

    platform = _platform()
    sources = (get_source(source_name),) if source_name else SOURCES
    sys.exit(drain_sources(platform, sources, as_json=as_json))


@main.command()
@click.option("--source", help="Only this source.")
@click.option("--state", help="Only files in this state.")
@click.option("--key", "key_contains", help="Only keys that contain this text; SOURCE/...: that begin with it.")
@click.option("--batch", "batch_id", help="Only files of this batch.")
@click.option("--limit", default=100, show_default=True, help="The newest so many; 0 for all, and of all keys.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def files(
    source: str | None, state: str | None, key_contains: str | None, batch_id: str | None, limit: int, as_json: bool
) -> None:
    """List files and what became of them."""
    from cli.show import show_files

    show_files(
        _platform().ledger,
        as_json=as_json,
        source=source,
        state=state,
        key_contains=key_contains,
        batch_id=batch_id,
        limit=limit or None,
    )


@main.command()
@click.argument("key_or_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(key_or_id: str, as_json: bool) -> None:
    """Tell what became of a file, why, and what to do. KEY_OR_ID: its key, the end of its key, or its file id."""
    from cli.show import show_story

    sys.exit(show_story(_platform(), key_or_id, as_json=as_json))


@main.command()
@click.argument("query")
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv", "parquet"]), default="table", show_default=True
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
def sql(query: str, form: str, output: Path | None) -> None:
    """Query the tables: `select * from ecg.recordings`, `operations.files`, `operations.quarantine`, ..."""
    from cli.query import print_query

    print_query(_platform(), query, form, output)


@main.command()
@click.argument("what")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), help="Of a source's tables; CSV if not said.")
def export(what: str, output: Path, form: str | None) -> None:
    """Write a table (`ecg.recordings`) or a query to OUTPUT, a .csv or .parquet file.

    A source (`ecg`): every table and aggregate of it, as a file each in the folder OUTPUT, all as of one moment.
    """
    from cli.query import export_source, export_to_file
    from pipeline_assets.registry import SOURCES

    if what in {source.name for source in SOURCES}:
        export_source(_platform(), what, output, form or "csv")
    elif form:
        raise click.UsageError("--format is for a whole source; OUTPUT of a table or query says it with its ending")
    else:
        export_to_file(_platform(), what, output)


@main.command()
@click.argument("namespace")
@click.argument("what", metavar="SOURCE[.TABLE]...", nargs=-1, required=True)
@click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False, exists=True), help="The other's home, if not this one."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(namespace: str, what: tuple[str, ...], home: Path | None, as_json: bool) -> None:
    """Compare tables with those of another NAMESPACE: columns, and rows whatever their order.

    Exit code: 0 all are equal, 3 some differ.
    """
    from cli.compare import compare_namespaces
    from pipeline_assets.registry import get_source

    by_source: dict[str, list[str]] = {}
    for name in what:
        source, _, table = name.partition(".")
        by_source.setdefault(get_source(source).name, []).extend([table] if table else [])
    platform = _platform()
    codes = [
        compare_namespaces(platform, namespace, home, source, tables, as_json=as_json)
        for source, tables in by_source.items()
    ]
    sys.exit(max(codes))


@main.command()
@click.option("--source", "source_name", help="Only this source.")
@click.option("--accept-loss", is_flag=True, help="Build lost tables anew without files that are gone from the store.")
@click.option(
    "--check", "only_check", is_flag=True, help="Change nothing; safe at any moment, also beside running batches."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reconcile(source_name: str | None, accept_loss: bool, only_check: bool, as_json: bool) -> None:
    """Compare landing store, ledger and tables, and mend what differs; `strandline drain` then reads what is missing.

    Exit code: 0 all agree, 3 something was mended or is to be read again. With --check: 0 all agree and every file is
    settled, 3 all agree and some files are not done yet, 1 they differ.
    """
    from cli.check import check_sources
    from cli.reconcile import reconcile_sources
    from pipeline_assets.registry import SOURCES, get_source

    platform = _platform()
    sources = (get_source(source_name),) if source_name else SOURCES
    if only_check:
        if accept_loss:
            raise click.UsageError("--check changes nothing, so --accept-loss says nothing beside it")
        sys.exit(check_sources(platform, sources, as_json=as_json))
    sys.exit(reconcile_sources(platform, sources, accept_loss=accept_loss, as_json=as_json))


@main.command()
@click.option("--source", "source_name", help="Only this source.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def maintain(source_name: str | None, as_json: bool) -> None:
    """Merge small data files, expire old snapshots, delete files of the lake that nothing needs; beside running batches.

    Exit code: 0 done, 3 something was busy and is left for the next time.
    """
    from cli.maintain import maintain_sources
    from pipeline_assets.registry import SOURCES, get_source

    platform = _platform()
    sources = (get_source(source_name),) if source_name else SOURCES
    sys.exit(maintain_sources(platform, sources, as_json=as_json))


@main.command()
@click.option("--days", type=click.IntRange(min=2), help="Keep so many days; default STRANDLINE_DAGSTER_DAYS.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def prune(days: int | None, as_json: bool) -> None:
    """Delete what Dagster keeps of runs that ended long ago, but for what the pages of assets show. The ledger keeps all.

    Exit code: 0 done, 3 there was more to delete than time.
    """
    from cli.prune import prune_dagster
    from pipeline_assets.registry import SOURCES

    settings = _platform().settings
    sys.exit(prune_dagster(settings, SOURCES, days=days or settings.dagster_days, as_json=as_json))


@main.command()
@click.argument("place", metavar="FOLDER|s3://BUCKET/PREFIX")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backup(place: str, as_json: bool) -> None:
    """Copy ledger and lake to a new place, as of one moment, while batches run. docs/operations.md says how to restore."""
    from cli.backup import run_backup

    run_backup(_platform(), place, as_json=as_json)


@main.command()
@click.argument("place", metavar="FOLDER|s3://BUCKET/PREFIX")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def restore(place: str, as_json: bool) -> None:
    """Bring a lake in a bucket back to what a backup holds, after its ledger. docs/operations.md has all steps."""
    from cli.backup import run_restore

    run_restore(_platform(), place, as_json=as_json)


@main.command()
@click.option("--source", "source_name", help="Only this source.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(source_name: str | None, as_json: bool) -> None:
    """Backlog and health at a glance: what waits, how fast it goes, what was refused, what needs a person.

    Exit code: 0 nothing needs a person, 3 something does.
    """
    from cli.status import show_status
    from pipeline_assets.registry import SOURCES, get_source

    platform = _platform()
    sources = (get_source(source_name),) if source_name else SOURCES
    sys.exit(show_status(platform, sources, as_json=as_json))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say what is configured, what answers, what does not, and what to do. Exit code 1 if something is wrong."""
    from cli.doctor import run_doctor

    sys.exit(run_doctor(as_json=as_json))


@main.command()
@click.argument("batch_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def release(batch_id: str, as_json: bool) -> None:
    """Let a held batch go on, past its threshold of refused files."""
    from resources.ledger.batches import release as release_batch

    batch = release_batch(_platform().ledger, batch_id)
    if as_json:
        click.echo(json.dumps({"batch_id": batch.batch_id, "state": batch.state, "files": batch.files}))
    else:
        click.echo(f"batch {batch.batch_id} waits for its next run ({batch.files} files)")


@main.command()
@click.argument("batch_ids", nargs=-1, required=True, metavar="BATCH_ID...")
def redo(batch_ids: tuple[str, ...]) -> None:
    """Let finished or held batches be done again: by the sensor, or by `strandline drain`.

    This also brings back a batch whose partition is not in Dagster any more.
    """
    from resources.ledger.pruning import redo as redo_batch

    for batch_id in batch_ids:
        batch, files = redo_batch(_platform().ledger, batch_id)
        click.echo(f"batch {batch.batch_id} waits for its next run ({files} files); without a sensor: strandline drain")


@main.command()
@click.argument("keys_or_ids", nargs=-1, metavar="[KEY_OR_ID...]")
@click.option("--subject", help="Every file with rows of this subject; needs --source.")
@click.option("--source", "source_name", help="The source whose subject is meant.")
@click.option("--with-others", is_flag=True, help="With --subject: also files that have rows of others.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def forget(
    keys_or_ids: tuple[str, ...],
    subject: str | None,
    source_name: str | None,
    with_others: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Erase files for good, out of tables, quarantine, pictures and history, and never take them in again.

    A key stands for all its versions, a file id for that one. With nothing named: go on with what was interrupted.
    Exit code: 0 nothing is left, 3 the landing store still has a file that a person must delete.
    """
    from cli.forget import forget_files

    if subject is not None and not source_name:
        raise click.UsageError("--subject needs --source: say whose subject is meant")
    code = forget_files(
        _platform(), keys_or_ids, subject=subject, source_name=source_name, with_others=with_others, yes=yes,
        as_json=as_json,
    )  # fmt: skip
    sys.exit(code)


@main.command("new-source")
@click.argument("name")
def new_source(name: str) -> None:
    """Write a new source that reads CSV files, ready to edit: its folder, a test, a page. docs/add-a-source.md explains it."""
    from cli.new_source import write_new_source

    write_new_source(name)


@main.command()
@click.argument("keys_or_ids", nargs=-1, required=True, metavar="KEY_OR_ID...")
@click.option("--reason", default="withdrawn by a person", show_default=True, help="Why; it stands in the quarantine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the ids of the files.")
def withdraw(keys_or_ids: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Take back committed files: their rows go, exactly, and the files wait in the quarantine.

    `strandline quarantine replay` takes one in again; `strandline forget` erases it for good.
    """
    from cli.withdraw import withdraw_files

    withdraw_files(_platform(), keys_or_ids, reason, as_json=as_json)


@main.command()
@click.argument("key_or_id")
@click.option("--by", metavar="KEY", help="Key in the landing store whose next file takes its place.")
@click.option("--cancel", is_flag=True, help="Let it stay after all.")
@click.option("--reason", default="", help="Why; it stands in the quarantine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the id of the file, and the key.")
def replace(key_or_id: str, by: str | None, cancel: bool, reason: str, as_json: bool) -> None:
    """Replace a committed file: its rows go in the transaction that brings those of the file that lands under another key.

    Say so before that file is committed; best before it lands. Until then all stays as it is.
    """
    from cli.replace import replace_file

    if (by is None) != cancel:
        raise click.UsageError("give either --by KEY or --cancel")
    replace_file(_platform(), key_or_id, by, reason, as_json=as_json)


@main.command()
@click.option("--port", default=3000, show_default=True, help="Port of the UI; the next free one if it is taken.")
@click.option("--once", is_flag=True, help="Stop everything after printing the answers.")
def demo(port: int, once: bool) -> None:
    """Start the UI with sensors on, and the rates API; land generated files of every source, and show their rows."""
    from cli.demo import run_demo

    sys.exit(run_demo(_platform(), port, once=once))


@main.command()
@click.option("--ends-with-input", is_flag=True, hidden=True, help="End when standard input does.")
def api(ends_with_input: bool) -> None:
    """Start the HTTP API that answers rates, and takes prices. Its address: STRANDLINE_API_HOST, STRANDLINE_API_PORT."""
    from cli.api import run_api

    sys.exit(run_api(_platform(), ends_with_input=ends_with_input))


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.option("--api/--no-api", "with_api", default=True, help="Start the rates API beside it (the default).")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def dev(with_api: bool, options: tuple[str, ...]) -> None:
    """Start the Dagster UI with the sensors on, and the rates API. OPTIONS go to `dagster dev`, such as `-p 3001`."""
    from cli.dev import run_dagster_dev

    run_dagster_dev(_platform().settings, options, with_api=with_api)


main.add_command(quarantine)
main.add_command(table)
main.add_command(health)
main.add_command(caris)


def run() -> None:
    """The command's entry point."""
    from cli.leave import run_and_leave

    run_and_leave(main)


if __name__ == "__main__":
    run()
