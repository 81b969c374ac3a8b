"""Imported by the fork server after the modules of a source: builds the schemas that they define, once for all reader processes.

Pandera makes a schema of a model at its first use, some milliseconds each, which would be every reader's first file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pandera.pandas import DataFrameModel

from pipeline_assets.columns import arrow_schema


def _models(base: type[DataFrameModel]) -> Iterator[type[DataFrameModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


for _model in _models(DataFrameModel):
    # One that cannot be built is no table's, or says so where it is used.
    with suppress(Exception):
        arrow_schema(_model)
