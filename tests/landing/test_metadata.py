"""What a landing store keeps beside a file comes with its bytes; in a folder it lands as a file of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.land import BadMetadata, land_files, read_metadata
from cli.main import main
from pipeline_assets import registry
from pipeline_assets.landed_file import LandedFile
from pipeline_assets.sidecars import sidecar_of, with_sidecars
from pipeline_assets.source import FileSource, NoConfig, Reader
from resources.landing.folder import FolderStore
from resources.landing.store import BIG_FILE_BYTES, BadKey
from resources.platform import Platform
from tests.conftest import Put
from tests.landing.conftest import Bucket
from tests.running import look_and_run, rows_of, states
from tests.toy_source import TOY, derive, recognise

METADATA = {"recordid": "r1", "place": "Zürich, 東京", "n": "7"}


def read_metadata_of(file: LandedFile, config: NoConfig) -> list[float]:
    """A reading for each name and value that came with the file."""
    beside = file.companions.get(sidecar_of(file.name))
    found = dict(file.metadata) | (json.loads(beside.read_bytes()) if beside else {})
    return [float(len(value)) for _, value in sorted(found.items())]


def source_with_metadata(*, waits: bool) -> FileSource:
    return replace(
        TOY, readers=(Reader("toy_csv", "toy CSV file", recognise, read_metadata_of),), derive=derive, aggregates=(),
        records=with_sidecars(waits=waits, wanted="a toy file"),
    )  # fmt: skip


@pytest.mark.parametrize("size", [5, BIG_FILE_BYTES], ids=["in memory", "as a path"])
def test_a_bucket_gives_metadata_with_the_bytes(bucket: Bucket, tmp_path: Path, size: int) -> None:
    store = bucket.store(tmp_path / "spool")
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert store.put(path, "toy/a", METADATA)
    look = store.look("toy/a")
    assert look is not None
    assert look.version is not None
    got = store.fetcher().fetch_with_metadata("toy/a", look.version, size)
    assert isinstance(got.content, Path) == (size == BIG_FILE_BYTES)
    assert got.metadata == METADATA
    store.fetcher().done(got.content)


def test_the_same_bytes_with_other_metadata_are_put_again(bucket: Bucket, tmp_path: Path) -> None:
    store = bucket.store(tmp_path / "spool")
    path = tmp_path / "file"
    path.write_bytes(b"toy")
    assert store.put(path, "toy/a", METADATA)
    assert not store.put(path, "toy/a", METADATA)
    assert not store.put(path, "toy/a")
    assert store.put(path, "toy/a", {**METADATA, "n": "8"})
    look = store.look("toy/a")
    assert look is not None
    assert store.fetcher().fetch_with_metadata("toy/a", str(look.version), 3).metadata["n"] == "8"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"two words": "x"}, "'two words' of 'toy/a' cannot be kept"),
        ({"n": "a\nb"}, "no control characters"),
        ({"n": "x" * 3000}, "has 3,001 bytes"),
    ],
)
def test_metadata_that_no_bucket_takes_is_refused(
    bucket: Bucket, tmp_path: Path, metadata: dict[str, str], message: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"toy")
    with pytest.raises(BadKey, match=message):
        bucket.store(tmp_path / "spool").put(path, "toy/a", metadata)
    assert bucket.content() == {}


def test_an_archive_in_a_bucket_needs_no_sidecar(bucket: Bucket, bucket_platform: Platform) -> None:
    bucket.put("toy/a", "toy\n", Metadata={"one": "x", "two": "yy"})
    look_and_run(bucket_platform, source=source_with_metadata(waits=False))
    assert rows_of(bucket_platform, "SELECT value FROM toy.readings ORDER BY n") == [(1,), (2,)]


def test_in_a_folder_metadata_lands_before_the_file(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("toy\n")
    (landed,) = land_files(platform.landing, TOY, [path], None, METADATA)
    assert (landed.key, landed.changed) == ("toy/a.csv", True)
    assert isinstance(platform.landing, FolderStore)
    root = platform.landing.root
    assert json.loads((root / "toy/a.csv.metadata.json").read_text()) == METADATA
    (again,) = land_files(platform.landing, TOY, [path], None, METADATA)
    assert not again.changed
    (other,) = land_files(platform.landing, TOY, [path], None, {"n": "8"})
    assert other.changed
    with pytest.raises(BadKey, match="A folder keeps no metadata"):
        platform.landing.put(path, "toy/b", METADATA)


def test_a_file_is_read_with_its_sidecar_whichever_comes_first(platform: Platform, put: Put) -> None:
    source = source_with_metadata(waits=False)
    put("toy/a", "toy\n")
    look_and_run(platform, source=source)
    assert rows_of(platform, "SELECT readings FROM toy.files") == [(0,)]
    put(sidecar_of("toy/a"), '{"n": "xyz"}')
    look_and_run(platform, "run-2", source)
    assert rows_of(platform, "SELECT source_key, readings FROM toy.files") == [("toy/a", 1)]
    put(sidecar_of("toy/b"), '{"n": "x"}')
    put("toy/b", "toy\n")
    look_and_run(platform, "run-3", source)
    assert states(platform) == dict.fromkeys(("toy/a", sidecar_of("toy/a"), "toy/b", sidecar_of("toy/b")), "committed")


def test_a_file_waits_for_its_sidecar_only_where_that_is_wanted(platform: Platform, put: Put) -> None:
    source = source_with_metadata(waits=True)
    put("toy/a", "toy\n")
    with pytest.raises(AssertionError, match="nothing to do"):
        look_and_run(platform, source=source)
    assert states(platform) == {"toy/a": "waiting"}
    put(sidecar_of("toy/a"), '{"n": "x"}')
    look_and_run(platform, source=source)
    assert rows_of(platform, "SELECT readings FROM toy.files") == [(1,)]


def test_the_command_takes_pairs_and_a_file(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_HOME", str(platform.settings.home))
    monkeypatch.setattr(registry.get_source, "__defaults__", ((TOY,),))
    (tmp_path / "a.csv").write_text("toy\n")
    (tmp_path / "given.json").write_text('{"recordid": "r1", "n": 7}')
    options: list[Any] = ["--metadata-file", str(tmp_path / "given.json"), "--metadata", "place=here=there"]
    done = CliRunner().invoke(main, ["land", "toy", str(tmp_path / "a.csv"), *options])
    assert done.exit_code == 0, done.output
    sidecar = platform.settings.home / "landing/toy/a.csv.metadata.json"
    assert json.loads(sidecar.read_text()) == {"recordid": "r1", "n": "7", "place": "here=there"}


@pytest.mark.parametrize(
    ("pair", "content", "message"),
    [
        ("no value", None, "expected NAME=VALUE"),
        ("=x", None, "expected NAME=VALUE"),
        (None, "[1]", "expected a JSON object"),
        (None, '{"a": {"b": 1}}', "expected a JSON object"),
        (None, "{", "is no JSON"),
        (None, b"\xff", "is no JSON in UTF-8"),
    ],
)
def test_what_is_no_metadata_is_told(
    tmp_path: Path, pair: str | None, content: str | bytes | None, message: str
) -> None:
    file = None
    if content is not None:
        file = tmp_path / "given.json"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadMetadata, match=message):
        read_metadata([pair] if pair else [], file)
    assert read_metadata([], None) is None
