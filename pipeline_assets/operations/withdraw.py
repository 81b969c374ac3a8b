"""Taking back files that were committed: out of the second store and the tables, into the quarantine. No Dagster here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from pipeline_assets.operations.erasure import without_files
from pipeline_assets.source import FileSource
from pipeline_assets.turns import Say, commit_turn
from resources.errors import UserError
from resources.ledger.publishing import published_snapshots
from resources.ledger.withdrawing import committed_among, publish_withdrawal
from resources.platform import Platform


class NotWithdrawn(UserError):
    """The files cannot be taken back. The message says why and what to do; nothing was changed."""


def withdraw(platform: Platform, source: FileSource, file_ids: Sequence[str], reason: str, say: Say) -> list[str]:
    """Take back files of one source, all of them or none. The ids of the files, in order.

    Killed in between, it is done again by the same command; until then the second store is without the rows, and
    `strandline reconcile` would serve them anew. Raises NotWithdrawn.
    """
    if source.records is not None or source.groups is not None:
        raise NotWithdrawn(
            f"Files of {source.name} are read together with others, and a new version replaces them: land that instead."
        )
    ids = sorted(set(file_ids))
    owner = f"withdraw-{uuid.uuid4().hex[:12]}"
    with commit_turn(platform, source.name, owner, say) as (turn, heartbeat):
        missing = sorted(set(ids) - committed_among(platform.ledger, ids))
        if missing:
            raise NotWithdrawn(
                f"{', '.join(missing)} is not committed, so it has no rows to take back. See: strandline explain {missing[0]}"
            )
        if source.serving is not None:
            source.serving.withdraw(platform, turn, ids)
        base = published_snapshots(platform.ledger, source.name)
        snapshots = without_files(platform, source, base, set(ids), owner)
        heartbeat.stop()
        publish_withdrawal(platform.ledger, turn, ids, snapshots, source.name, reason)
    return ids
