"""A second store of a source's rows, for readers who cannot wait for SQL over the lake, such as an API. No Dagster here.

It commits before the lake does, in the same turn: a run that dies in between is done again, and the second store takes
a file's rows anew, as often as it gets them. So what the ledger says is what both come to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from resources.ledger.batches import Claim
    from resources.ledger.leases import Lease
    from resources.ledger.publishing import Refusal
    from resources.platform import Platform


class Load(Protocol):
    """One transaction of the second store. It commits when its context ends, and not when that ends by an exception."""

    def stage(self, data_files: Mapping[str, Sequence[str]]) -> Mapping[str, Refusal]:
        """Take the rows of data files aside, by table, and check them; why files are refused, by id."""
        ...

    def commit(self, keep: Collection[str], remove: Collection[str]) -> None:
        """Show the staged rows of the files in `keep`, and none of those in `remove`. A file's earlier rows go."""
        ...


@dataclass(frozen=True)
class Serving:
    """How a source's rows get into its second store, and out.

    load: a transaction for a batch, from its claim, the turn to commit and the source's configuration.
    withdraw: takes out all rows of some files, under a turn to commit.
    compare: how the second store differs from the ledger and the published tables, in words: of some files, or of all and
             all that is made of them; with `mend` it then puts that right from the tables. Under a turn to commit.
    """

    load: Callable[[Platform, Claim, Lease, Any], AbstractContextManager[Load]]
    withdraw: Callable[[Platform, Lease, Collection[str]], None]
    compare: Callable[[Platform, Lease, Collection[str] | None, bool], list[str]]
