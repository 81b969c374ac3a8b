"""`strandline new-source`: write a source that works, ready to edit."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

import click

from cli.notes import note
from pipeline_assets.source import SOURCE_NAME
from resources.errors import UserError
from resources.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
_TEMPLATES = Path(__file__).parent / "templates" / "new_source"
_PLACES = {
    "__init__.py.txt": "pipeline_assets/{name}/__init__.py",
    "schema.py.txt": "pipeline_assets/{name}/schema.py",
    "read.py.txt": "pipeline_assets/{name}/read.py",
    "source.py.txt": "pipeline_assets/{name}/source.py",
    "sample.csv.txt": "tests/{name}/sample.csv",
    "test.py.txt": "tests/{name}/test_{name}.py",
    "page.md.txt": "docs/sources/{name}.md",
}
_REGISTRY = "pipeline_assets/registry.py"
_NAMES = re.compile(r'(NAMES = \[\n(?: {4}"\w+",\n)*)(\])')


def write_new_source(name: str, root: Path = ROOT) -> None:
    """Write the folder, a test, a page, and the registry's line. Nothing is written if the name cannot be taken.

    Raises UserError.
    """
    _check(name, root)
    registry = root / _REGISTRY
    text = registry.read_text()
    line = f'    "{name}",\n'
    added = _NAMES.sub(lambda found: found[1] + line + found[2], text, count=1)
    values = {"name": name, "constant": name.upper(), "title": name.replace("_", " ").capitalize()}
    for template, place in _PLACES.items():
        path = root / place.format(name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template((_TEMPLATES / template).read_text()).substitute(values))
        click.echo(place.format(name=name))
    (root / "tests" / name / "__init__.py").touch()
    if added == text:
        click.echo(f"Add this line to the list NAMES in {_REGISTRY}:\n{line}", nl=False)
        return
    registry.write_text(added)
    click.echo(f"{_REGISTRY}: {line.strip()}")
    note(
        f"it works as it stands: pytest tests/{name}; strandline land {name} tests/{name}/sample.csv && strandline drain"
    )


def _check(name: str, root: Path) -> None:
    if not (root / _REGISTRY).exists() or not (root / "tests").is_dir():
        raise UserError(f"{root} is no checkout of the platform: it has no {_REGISTRY} or no tests. Run this in one.")
    if not re.fullmatch(SOURCE_NAME, name):
        raise UserError(
            f"{name!r} cannot be the name of a source: use lower-case letters, digits and underscores, a letter first, "
            "at most 41. It becomes a folder, a schema in SQL and a part of settings' names."
        )
    if keyword.iskeyword(name) or name in _reserved_in_sql():
        raise UserError(f"{name!r} is a word of Python or SQL, so it cannot be the name of a source. Choose another.")
    taken = [field for field in Settings.model_fields if field == name or field.startswith(f"{name}_")]
    if taken:
        raise UserError(
            f"{name!r} cannot be the name of a source: its settings would look like {PREFIX}{taken[0].upper()}."
        )
    there = [f"pipeline_assets/{name}", f"pipeline_assets/{name}.py", f"tests/{name}", f"docs/sources/{name}.md"]
    for place in there:
        if (root / place).exists():
            raise UserError(
                f"{place} is there already. Choose another name, or edit what is there; nothing was written."
            )


def _reserved_in_sql() -> set[str]:
    import duckdb

    with duckdb.connect() as connection:
        words = connection.execute("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'")
        return {word for (word,) in words.fetchall()} | {"main", "temp", "system", "information_schema", "operations"}
