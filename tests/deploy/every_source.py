"""Lands the generated files of every source, drains them, and prints as JSON what became of each: run in the image and
beside it, it prints the same. `python every_source.py HOME`, with the platform on the path and nothing of the tests."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path


def main(home: Path) -> dict[str, object]:
    """The files' states and error classes, the tables' rows, the products' files."""
    for name in [name for name in os.environ if name.startswith("STRANDLINE_")]:
        del os.environ[name]
    os.environ |= {"STRANDLINE_HOME": str(home), "STRANDLINE_SETTLE_SECONDS": "0", "STRANDLINE_LOG_LEVEL": "ERROR"}

    from cli.drain import drain_sources
    from cli.land import land_files
    from pipeline_assets.registry import SOURCES
    from resources.lake.sql import run_query
    from resources.ledger.queries import list_files
    from resources.platform import Platform
    from resources.settings import Settings

    platform = Platform(Settings.load())
    for source in SOURCES:
        if source.examples is not None:
            folder = home / "examples" / source.name
            folder.mkdir(parents=True)
            source.examples(folder)
            below = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
            land_files(platform.landing, source, below, None, prefix=platform.settings.prefix_of(source.name))
    drain_sources(platform, SOURCES, as_json=True)
    files = {row.key: (str(row.state), row.error_class) for row in list_files(platform.ledger)}
    rows = {}
    for source in SOURCES:
        for table in source.tables:
            name = f"{source.name}.{table.name}"
            rows[name] = run_query(platform.lake, platform.ledger, f"SELECT count(*) FROM {name}").to_pylist()
    products = platform.settings.products_folder
    made = sorted({path.name for path in products.rglob("*") if path.is_file()})
    platform.close()
    return {"files": files, "rows": rows, "products": made}


if __name__ == "__main__":
    # What a drain says of itself is not asked for.
    with contextlib.redirect_stdout(sys.stderr):
        found = main(Path(sys.argv[1]))
    print(json.dumps(found, sort_keys=True))
