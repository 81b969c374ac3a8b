"""What a reader process does when a test wants to meet it at work. Apart from `die_at`, so that readers can import it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pipeline_assets.reading import SliceResult, SliceTask, read_slice

BEGUN = "STRANDLINE_TEST_READING_BEGUN"
"""Names a file that a slow reader makes when it begins."""
SECONDS = 60.0


def read_slowly(task: SliceTask) -> SliceResult:
    if marker := os.environ.get(BEGUN):
        Path(marker).touch()
    time.sleep(SECONDS)
    return read_slice(task)
