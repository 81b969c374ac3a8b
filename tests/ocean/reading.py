"""Ways to read bytes as the platform does, and to look at what came of them."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline_assets.columns import to_table
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.derive import tables
from pipeline_assets.ocean.read.cruise_file import CruiseFile, Parameter
from pipeline_assets.ocean.source import OCEAN
from pipeline_assets.reading_units import parse
from pipeline_assets.validation import violations
from tests.ocean.conftest import CONFIG

FILL = {"file_id": "f", "batch_id": "b", "source_key": "k"}


def read(content: bytes | str, config: OceanConfig = CONFIG, *, key: str = "ocean/C/file.dat") -> CruiseFile:
    """A file's content through whatever reader recognises it; a text in ASCII or ISO-8859-1."""
    data = content.encode("latin-1") if isinstance(content, str) else content
    found = parse(OCEAN, config, LandedFile(key, data=data))
    assert isinstance(found, CruiseFile)
    return found


def refusal(content: bytes | str, config: OceanConfig = CONFIG) -> Refused:
    with pytest.raises(Refused) as caught:
        read(content, config)
    assert len(caught.value.message) > 20
    return caught.value


def rows_of(file: CruiseFile, config: OceanConfig = CONFIG, *but: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table, which keep its schema; of those in `but` only that."""
    rows = tables(file, config)
    made = {}
    for table in OCEAN.tables:
        whole = to_table(table.schema, rows[table.name], FILL)
        assert not violations(table.schema, whole, [whole.num_rows], ["file_id", "batch_id"]), table.name
        made[table.name] = [] if table.name in but else whole.to_pylist()
    return made


def column(file: CruiseFile, name: str) -> Parameter:
    (found,) = (one for one in file.parameters if one.name == name)
    return found


def codes(file: CruiseFile) -> dict[str, int]:
    """How often each finding was made, by its code."""
    found: dict[str, int] = {}
    for one in file.findings:
        found[one.code] = found.get(one.code, 0) + one.count
    return found
