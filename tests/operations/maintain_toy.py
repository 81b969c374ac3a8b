"""Maintenance or a backup of the toy source as a process of its own, killed at a point:
``python -m tests.operations.maintain_toy POINT maintain``."""

from __future__ import annotations

import sys

from tests.crash.die_at import NOWHERE, after, before

MAINTAIN = "pipeline_assets.operations.maintain"
TABLES = "resources.lake.maintenance"
POINTS = {
    NOWHERE: lambda: None,
    # merged files are written, nothing refers to them
    "after_merge": lambda: after(TABLES, "merge", call=2),
    # manifests are written, the catalog does not know them
    "in_commit": lambda: before("pyiceberg.catalog.sql:SqlCatalog", "commit_table"),
    # one table of two shows merged files
    "between_tables": lambda: after(TABLES, "replace_files"),
    # both do, the ledger has not published them
    "before_publish": lambda: before(MAINTAIN, "publish_same_rows"),
    # in the ledger's transaction
    "in_publish": lambda: before("resources.ledger.leases", "drop"),
    "after_publish": lambda: after(MAINTAIN, "publish_same_rows"),
    "after_expiry": lambda: after(TABLES, "expire"),
    "before_deleting": lambda: after(TABLES, "pick_orphans"),
}

if __name__ == "__main__":
    from tests import toy_cli  # noqa: F401  # the registry has the toy source alone

    POINTS[sys.argv[1]]()
    from cli.main import main

    main(sys.argv[2:], prog_name="strandline")
