"""Tables in a bucket of a real S3 server, with AWS Glue (moto's) as their catalog: what batches, readers, aggregates,
maintenance and erasure do there is what they do in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets.aggregate_run import is_behind, update_aggregate
from pipeline_assets.operations.balance import _missing
from pipeline_assets.operations.erasure import forget
from pipeline_assets.operations.maintain import maintain
from pipeline_assets.source import NoConfig
from resources.lake import files
from resources.lake.archive import NoArchives, archives, erase_from_archives
from resources.lake.erasure import kept_marks
from resources.lake.lake import TableName
from resources.lake.sql import run_query
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import list_files
from resources.platform import Platform
from tests.conftest import putter
from tests.erasure.traces import traces
from tests.landing import servers
from tests.landing.conftest import Bucket
from tests.model.stepping import SteppedRun, stepped
from tests.running import independent, look_and_run, next_batch, rows_of, run, toy, visible
from tests.toy_source import BY_VALUE, TOY

READINGS = TableName("toy", "readings")


def land(platform: Platform, tmp_path: Path, name: str, *values: float) -> None:
    putter(platform.landing, tmp_path)(f"toy/{name}", toy(*values))  # type: ignore[arg-type]


def root_of(platform: Platform) -> Path:
    return platform.landing.root  # type: ignore[attr-defined, no-any-return]


def test_batches_are_committed_and_read(lake_platform: Platform, bucket: Bucket, moto: str, tmp_path: Path) -> None:
    land(lake_platform, tmp_path, "one", 1, 2)
    land(lake_platform, tmp_path, "two", 3)
    look_and_run(lake_platform, "run-1")
    land(lake_platform, tmp_path, "one", 4, 5, 6)
    look_and_run(lake_platform, "run-2")
    assert visible(lake_platform) == independent(root_of(lake_platform))
    # What Athena finds: a table in Glue whose metadata are in the bucket.
    database = f"{lake_platform.settings.table_prefix}toy"
    found = servers.client(moto, "glue").get_table(DatabaseName=database, Name="readings")["Table"]
    assert found["Parameters"]["table_type"] == "ICEBERG"
    assert found["Parameters"]["metadata_location"].startswith(
        f"s3://{bucket.name}/the/lake/{database}/readings/metadata/"
    )
    assert [column["Name"] for column in found["StorageDescriptor"]["Columns"]][:2] == ["n", "value"]
    assert all(key.startswith("the/lake/") for key in bucket.content())
    assert not lake_platform.settings.lake_folder.exists()


def test_a_run_that_died_before_it_published_leaves_nothing_to_see(lake_platform: Platform, tmp_path: Path) -> None:
    land(lake_platform, tmp_path, "one", 1)
    look_and_run(lake_platform, "run-1")
    land(lake_platform, tmp_path, "one", 2)
    batch = next_batch(lake_platform)
    with stepped():
        begun = SteppedRun(lambda: run(lake_platform, batch, "run-2"))
        while begun.at != "publishing":
            begun.step()
        begun.kill()
    assert visible(lake_platform) == {"toy/one": [1.0]}
    from resources.ledger import leases

    with lake_platform.ledger.write() as connection:
        leases.forget(connection, leases.batch_lease(batch.batch_id))
        leases.forget(connection, leases.commit_lease("toy"))
    run(lake_platform, batch, "run-3")
    assert visible(lake_platform) == {"toy/one": [2.0]}


def test_aggregates_and_maintenance(lake_platform: Platform, bucket: Bucket, tmp_path: Path) -> None:
    for number in range(5):
        land(lake_platform, tmp_path, f"{number}", number, 7, number / 3)
        look_and_run(lake_platform, f"run-{number}")
    update_aggregate(lake_platform, TOY, BY_VALUE, NoConfig(), "aggregate-1", print)
    assert is_behind(lake_platform, TOY, BY_VALUE, NoConfig()) is None
    before = run_query(lake_platform.lake, lake_platform.ledger, "SELECT * FROM toy.readings ORDER BY ALL")
    done = maintain(lake_platform, TOY, "maintain-1")
    assert (done.files_before, done.files_after) == (10, 2)
    done = maintain(lake_platform, TOY, "maintain-2")
    assert done.deleted >= 10
    assert done.bytes_deleted > 0
    assert run_query(lake_platform.lake, lake_platform.ledger, "SELECT * FROM toy.readings ORDER BY ALL").equals(before)
    counted = "SELECT value, count(*) FROM toy.readings GROUP BY ALL ORDER BY ALL"
    assert rows_of(lake_platform, "SELECT value, readings FROM toy.by_value ORDER BY ALL") == rows_of(
        lake_platform, counted
    )
    data = [key for key in bucket.content() if "/readings/data/" in key]
    published = lake_platform.lake.data_files(READINGS, published_snapshots(lake_platform.ledger, "toy")["readings"])
    assert {f"s3://{bucket.name}/{key}" for key in data} == set(published)
    # A data file that goes is missed.
    bucket.delete(data[0])
    snapshot = published_snapshots(lake_platform.ledger, "toy")["readings"]
    assert _missing(lake_platform, READINGS, snapshot) == [f"s3://{bucket.name}/{data[0]}"]
    assert not lake_platform.lake.is_readable(READINGS, snapshot)


def test_forgotten_rows_are_in_no_object(lake_platform: Platform, bucket: Bucket, tmp_path: Path) -> None:
    secret = 123.456789
    land(lake_platform, tmp_path, "kept", 1)
    land(lake_platform, tmp_path, "secret", secret, 2)
    look_and_run(lake_platform, "run-1")
    update_aggregate(lake_platform, TOY, BY_VALUE, NoConfig(), "aggregate-1", print)
    copy = tmp_path / "copy"

    def found() -> list[str]:
        for key, content in bucket.content().items():
            (copy / key).parent.mkdir(parents=True, exist_ok=True)
            (copy / key).write_bytes(content)
        return traces(copy, [], [secret])

    assert found()
    (doomed,) = [row.file_id for row in list_files(lake_platform.ledger) if row.key == "toy/secret"]
    forget(lake_platform, TOY, [doomed], print, lambda *_: None)
    for path in sorted(copy.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert found() == []
    assert len(kept_marks(lake_platform.lake, "toy")) >= 1
    assert visible(lake_platform) == {"toy/kept": [1.0]}


def test_what_a_lake_in_a_bucket_has_not_is_said(lake_platform: Platform) -> None:
    with pytest.raises(NoArchives, match=r"The lake is in s3://.*strandline export"):
        archives(lake_platform.lake, "toy")
    assert erase_from_archives(lake_platform.lake, "toy", ["x"]) == 0


def test_small_files_and_listings(bucket: Bucket, lake_platform: Platform, tmp_path: Path) -> None:
    """The same on this machine and in a bucket."""
    for root in (f"file://{tmp_path}/some", str(tmp_path / "plain"), f"s3://{bucket.name}/some"):
        assert files.read_small(f"{root}/a/note") is None
        assert list(files.listing(root)) == []
        files.write_small(f"{root}/a/note", b"first")
        files.write_small(f"{root}/a/note", b"second")
        files.write_small(f"{root}/b", b"")
        assert files.read_small(f"{root}/a/note") == b"second"
        listed = {files.local(one.address): one.size_bytes for one in files.listing(root)}
        assert listed == {files.local(f"{root}/a/note"): 6, files.local(f"{root}/b"): 0}
        assert files.missing([f"{root}/a/note", f"{root}/c"]) == [f"{root}/c"]
        assert files.delete([f"{root}/a/note", f"{root}/b"]) == 2
        assert list(files.listing(root)) == []


def test_export_and_sql_by_command(lake_platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    land(lake_platform, tmp_path, "one", 1, 2)
    look_and_run(lake_platform, "run-1")
    settings = lake_platform.settings
    for name, value in {"HOME": settings.home, "NAMESPACE": settings.namespace, "LAKE": settings.lake}.items():
        monkeypatch.setenv(f"STRANDLINE_{name}", str(value))
    done = CliRunner().invoke(main, ["export", "toy.readings", str(tmp_path / "out.csv")])
    assert done.exit_code == 0, done.output
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3
