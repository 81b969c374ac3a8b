"""The ledger: every file ever seen and what became of it. The source of truth; Dagster's events are a view of it.

- `tables`: what is stored. `states`: the states of a file and the moves between them. `database`: opening.
- `arrivals`: what discovery writes. `planning`: which files a batch takes. `batches`: claiming, releasing. `publishing`: the end of a batch.
- `queries`: what people ask.
"""

from resources.ledger.database import Ledger
from resources.ledger.states import FileState

__all__ = ["FileState", "Ledger"]
