"""Threads that ask the same question over and over, and keep what was answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.rates_api.deployment import ask

PAUSE_SECONDS = 0.02


class Answers:
    def __init__(self) -> None:
        self.counted: Counter[tuple[int, str]] = Counter()
        """how often each status and content was answered; status 0 for no answer"""
        self._lock = threading.Lock()

    def note(self, status: int, content: object) -> None:
        with self._lock:
            self.counted[status, repr(content)] += 1

    @property
    def total(self) -> int:
        return sum(self.counted.values())

    @property
    def statuses(self) -> set[int]:
        return {status for status, _ in self.counted}

    @property
    def contents(self) -> set[str]:
        return {content for _, content in self.counted}


@contextmanager
def asked_by(threads: int, url: str) -> Iterator[Answers]:
    """Ask for as long as the context is."""
    answers, ended = Answers(), threading.Event()

    def go_on() -> None:
        while not ended.is_set():
            try:
                answers.note(*ask(url))
            except Exception as error:  # whatever it is, it is no answer
                answers.note(0, error)
            time.sleep(PAUSE_SECONDS)

    started = [threading.Thread(target=go_on) for _ in range(threads)]
    for thread in started:
        thread.start()
    try:
        yield answers
    finally:
        ended.set()
        for thread in started:
            thread.join()
