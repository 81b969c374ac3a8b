"""The documents say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline_assets.columns import own_names
from pipeline_assets.registry import SOURCES
from resources.caris_host.config import SECTION, CarisSettings
from resources.settings import Settings

ROOT = Path(__file__).parent.parent


def test_every_setting_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `STRANDLINE_(\w+)` \| ([^|]+) \|", (ROOT / "docs/settings.md").read_text(), re.M))
    caris = {f"{SECTION}_{name}": field for name, field in CarisSettings.model_fields.items()}
    fields = {**Settings.model_fields, **caris}
    assert set(rows) == {name.upper() for name in fields}
    for name, field in fields.items():
        if isinstance(field.default, int | float) and name != "workers":
            assert float(rows[name.upper()]) == field.default, name


def test_every_source_has_a_page_that_names_its_tables_columns_and_settings() -> None:
    for source in SOURCES:
        pages = sorted(ROOT.glob(f"docs/sources/{source.name}*.md"))
        if not pages and len(source.tables) == 1 and not source.config.model_fields:
            continue  # what there is to say of it stands at its columns, in the UI
        page = "\n".join(path.read_text() for path in pages)
        of_products = [table for product in source.products for table in product.tables.items()]
        for table, schema in [*((table.name, table.schema) for table in source.tables), *of_products]:
            assert f"`{source.name}.{table}`" in page
            for column in own_names(schema):
                assert re.search(rf"\b{column}\b", page), column
        for name in source.config.model_fields:
            assert (
                f"STRANDLINE_{source.name.upper()}_{name.upper()}" in page
                or f"..._{name.split('_', 1)[-1].upper()}" in page
                or f"..._{name.upper()}" in page
            ), name


def test_links_between_documents_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for document in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"`?make ([a-z]+)", (ROOT / document).read_text()):
            assert target in targets, f"{document}: make {target}"
