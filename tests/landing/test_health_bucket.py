"""A health archive in a bucket: its annotations are the object's metadata, and it needs no sidecar."""

from __future__ import annotations

from pipeline_assets.health.examples import annotations_for, archive_of, documents
from resources.ledger.queries import list_files
from resources.platform import Platform
from tests.health.front_door import KEPT, counts, look_and_run
from tests.landing.conftest import Bucket
from tests.running import rows_of


def test_annotations_come_with_the_object(bucket: Bucket, bucket_platform: Platform) -> None:
    said = {name: str(value) for name, value in annotations_for("r1", 1).items()}
    bucket.put("health/tides/2026-03-02/r1-raw", archive_of(documents(0, 1, 20)), Metadata=said)
    bucket.put("health/tides/2026-03-02/r2-raw", archive_of(documents(0, 1, 20)))
    report = look_and_run(bucket_platform)
    assert [(one.key, one.refusal.error_class) for one in report.refused] == [
        ("health/tides/2026-03-02/r2-raw", "no_annotations")
    ]
    assert counts(bucket_platform) == KEPT
    query = "SELECT recordid, study, healthcode, appversion FROM health.records"
    assert rows_of(bucket_platform, query) == [("r1", "tides", said["healthcode"], "71")]
    assert len(list_files(bucket_platform.ledger)) == 2
