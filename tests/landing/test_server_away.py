"""A bucket whose server is away: no file is refused, the batch waits, and goes on when the server is back."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline_assets.failures import FailureKind, kind_of
from resources.landing.store import StoreError
from resources.ledger.batches import due, get_batch
from resources.ledger.queries import count_by_state
from resources.platform import Platform
from resources.settings import Settings
from tests.cut_line import line_to
from tests.landing.conftest import Bucket
from tests.running import next_batch, run, toy, visible


def test_a_server_that_is_away_is_tried_again_and_refuses_no_file(moto_bucket: Bucket, tmp_path: Path) -> None:
    server = urlsplit(moto_bucket.endpoint)
    with line_to(lambda: socket.create_connection((server.hostname or "", server.port or 0))) as line:
        settings = Settings(
            home=tmp_path / "home", landing=moto_bucket.address, s3_endpoint=f"http://127.0.0.1:{line.port}",
            workers=2, file_timeout_seconds=5, lease_seconds=10, max_attempts=3,
        )  # fmt: skip
        platform = Platform(settings)
        moto_bucket.put("toy/a", toy(1, 2))
        batch = next_batch(platform)
        line.cut()
        for attempt in (1, 2):
            with pytest.raises(StoreError, match="does not answer") as away:
                run(platform, batch, f"run-{attempt}")
            assert kind_of(away.value) is FailureKind.TRANSIENT
            after = get_batch(platform.ledger, batch.batch_id)
            assert (after.state, after.attempt) == ("planned", attempt)
            assert after.error is not None
            assert "does not answer" in after.error
            assert due(platform.ledger, "toy") == [], "not at once again"
            assert count_by_state(platform.ledger) == {"pending": 1}
        line.mend()
        run(platform, batch, "run-3")
        assert visible(platform) == {"toy/a": [1.0, 2.0]}
        platform.close()
