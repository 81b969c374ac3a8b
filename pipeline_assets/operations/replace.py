"""Saying that a committed file is to be replaced by another, in the transaction that publishes that one. No Dagster here.

Nothing happens to the rows yet: the run that commits the other file takes the old one's rows out with the same snapshots
(`batch_commit`), so that readers see the one or the other, whatever dies in between.
"""

from __future__ import annotations

import uuid

from pipeline_assets.source import FileSource
from pipeline_assets.turns import Say, commit_turn
from resources.ledger.replacing import NotReplaced, note_replacement
from resources.platform import Platform


def replace_by(platform: Platform, source: FileSource, file_id: str, key: str, reason: str, say: Say) -> None:
    """Let the next file that is committed under a key take the place of a committed one. Raises NotReplaced."""
    if source.records is not None or source.groups is not None:
        raise NotReplaced(
            f"Files of {source.name} are read together with others, and a new version replaces them: land that instead."
        )
    if not key.startswith(source.prefix):
        raise NotReplaced(f"{key!r} is no key of {source.name}: expected one that begins with {source.prefix}")
    # No batch commits meanwhile: else one with the new file might just have decided, without knowing of this.
    with commit_turn(platform, source.name, f"replace-{uuid.uuid4().hex[:12]}", say) as (turn, heartbeat):
        heartbeat.stop()
        note_replacement(platform.ledger, turn, file_id, key, reason)
