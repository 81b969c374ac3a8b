"""Two namespaces' tables compared: equal whatever files, batches and order; every difference told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets import registry
from pipeline_assets.columns import ColumnInfo
from resources.platform import Platform
from resources.settings import Settings
from tests.conftest import Put, putter
from tests.running import look_and_run
from tests.toy_datasets import MANY, columns_of_dataset, content, table


@pytest.fixture
def branch(platform: Platform, settings: Settings) -> Iterator[Platform]:
    """Another namespace on the same home."""
    made = Platform(settings.model_copy(update={"namespace": "branch"}))
    yield made
    made.close()


@pytest.fixture
def compare(platform: Platform, branch: Platform, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("STRANDLINE_HOME", str(platform.settings.home))
    monkeypatch.setattr(registry.get_source, "__defaults__", ((MANY,),))

    def run(*arguments: str, code: int) -> str:
        platform.close()
        branch.close()
        done = CliRunner().invoke(main, ["compare", *arguments])
        assert done.exit_code == code, (done.output, done.exception)
        return done.output

    return run


def test_equal_rows_are_equal_whatever_batches_they_came_in(
    platform: Platform, branch: Platform, put: Put, compare: Callable[..., str]
) -> None:
    put("many/a", content(walk_0=[1, 2]))
    look_and_run(platform, source=MANY)
    put("many/b", content(walk_0=[2, None], sleep_1=[3]))
    look_and_run(platform, "run-2", MANY)
    look_and_run(branch, "run-3", MANY)
    said = compare("branch", "many", code=0).splitlines()
    assert len(said) == len(MANY.tables)
    assert "many.walk_0: equal, 4 rows" in said
    assert compare("branch", "many.walk_0", "many.sleep_1", code=0).count("equal") == 2


def test_every_difference_is_told(
    platform: Platform, branch: Platform, put: Put, compare: Callable[..., str], tmp_path: Path
) -> None:
    put("many/a", content(walk_0=[1, 1, 2], walk_1=[5]))
    look_and_run(platform, source=MANY)
    more = ColumnInfo("more", pa.string(), True, "", "more", made_from=("file",))
    wider = (*(replace(one, type=pa.string()) if one.name == "at" else one for one in columns_of_dataset("Walk")), more)
    other = replace(
        MANY, derive=derive_wider,
        tables=tuple(table("Walk", 1, wider) if one.name == "walk_1" else one for one in MANY.tables if one.name != "walk_2"),
    )  # fmt: skip
    putter(branch.landing, tmp_path)("many/a", content(walk_0=[1, 2, 7], walk_1=[5]))  # type: ignore[arg-type]
    look_and_run(branch, "run-2", other)
    found = {one["table"]: one for one in json.loads(compare("branch", "many", "--json", code=3))}
    walk = found["many.walk_0"]
    assert (walk["rows"], walk["only"]) == ([3, 3], [2, 2]), "n differs with the place in the file"
    assert found["many.walk_1"]["columns"] == [
        "more only in branch",
        "at is timestamp[us, tz=UTC] in default and string in branch",
    ]
    assert (found["many.walk_1"]["only"], found["many.walk_1"]["equal"]) == ([0, 0], False)
    assert found["many.walk_2"]["columns"] == ["the table is not in branch"]
    said = compare("branch", "many.walk_0", "many.walk_1", code=3)
    assert "many.walk_0: 3 rows in default, 3 in branch\n  2 rows only in default\n    {" in said
    assert "  column more only in branch" in said


def derive_wider(rows: Any, config: object) -> dict[str, Any]:
    made = MANY.derive(rows, config) if MANY.derive else {}
    one = made["walk_1"]
    strings = pa.array([None] * one.num_rows, pa.string())
    columns = {"n": one["n"], "value": one["value"], "at": strings, "more": strings}
    return {**made, "walk_1": pa.table(columns)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("branch", "many.nosuch"), "Neither default nor branch shows many.nosuch. Tables: many.documents, many."),
        (("default", "many"), "default is this deployment itself"),
        (("branch", "nosuch"), "There is no source 'nosuch'"),
    ],
)
def test_what_cannot_be_compared_is_told(
    platform: Platform, put: Put, compare: Callable[..., str], arguments: tuple[str, ...], message: str
) -> None:
    put("many/a", content(walk_0=[1]))
    look_and_run(platform, source=MANY)
    assert message in compare(*arguments, code=2)
    assert "There are no tables in" in compare(
        "branch", "many", "--home", str(platform.settings.home / "landing"), code=2
    )
