"""Log lines of every process of the platform: what they look like, what they know, what they must not say.

Code logs with the standard library (`logging.getLogger(__name__)`); what it works on is bound once (`bound`) and stands
in every line from there on. Nothing but the standard library is imported here: reader processes and definitions load fast.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

if TYPE_CHECKING:
    from resources.settings import Settings

FIELDS = ("source", "batch", "file", "run")
"""What a line says it is about, where that is known. `file` is the key in the landing store."""

OUTSIDE_EVENT_LOG = "strandline"
"""Loggers below this name do not reach the event log of a Dagster run. There each line costs as much as an event, and raises
when the event log cannot be written, which must neither end a heartbeat nor hide why a run fails."""

_PROJECT = frozenset({"pipeline_assets", "rates_api", "resources", "sensors", "cli", OUTSIDE_EVENT_LOG})
_HIDDEN = "***"
_SHORTEST_SECRET = 4
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_USER_IN_ADDRESS = re.compile(r"(?<=://)[^\s/@'\"]*:[^\s'\"]*@")
_NAMED_SECRET = re.compile(r"(?i)\b((?:password|passwd|pwd|secret|token)\s*[=:]\s*)[^\s&;,'\"]+")
_DAGSTER = "dagster_meta"
"""The attribute by which Dagster marks records that went through a run's or a sensor's log."""
_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {
    "message", "asctime", "taskName", _DAGSTER, "dagster_event", "dagster_event_batch_metadata",
}  # fmt: skip

_context: ContextVar[Mapping[str, str]] = ContextVar("strandline_log_context", default={})  # noqa: B039  never changed


@dataclass(frozen=True)
class LogSetup:
    """How this process logs, and what a process that it starts needs to log alike."""

    level: int
    is_json: bool
    secrets: tuple[str, ...] = field(repr=False)
    is_service: bool = False
    context: Mapping[str, str] = field(default_factory=dict)


_setup: LogSetup | None = None


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Say in every log line of this block what it is about: ``bound(source="ecg", batch=batch_id)``."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def configure_logs(settings: Settings, *, is_service: bool = False) -> None:
    """Send the process's log lines to its standard error, as the settings say.

    is_service: for a process of Dagster's, whose lines machines collect: `auto` is then JSON unless a terminal reads it,
    and what Dagster prints of a run's log by itself is not printed twice. For a command that a person typed `auto` is text.
    """
    is_json = settings.log_format == "json"
    if settings.log_format == "auto":
        is_json = is_service and not sys.stderr.isatty()
    _apply(LogSetup(logging.getLevelNamesMapping()[settings.log_level], is_json, _secrets(settings), is_service))


def configure_service_logs(settings: Settings) -> None:
    """`configure_logs` for a process that loads the definitions, unless it is one of ours, which logs already."""
    if _setup is None:
        configure_logs(settings, is_service=True)


def handed_down() -> LogSetup | None:
    """What a process started from here needs for `adopt`; None where logs are not configured."""
    if _setup is None:
        return None
    return LogSetup(_setup.level, _setup.is_json, _setup.secrets, False, dict(_context.get()))


def adopt(setup: LogSetup | None) -> None:
    """Log as the process does that started this one, about the same things."""
    if setup is not None:
        _apply(setup)


def is_json() -> bool:
    """Whether this process logs JSON."""
    return _setup is not None and _setup.is_json


def redact(text: str) -> str:
    """The text without passwords: those of the settings, and whatever looks like one in an address."""
    for secret in _setup.secrets if _setup else ():
        text = text.replace(secret, _HIDDEN)
    return _NAMED_SECRET.sub(rf"\1{_HIDDEN}", _USER_IN_ADDRESS.sub(f"{_HIDDEN}@", text))


def _apply(setup: LogSetup) -> None:
    global _setup
    _setup = setup
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Stderr)]:
        root.removeHandler(old)
    handler = _Stderr()
    handler.addFilter(_is_ours_to_print)
    handler.setFormatter(JsonLines() if setup.is_json else TextLines())
    root.addHandler(handler)
    for name in _PROJECT:
        logging.getLogger(name).setLevel(setup.level)
    logging.setLogRecordFactory(_CleanRecord)
    logging.setLoggerClass(_MaybeOfDagster)
    logging.captureWarnings(setup.is_json)
    sys.excepthook = _log_uncaught


def _secrets(settings: Settings) -> tuple[str, ...]:
    found = {os.environ.get(name, "") for name in _SECRET_VARIABLES}
    for token in (settings.slack_token, settings.api_token):
        if token is not None:
            found.add(token.get_secret_value())
    for url in (settings.ledger_url, settings.serving_url, settings.serving_reader_url):
        if url is None:
            continue
        address = url.get_secret_value()
        parts = urlsplit(address)
        _user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        found |= {address, password} | {value for name, value in parse_qsl(parts.query) if "pass" in name}
    found |= {unquote(text) for text in found} | {quote(text, safe="") for text in found}
    # Shorter ones would blank out half of every line; in an address they are found by its form.
    return tuple(sorted((text for text in found if len(text) >= _SHORTEST_SECRET), key=len, reverse=True))


class _CleanRecord(logging.LogRecord):
    """A record that says no secrets to whoever asks for its message, Dagster's event log included."""

    def getMessage(self) -> str:
        return redact(super().getMessage())


