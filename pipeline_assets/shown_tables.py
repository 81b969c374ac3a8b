"""The tables that hold rows of a source's files: those that are declared, and those that were, or that runs opened."""

from __future__ import annotations

from collections.abc import Collection

from pipeline_assets.source import FileSource
from resources.ledger.aggregates import aggregates_known
from resources.platform import Platform


def shown_tables(platform: Platform, source: FileSource, published: Collection[str]) -> dict[str, bool]:
    """By name, whether a file may be without a count of rows in the table. published: the names of tables that readers see.

    A dataset's new version that a run opened (`FileSource.adapt`) and a table that is declared no more hold rows like any other.
    """
    declared = {table.name: table.dataset is not None for table in source.tables}
    others = set(published) - declared.keys()
    if others:
        others -= {aggregate.name for aggregate in source.aggregates} | aggregates_known(platform.ledger, source.name)
    return declared | dict.fromkeys(sorted(others), True)
