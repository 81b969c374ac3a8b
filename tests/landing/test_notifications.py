"""What a bucket tells through SQS: every form of it, from a real (imitated) bucket and as AWS writes them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from pipeline_assets.ecg.source import ECG
from resources.landing.s3_client import _region_in
from resources.landing.store import StoreError
from resources.ledger.queries import list_files
from resources.platform import Platform
from sensors.discovery import discover
from sensors.looking import look_for_arrivals
from sensors.notifications import Notice, Received, Unreadable, parse, receive
from tests.landing import servers
from tests.landing.conftest import Bucket, Queue, settings_for
from tests.toy_source import TOY

TEST_EVENT = {
    "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-21T06:00:00.000Z", "Bucket": "b",
    "RequestId": "1", "HostId": "2",
}  # fmt: skip


def record(key: str, bucket: str = "b", event: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": "2026-11-21T06:00:00.000Z",
        "eventName": event,
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "all",
            "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {"key": key, "size": 1, "eTag": "e", "sequencer": "0055AED6DCD90281E5"},
        },
    }


def records(*some: dict[str, Any]) -> str:
    return json.dumps({"Records": list(some)})


def eventbridge(key: str, bucket: str = "b", kind: str = "Object Created") -> str:
    detail = {"version": "0", "bucket": {"name": bucket}, "object": {"key": key, "size": 1, "etag": "e"}}
    return json.dumps({"version": "0", "detail-type": kind, "source": "aws.s3", "region": "eu", "detail": detail})


def sns(message: str) -> str:
    return json.dumps({"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:x", "Message": message})


@pytest.mark.parametrize(
    ("body", "notices", "others"),
    [
        (json.dumps(TEST_EVENT), [], 1),
        (sns(json.dumps(TEST_EVENT)), [], 1),
        (records(record("toy/a+b%2Bc%2520+%C3%A9.csv")), ["toy/a b+c%20 é.csv"], 0),
        (records(record("toy%2Fa")), ["toy/a"], 0),
        (records(record("toy/a"), record("toy/a", event="ObjectCreated:CompleteMultipartUpload")), ["toy/a"] * 2, 0),
        (records(record("toy/a", event="s3:ObjectCreated:Copy")), ["toy/a"], 0),
        (records(record("toy/a", event="ObjectRemoved:Delete"), record("toy/b")), ["toy/b"], 1),
        (records(), [], 0),
        (sns(records(record("toy/a"))), ["toy/a"], 0),
        (eventbridge("toy/a+b%2Fc é"), ["toy/a+b%2Fc é"], 0),
        (sns(eventbridge("toy/a")), ["toy/a"], 0),
        (eventbridge("toy/a", kind="Object Deleted"), [], 1),
    ],
)
def test_forms_of_notifications(body: str, notices: list[str], others: int) -> None:
    assert parse(body) == ([Notice("b", key) for key in notices], others)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "no JSON"),
        ("hello", "no JSON"),
        ("[1]", "no JSON object"),
        ("{}", "neither a notification of S3 nor of EventBridge"),
        ('{"Records": [{"eventSource": "aws:ses"}]}', "without 'eventName'"),
        ('{"Records": [{"eventName": "ObjectCreated:Put", "s3": {}}]}', "without 'bucket'"),
        ('{"Records": "none"}', "a notification without"),
        ('{"source": "aws.s3", "detail-type": "Object Created", "detail": null}', "a notification without"),
        (sns("hello"), "no JSON"),
        (sns(sns(sns(sns("{}")))), "envelopes within envelopes"),
    ],
)
def test_what_is_no_notification_is_said_to_be_none(body: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        parse(body)


def test_the_region_of_a_queue_is_in_its_address() -> None:
    assert _region_in("https://sqs.eu-west-1.amazonaws.com") == "eu-west-1"
    assert _region_in("https://sqs.cn-north-1.amazonaws.com.cn") == "cn-north-1"
    assert _region_in("http://127.0.0.1:4566") is None
    assert _region_in("http://localhost:4566") is None


@pytest.fixture
def bucket(moto_bucket: Bucket) -> Bucket:
    return moto_bucket


@pytest.fixture
def platform(told_platform: Platform) -> Platform:
    return told_platform


def receive_all(platform: Platform, prefixes: dict[str, str] | None = None) -> Received:
    assert platform.queue is not None
    return receive(platform.ledger, platform.landing, platform.queue, prefixes or {"toy": "toy/"}, budget_seconds=10.0)


def tell(bucket: Bucket, queue: Queue) -> None:
    """Let the bucket notify the queue of what lands from now on."""
    found = queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])
    configuration = {"QueueArn": found["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
    bucket.client.put_bucket_notification_configuration(
        Bucket=bucket.name, NotificationConfiguration={"QueueConfigurations": [configuration]}
    )


def test_a_bucket_that_tells_its_queue(platform: Platform, bucket: Bucket, queue: Queue) -> None:
    tell(bucket, queue)
    bucket.put("toy/a b+ü%2F.csv", "1")
    bucket.put("other/b", "1")
    part = bucket.client.create_multipart_upload(Bucket=bucket.name, Key="toy/large")
    of = {"Bucket": bucket.name, "Key": "toy/large", "UploadId": part["UploadId"]}
    etag = bucket.client.upload_part(**of, PartNumber=1, Body=b"large")["ETag"]
    bucket.client.complete_multipart_upload(**of, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert queue.left >= 4, "a test event, two objects, and one in parts"
    received = receive_all(platform)
    assert queue.left == 0
    assert received.unreadable == 0
    assert received.elsewhere >= 2, "the test event, and the object of no source"
    files = list_files(platform.ledger)
    assert sorted(row.key for row in files) == ["toy/a b+ü%2F.csv", "toy/large"]
    assert sorted(received.new_files["toy"]) == sorted(row.file_id for row in files)
    by_listing = discover(platform.ledger, platform.landing, "toy", "toy/", settle_seconds=0, budget_seconds=9)
    assert (by_listing.listed, by_listing.new_files) == (2, [])


def test_a_listing_and_a_notification_name_the_same_file(
    platform: Platform, bucket: Bucket, queue: Queue, tmp_path: Path
) -> None:
    bucket.put("toy/a", "1")
    listing = Platform(settings_for(bucket, tmp_path / "other home"))
    listed = discover(listing.ledger, listing.landing, "toy", "toy/", settle_seconds=0, budget_seconds=9)
    queue.send(records(record("toy/a", bucket.name)))
    assert receive_all(platform).new_files["toy"] == listed.new_files
    listing.close()


def test_repeated_late_and_reordered_notifications_do_no_harm(platform: Platform, bucket: Bucket, queue: Queue) -> None:
    bucket.put("toy/a", "old")
    bucket.put("toy/a", "new")
    for body in (
        records(record("toy/a", bucket.name), record("toy/a", bucket.name)),
        eventbridge("toy/a", bucket.name),
        sns(records(record("toy/a", bucket.name))),
    ):
        queue.send(body)
    receive_all(platform)
    queue.send(records(record("toy/a", bucket.name)))
    assert receive_all(platform).new_files.get("toy", []) == []
    (file,) = list_files(platform.ledger)
    assert file.version == bucket.client.head_object(Bucket=bucket.name, Key="toy/a")["ETag"].strip('"')
    assert queue.left == 0


def test_what_is_not_ours_is_counted_and_deleted(platform: Platform, bucket: Bucket, queue: Queue) -> None:
    bucket.put("toy/folder/", b"")
    for body in (
        json.dumps(TEST_EVENT),
        records(record("toy/a", "another-bucket")),
        records(record("nobody/a", bucket.name)),
        records(record("toy/folder/", bucket.name)),
        records(record("toy/a", bucket.name, event="ObjectRemoved:Delete")),
    ):
        queue.send(body)
    received = receive_all(platform)
    assert (received.messages, received.elsewhere, received.gone, received.unreadable) == (5, 5, 0, 0)
    assert list_files(platform.ledger) == []
    assert queue.left == 0


def test_an_object_that_is_gone_again(platform: Platform, bucket: Bucket, queue: Queue) -> None:
    queue.send(records(record("toy/gone", bucket.name)))
    assert receive_all(platform).gone == 1
    assert list_files(platform.ledger) == []
    assert queue.left == 0


def test_prefixes_of_the_bucket_count(moto: str, bucket: Bucket, queue: Queue, tmp_path: Path) -> None:
    platform = Platform(settings_for(bucket, tmp_path / "home", "in/deep", queue_url=queue.url))
    for key in ("in/deep/toy/a", "toy/b", "in/toy/c"):
        bucket.put(key, "1")
        queue.send(records(record(key, bucket.name)))
    received = receive_all(platform)
    assert received.elsewhere == 2
    assert [row.key for row in list_files(platform.ledger)] == ["toy/a"]
    platform.close()


def test_a_message_that_nobody_understands_stays_for_the_dead_letters(
    platform: Platform, bucket: Bucket, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.put("toy/a", "1")
    queue.send("hello")
    queue.send(records(record("toy/a", bucket.name)))
    with caplog.at_level(logging.WARNING):
        received = receive_all(platform)
    assert received.unreadable == 1
    assert "dead-letter" in received.warning
    assert "no JSON: 'hello'" in caplog.text
    assert queue.left == 1
    assert len(list_files(platform.ledger)) == 1


def _fails(*args: Any, **options: Any) -> Any:
    raise StoreError("does not answer")


@pytest.mark.parametrize(
    ("broken", "entered"),
    [
        ("sensors.notifications.record_arrivals", 0),
        ("resources.landing.s3.S3Store.look", 0),
        ("resources.landing.queue.NotificationQueue.delete", 1),
    ],
)
def test_no_message_is_deleted_before_the_ledger_has_its_file(
    platform: Platform, bucket: Bucket, queue: Queue, monkeypatch: pytest.MonkeyPatch, broken: str, entered: int
) -> None:
    bucket.put("toy/a", "1")
    queue.send(records(record("toy/a", bucket.name)))
    with monkeypatch.context() as patched:
        patched.setattr(broken, _fails)
        with pytest.raises(StoreError):
            receive_all(platform)
    assert queue.left == 1
    assert len(list_files(platform.ledger)) == entered
    queue.wait_until_seen()
    assert receive_all(platform).messages == 1
    assert len(list_files(platform.ledger)) == 1
    assert queue.left == 0


def test_many_messages_in_a_given_time(
    platform: Platform, bucket: Bucket, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensors.notifications._MESSAGES_AT_ONCE", 20)
    for number in range(50):
        bucket.put(f"toy/{number}", str(number))
        queue.send(records(record(f"toy/{number}", bucket.name)))
    assert platform.queue is not None
    first = receive(platform.ledger, platform.landing, platform.queue, {"toy": "toy/"}, budget_seconds=0.0)
    assert 0 < first.messages < 50
    assert first.messages + queue.left == 50
    while receive_all(platform).messages:
        pass
    assert len(list_files(platform.ledger)) == 50


def test_a_look_of_one_source_s_sensor_takes_what_is_for_all(platform: Platform, bucket: Bucket, queue: Queue) -> None:
    for key in ("toy/a", "ecg/b", "nobody/c"):
        bucket.put(key, "1")
        queue.send(records(record(key, bucket.name)))
    found = look_for_arrivals(platform, TOY)
    assert sorted((row.source, row.key) for row in list_files(platform.ledger)) == [("ecg", "ecg/b"), ("toy", "toy/a")]
    assert found.new_files == [row.file_id for row in list_files(platform.ledger, source="toy")]
    assert look_for_arrivals(platform, ECG).new_files == [], "its own sensor has it in the ledger already"


def test_a_queue_that_fails_is_told_and_listing_goes_on_without_rest(bucket: Bucket, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{servers.free_ports(1)[0]}/1/queue"
    platform = Platform(settings_for(bucket, tmp_path / "home", queue_url=url, listing_interval_seconds=900))
    for number in range(2):
        bucket.put(f"toy/{number}", "1")
        found = look_for_arrivals(platform, TOY)
        assert len(found.new_files) == 1
        assert "does not answer" in found.warnings[0]
    platform.close()