class _Stderr(logging.Handler):
    """Writes to whatever standard error is at the time: a progress bar, a run's capture and tests put theirs there."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


def _is_ours_to_print(record: logging.LogRecord) -> bool:
    top = record.name.partition(".")[0]
    if top not in _PROJECT and record.levelno < logging.WARNING:
        return False
    if _setup is not None and _setup.is_service:
        # Dagster prints its own lines, and those of ours that it takes into a run's log.
        return not hasattr(record, _DAGSTER) and not (top == "dagster" and logging.getLogger(top).handlers)
    return True


class _MaybeOfDagster(logging.Logger):
    """A logger. Dagster makes the console loggers of runs and sensors of the class that `logging` names, and gives them
    a handler with a text format of its own, which no setting of Dagster's changes for runs started by Materialize."""

    def addHandler(self, hdlr: logging.Handler) -> None:
        super().addHandler(hdlr)
        is_console = self.name == "dagster" and self.parent is None and isinstance(hdlr, logging.StreamHandler)
        if is_console and _setup is not None and _setup.is_json:
            hdlr.setFormatter(JsonLines())
            hdlr.setLevel(max(hdlr.level, _setup.level))


def _about(record: logging.LogRecord) -> dict[str, Any]:
    """Source, batch, file and run of a record, as far as anything tells."""
    told: dict[str, Any] = dict(_setup.context) if _setup else {}
    meta = getattr(record, _DAGSTER, None)
    if isinstance(meta, Mapping):
        tags = meta.get("job_tags") or {}
        told |= {
            "source": tags.get("strandline/source"), "batch": tags.get("dagster/partition"), "run": meta.get("run_id"),
        }  # fmt: skip
    told |= _context.get()
    told |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
    return {name: told[name] for name in FIELDS if told.get(name)}


def _exception_of(record: logging.LogRecord) -> str:
    if record.exc_info and record.exc_info[0] is not None:
        return "".join(traceback.format_exception(*record.exc_info)).rstrip()
    meta = getattr(record, _DAGSTER, None)
    event = meta.get("dagster_event") if isinstance(meta, Mapping) else None
    error = getattr(getattr(event, "event_specific_data", None), "error", None)
    return str(error.to_string()).rstrip() if error is not None else ""


def _message_of(record: logging.LogRecord) -> str:
    meta = getattr(record, _DAGSTER, None)
    original = meta.get("orig_message") if isinstance(meta, Mapping) else None
    return redact(str(original)) if original else record.getMessage()


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, what it is about, and what else the call gave."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _message_of(record),
            **_about(record),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES | line.keys()}
        exception = _exception_of(record)
        if exception:
            line["exception"] = exception
        return json.dumps(_clean(line), ensure_ascii=False, default=_cleaned_text)


class TextLines(logging.Formatter):
    """Time, level, message, and what it is about where the message does not say it."""

    def format(self, record: logging.LogRecord) -> str:
        message = _message_of(record)
        about = {name: str(value) for name, value in _about(record).items() if name != "run"}
        unsaid = " ".join(f"{name}={value}" for name, value in about.items() if value not in message)
        line = f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {record.levelname:<7} {message}"
        line += f" ({unsaid})" if unsaid else ""
        exception = _exception_of(record)
        return redact(line + (f"\n{exception}" if exception else ""))


def _utc(seconds: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1000):03d}Z"


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {str(name): _clean(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(one) for one in value]
    return value


def _cleaned_text(value: Any) -> str:
    return redact(str(value))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("cli").critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))
