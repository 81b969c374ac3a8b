"""What a failing run says of itself in its tags."""

from __future__ import annotations

import logging

import dagster as dg

from pipeline_assets.failures import kind_of
from resources.logs import OUTSIDE_EVENT_LOG, redact

FAILURE_TAG = "strandline/failure"
"""The kind of failure that ended a run: transient or permanent."""
_NO_RETRY_TAG = "dagster/retry_on_asset_or_op_failure"

_log = logging.getLogger(f"{OUTSIDE_EVENT_LOG}.failures")


def note_kind(context: dg.AssetExecutionContext, error: BaseException) -> None:
    """Tag the run with the kind of its failure, and keep Dagster from retrying it: it looks at no exception, and the
    ledger decides what is tried again, and when."""
    try:
        context.instance.add_run_tags(context.run.run_id, {FAILURE_TAG: kind_of(error).value, _NO_RETRY_TAG: "false"})
    except Exception as second:  # it must not hide the first
        _log.warning("run %s could not be tagged: %s", context.run.run_id, redact(str(second)))
