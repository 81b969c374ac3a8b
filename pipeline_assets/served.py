"""Whether a source's second store holds what the ledger and the tables say. No Dagster here."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from pipeline_assets.source import FileSource
from pipeline_assets.turns import Say, commit_turn
from resources.ledger.publishing import end_commit_turn
from resources.platform import Platform


def compare_served(
    platform: Platform, source: FileSource, say: Say, *, file_ids: Collection[str] | None = None, mend: bool = False
) -> list[str]:
    """How the second store differs, in words; empty when it does not, or there is none.

    file_ids: only these files; None: all, and all that is made of them. mend: put it right from the tables.
    Nothing is committed meanwhile, so a difference is one.
    """
    if source.serving is None:
        return []
    with commit_turn(platform, source.name, f"compare-{uuid.uuid4().hex[:12]}", say) as (turn, heartbeat):
        found = source.serving.compare(platform, turn, file_ids, mend)
        heartbeat.stop()
        end_commit_turn(platform.ledger, turn)
    return found
