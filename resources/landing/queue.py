"""The SQS queue into which a bucket tells what landed. No message is deleted but by `delete`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from resources.landing.s3_client import sqs_client, translated

_MESSAGES_A_REQUEST = 10
_WAIT_SECONDS = 1


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
        messages: list[Message] = []
        while len(messages) < most:
            with translated(f"The queue {self.url}"):
                response = sqs_client(self._endpoint).receive_message(
                    QueueUrl=self.url,
                    MaxNumberOfMessages=_MESSAGES_A_REQUEST,
                    # Asks all of the queue's servers, where 0 asks some; not worth it once something is in hand.
                    WaitTimeSeconds=0 if messages else _WAIT_SECONDS,
                )
            got = response.get("Messages", [])
            messages += [Message(one["Body"], one["ReceiptHandle"], one["MessageId"]) for one in got]
            if not got or time.monotonic() > deadline:
                break
        return messages

    def delete(self, messages: list[Message]) -> None:
        """Delete messages. One that could not be deleted comes again, which does no harm."""
        for begin in range(0, len(messages), _MESSAGES_A_REQUEST):
            part = messages[begin : begin + _MESSAGES_A_REQUEST]
            entries = [{"Id": str(number), "ReceiptHandle": one.receipt} for number, one in enumerate(part)]
            with translated(f"The queue {self.url}"):
                sqs_client(self._endpoint).delete_message_batch(QueueUrl=self.url, Entries=entries)
