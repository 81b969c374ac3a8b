"""What a bucket tells of arrivals through SQS. For speed only: listing finds whatever is not told. No Dagster here."""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from resources.landing.queue import Message, NotificationQueue
from resources.landing.s3 import S3Store
from resources.landing.store import LandingStore
from resources.ledger import Ledger
from resources.ledger.arrivals import EACH_ALONE, Delivery, Settled, record_arrivals

_MESSAGES_AT_ONCE = 1000
_DEEPEST_ENVELOPE = 3

_log = logging.getLogger(__name__)


class Unreadable(ValueError):
    """A message that is no notification of a bucket. The message says why."""


@dataclass(frozen=True)
class Notice:
    """An object that landed, as a notification names it."""

    bucket: str
    key: str


@dataclass
class Received:
    """What one emptying of the queue gave."""

    messages: int = 0
    new_files: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """for each source, the ids of files that are new"""
    elsewhere: int = 0
    """records of other buckets, prefixes or sources, and of events that are no arrival"""
    gone: int = 0
    """records of objects that are not there any more"""
    unreadable: int = 0
    """messages left in the queue, for its dead-letter queue"""

    @property
    def warning(self) -> str:
        if not self.unreadable:
            return ""
        return (
            f"{self.unreadable} messages in the queue are no notifications of a bucket. They are left for its dead-letter "
            "queue; the log names them."
        )


def receive(
    ledger: Ledger,
    store: LandingStore,
    queue: NotificationQueue,
    prefixes: Mapping[str, str],
    *,
    budget_seconds: float,
    deliveries: Mapping[str, Delivery] | None = None,
) -> Received:
    """Enter the files that notifications tell of, of every source, into the ledger.

    prefixes: for each source, the folder of its keys.
    deliveries: for each source, what its files mean; each file by itself where nothing is said.

    What is entered is what the bucket says of the object now, so
    late, repeated and reordered notifications do no harm, and a file is the same as when listing finds it. A message
    is deleted only after the ledger has its files; whatever raises before that leaves it in the queue.
    """
    if not isinstance(store, S3Store):
        raise TypeError(f"notifications tell of buckets, not of {store!r}")
    deadline = time.monotonic() + budget_seconds
    received = Received()
    left: set[str] = set()
    while True:
        # One that was left there comes again, at once where the queue hides messages for a moment only.
        messages = [one for one in queue.receive(_MESSAGES_AT_ONCE, deadline) if one.message_id not in left]
        if not messages:
            return received
        received.messages += len(messages)
        understood: list[Message] = []
        keys: dict[str, str] = {}
        for message in messages:
            try:
                notices, others = parse(message.body)
            except Unreadable as reason:
                received.unreadable += 1
                left.add(message.message_id)
                _log.warning("message %s in %r is left there: %s", message.message_id, queue, reason)
                continue
            understood.append(message)
            received.elsewhere += others
            for notice in notices:
                source, key = _source_of(store, prefixes, notice)
                if source is None:
                    received.elsewhere += 1
                else:
                    keys[key] = source
        _enter(ledger, store, keys, received, deliveries or {})
        queue.delete(understood)
        if time.monotonic() > deadline:
            return received


def _source_of(store: S3Store, prefixes: Mapping[str, str], notice: Notice) -> tuple[str | None, str]:
    address = store.address
    if notice.bucket != address.bucket or not notice.key.startswith(address.prefix):
        return None, ""
    key = notice.key.removeprefix(address.prefix)
    return next((source for source, prefix in prefixes.items() if key.startswith(prefix)), None), key


def _enter(
    ledger: Ledger,
    store: S3Store,
    keys: Mapping[str, str],
    received: Received,
    deliveries: Mapping[str, Delivery],
) -> None:
    arrivals: dict[str, list[Settled]] = defaultdict(list)
    for key, look in store.look_at_many(list(keys)).items():
        if look is None:
            received.gone += 1
        elif key.endswith("/") and look.size_bytes == 0:
            received.elsewhere += 1
        else:
            arrivals[keys[key]].append(Settled(look, store.version_of(look)))
    for source, settled in arrivals.items():
        settled.sort(key=lambda one: (one.look.mtime_ns, one.look.key))
        how = deliveries.get(source, EACH_ALONE)
        received.new_files[source] += record_arrivals(ledger, source, store.name, settled, how)


def parse(body: str) -> tuple[list[Notice], int]:
    """The objects that a message tells of, and the number of its records that tell of something else.

    Takes notifications as S3 sends them to SQS, through SNS, and through EventBridge. Raises Unreadable.
    """
    content: Any = body
    for _ in range(_DEEPEST_ENVELOPE):
        content = _from_json(content)
        if content.get("Type") == "Notification" and isinstance(content.get("Message"), str):
            content = content["Message"]  # the envelope of SNS
        else:
            break
    else:
        raise Unreadable("envelopes within envelopes")
    try:
        if "Records" in content:
            return _from_records(content["Records"])
        if content.get("source") == "aws.s3" and "detail" in content:
            return _from_eventbridge(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"a notification without {error}: {body[:200]!r}") from error
    if content.get("Event") == "s3:TestEvent":
        return [], 1
    raise Unreadable(f"neither a notification of S3 nor of EventBridge: {body[:200]!r}")


def _from_json(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"no JSON: {text[:200]!r}") from error
    if not isinstance(content, dict):
        raise Unreadable(f"no JSON object: {text[:200]!r}")
    return content


def _from_records(records: list[dict[str, Any]]) -> tuple[list[Notice], int]:
    notices = [
        Notice(record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"]))
        for record in records
        if record["eventName"].removeprefix("s3:").startswith("ObjectCreated:")
    ]
    return notices, len(records) - len(notices)


def _from_eventbridge(event: dict[str, Any]) -> tuple[list[Notice], int]:
    if event["detail-type"] != "Object Created":
        return [], 1
    detail = event["detail"]
    # Here, unlike in the other form, keys are written as they are.
    return [Notice(detail["bucket"]["name"], detail["object"]["key"])], 0
