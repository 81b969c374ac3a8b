"""What an exporter tells of health records whose keys do not begin with the source's name, through the real consumer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline_assets.batch_run import run_batch
from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.examples import annotations_for, archive_of, documents
from pipeline_assets.health.source import HEALTH
from resources.ledger.queries import list_files
from resources.platform import Platform
from resources.settings import S3Address, Settings
from sensors.looking import look_for_arrivals
from tests.landing import servers
from tests.landing.conftest import Bucket, Queue
from tests.running import Silent, next_batch, rows_of

DATA = Path(os.environ.get("STRANDLINE_TEST_DATA", "/nowhere")) / "health/events"
NAME = "org-sagebridge-rawhealthdata-prod"


def made_up() -> list[dict[str, Any]]:
    """Events as the exporter writes them, of three records."""
    events = []
    for number in range(3):
        key = f"mobile-toolbox/2022-02-{14 + number}/made-up-{number}-a4d18e77"
        place = {"s3Bucket": NAME, "s3Key": key, "fileEntityId": f"syn{number}"}
        copy = {"s3Bucket": "dummy-bucket", "s3Key": "dummy-key"}
        told = {"appId": "app-1", "recordId": f"made-up-{number}", "record": place, "studyRecords": {"study-1": copy}}
        events.append({"body": json.dumps({"Type": "Notification", "Message": json.dumps(told)})})
    return events


def real() -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads((DATA / "records.json").read_text())["Records"]
    assert len(events) == 106
    return events


@pytest.fixture
def bucket(moto: str) -> Iterator[Bucket]:
    made = Bucket(moto, NAME, servers.client(moto))
    made.client.create_bucket(Bucket=NAME)
    yield made
    for key in made.content():
        made.delete(key)
    made.client.delete_bucket(Bucket=NAME)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(made_up, id="made up"),
        pytest.param(
            real,
            id="real",
            marks=pytest.mark.skipif(not DATA.is_dir(), reason="STRANDLINE_TEST_DATA has no folder `health/events`"),
        ),
    ],
)
def test_records_are_taken_from_the_folder_that_is_set(
    bucket: Bucket, queue: Queue, tmp_path: Path, events: Any
) -> None:
    settings = Settings(
        home=tmp_path / "home", landing=S3Address(NAME), s3_endpoint=bucket.endpoint, queue_url=queue.url, workers=1,
        listing_interval_seconds=900, folders={"health": "mobile-toolbox"},
    )  # fmt: skip
    platform = Platform(settings)
    try:
        look_for_arrivals(platform, HEALTH)  # the listing's turn, before anything is there
        told = [json.loads(json.loads(event["body"])["Message"]) for event in events()]
        for number, one in enumerate(told):
            said = {name: str(value) for name, value in annotations_for(one["recordId"], number).items()}
            bucket.put(one["record"]["s3Key"], archive_of(documents(0, number, 3)), Metadata=said)
        bucket.put("health/not-here.zip", b"PK")
        for event in events():
            queue.send(event["body"])
        batch = next_batch(platform, HEALTH)
        assert queue.left == 0
        assert {row.key for row in list_files(platform.ledger)} == {one["record"]["s3Key"] for one in told}
        config = HealthConfig(study_pattern=r"(?P<study>[^/]+)/.+")
        report = run_batch(platform, HEALTH, config, batch.batch_id, "run-1", Silent(), hold_when_stopped=lambda: True)
        assert (report.committed, report.refused) == (len(told), ())
        found = rows_of(platform, "SELECT recordid, study FROM health.records")
        assert sorted(found) == sorted((one["recordId"], "mobile-toolbox") for one in told)
    finally:
        platform.close()
