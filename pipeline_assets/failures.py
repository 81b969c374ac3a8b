"""What kind of failure ends a run, and so whether trying again can help. No Dagster here.

Three kinds, and what follows from each:

- data: a file is at fault. Reading and deriving code raises `Refused` (or anything, which counts as the reader's fault for
  that file); the file goes to quarantine, and the run does not fail.
- transient: something outside of the code and the files is away, full, or busy. The batch is given back and tried again,
  later and later, until it has had `STRANDLINE_MAX_ATTEMPTS`; then it is held.
- permanent: the same code would fail the same way on the same files. The batch is held at once.

An exception of a type unknown here counts as transient: a batch too many tries costs a few runs, a batch held for a
moment's trouble costs a person.
"""

from __future__ import annotations

import pickle
from enum import StrEnum

from resources.errors import PermanentFailure, TransientFailure


class FailureKind(StrEnum):
    TRANSIENT = "transient"
    PERMANENT = "permanent"


_OF_CODE: tuple[type[BaseException], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    pickle.PicklingError,
)
"""What only a change of the code or the configuration mends."""
_TRANSIENT: tuple[type[BaseException], ...] = (OSError, EOFError, MemoryError, TransientFailure)
_LIBRARIES_TRANSIENT = (
    "pyarrow",
    "pyiceberg",
    "botocore",
    "boto3",
    "urllib3",
    "psycopg",
    "psycopg2",
    "sqlite3",
    "requests",
)
"""Their exceptions tell of what is outside, also where they are ValueErrors: pyarrow's of a file that is cut short."""
_STATEMENTS_AT_FAULT = frozenset(
    {"ProgrammingError", "ArgumentError", "CompileError", "InvalidRequestError", "StatementError"}
)
"""Of SQLAlchemy: the statement is wrong, not the database away."""


def kind_of(error: BaseException) -> FailureKind:
    """What kind of failure an exception is that left a run."""
    if isinstance(error, PermanentFailure):
        return FailureKind.PERMANENT
    if isinstance(error, _TRANSIENT):
        return FailureKind.TRANSIENT
    library = type(error).__module__.partition(".")[0]
    if library == "sqlalchemy":
        is_ours = type(error).__name__ in _STATEMENTS_AT_FAULT
        return FailureKind.PERMANENT if is_ours else FailureKind.TRANSIENT
    if library in _LIBRARIES_TRANSIENT:
        return FailureKind.TRANSIENT
    return FailureKind.PERMANENT if isinstance(error, _OF_CODE) else FailureKind.TRANSIENT


def in_words(error: BaseException, batch_id: str) -> str:
    """What a person reads of why a batch's run failed, and what to do where only a person moves the batch on."""
    if isinstance(error, PermanentFailure):
        return str(error)
    what = f"{type(error).__name__}: {error}"
    if kind_of(error) is FailureKind.TRANSIENT:
        return what
    return (
        f"{what}. The same code would fail again on these files, so the batch is held. Mend the code or the "
        f"configuration, then: strandline redo {batch_id}"
    )
