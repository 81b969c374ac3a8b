"""A branch's own namespace."""

from __future__ import annotations

import hashlib
import re

from deploy.release.errors import ReleaseError

PREFIX = "branch_"
_LONGEST = 31
_HASH = 6


def namespace_of(branch: str) -> str:
    """`branch_<name>`, with what a namespace cannot have replaced, cut, and told apart by a hash of the whole name."""
    if not branch:
        raise ReleaseError("a branch has a name")
    plain = re.sub(r"[^a-z0-9]+", "_", branch.lower()).strip("_")
    name = PREFIX + plain
    if plain == branch and len(name) <= _LONGEST:
        return name
    mark = hashlib.sha256(branch.encode()).hexdigest()[:_HASH]
    return f"{name[: _LONGEST - _HASH - 1].rstrip('_')}_{mark}"


def check_may_be_torn_down(namespace: str) -> None:
    """Raises ReleaseError for all but branches' namespaces: their data go with them."""
    if not namespace.startswith(PREFIX):
        raise ReleaseError(
            f"{namespace} is no branch's namespace (these begin with {PREFIX}), so this does not tear it down. "
            "docs/deploy.md says how a person does."
        )
