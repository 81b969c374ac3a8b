"""The SQS queue into which a bucket tells what landed. No message is deleted but by `delete`."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from resources.landing.s3_client import sqs_client, translated

_MESSAGES_A_REQUEST = 10
_WAIT_SECONDS = 1
_REQUESTS_AT_ONCE = 8
"""A request takes some 20 ms there and back, so that one after the other gave 500 messages a second."""


@dataclass(frozen=True)
class Message:
    body: str
    receipt: str
    message_id: str


class NotificationQueue:
    """An SQS queue, opened at first use. Raises StoreError when it does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self._endpoint = f"{parts.scheme}://{parts.netloc}"

    def __repr__(self) -> str:
        return f"NotificationQueue({self.url})"

    def receive(self, most: int, deadline: float) -> list[Message]:
        """Messages that are there now, up to a number and a moment (of `time.monotonic`)."""
        messages = self._ask(_WAIT_SECONDS)
        if not messages:
            return messages
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            while len(messages) < most and time.monotonic() <= deadline:
                requests = min(_REQUESTS_AT_ONCE, -(-(most - len(messages)) // _MESSAGES_A_REQUEST))
                answers = list(pool.map(self._ask, [0] * requests))
                messages += [message for answer in answers for message in answer]
                if not all(answers):
                    break
        return messages

    def _ask(self, wait_seconds: int) -> list[Message]:
        """wait_seconds: more than 0 asks all of the queue's servers, 0 some; not worth it once something is in hand."""
        with translated(f"The queue {self.url}"):
            response = sqs_client(self._endpoint).receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=_MESSAGES_A_REQUEST, WaitTimeSeconds=wait_seconds
            )
        return [Message(one["Body"], one["ReceiptHandle"], one["MessageId"]) for one in response.get("Messages", [])]

    def delete(self, messages: list[Message]) -> None:
        """Delete messages. One that could not be deleted comes again, which does no harm."""
        parts = [messages[at : at + _MESSAGES_A_REQUEST] for at in range(0, len(messages), _MESSAGES_A_REQUEST)]
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            list(pool.map(self._delete_part, parts))

    def _delete_part(self, part: list[Message]) -> None:
        entries = [{"Id": str(number), "ReceiptHandle": one.receipt} for number, one in enumerate(part)]
        with translated(f"The queue {self.url}"):
            sqs_client(self._endpoint).delete_message_batch(QueueUrl=self.url, Entries=entries)
