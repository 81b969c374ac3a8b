"""`python -m tests.rates.die POINT -- drain`: the `strandline` command, killed by itself at a point of a load."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tests.crash import die_at

_LOADING = "resources.serving.loading"
_COMMIT = "pipeline_assets.batch_commit"
POINTS: dict[str, Callable[[], None]] = {
    # the rows are in and averaged, nothing is committed
    "averaged": lambda: die_at.after(_LOADING, "average_touched"),
    # served; the lake has nothing of it
    "served": lambda: die_at.after(_COMMIT, "_serve_first"),
    # the lake has it, the ledger has not published it
    "tables_committed": lambda: die_at.before(_COMMIT, "publish"),
}

if __name__ == "__main__":
    assert sys.argv[2] == "--", __doc__
    POINTS[sys.argv[1]]()
    from cli.main import main

    main(sys.argv[3:], prog_name="strandline")
