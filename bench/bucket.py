"""Reading the objects of a bucket that is some milliseconds away: a few asked for ahead, and one after the other."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.measure import Row, say
from pipeline_assets.reading_units import fetched
from resources.landing.s3 import S3Fetcher
from resources.ledger.batches import ClaimedFile
from resources.settings import S3Address

_AWAY_SECONDS = 0.02
"""A round trip to a bucket of the same region, with its first byte."""
_OBJECT = os.urandom(8_000)
_ROUNDS = 3


class _Objects(BaseHTTPRequestHandler):
    """Answers every GET with the same bytes, after the time of the way there and back."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or delayed acknowledgements would add to the way

    def do_GET(self) -> None:
        time.sleep(_AWAY_SECONDS)
        self.send_response(200)
        self.send_header("ETag", '"v"')
        self.send_header("Content-Length", str(len(_OBJECT)))
        self.end_headers()
        self.wfile.write(_OBJECT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Objects)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def compare(folder: Path, objects: int) -> Row:
    """One reader's slice of a bucket, both ways by turns; the medians."""
    with _server() as endpoint:
        ahead = S3Fetcher(S3Address("landing"), endpoint, folder / "spool")
        ways = {"ahead": ahead, "in turn": replace(ahead, at_once=1)}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        _read(ahead, 5)
        for _ in range(_ROUNDS):
            for name, fetcher in ways.items():
                seconds[name].append(_read(fetcher, objects))
    ours, peer = (statistics.median(seconds[name]) for name in ("ahead", "in turn"))
    say(f"  {ahead.at_once} ahead {ours:.2f} s, in turn {peer:.2f} s")
    return Row(
        f"one reader fetches {objects:,} objects of 8 kB from a bucket {_AWAY_SECONDS * 1000:.0f} ms away",
        f"{ahead.at_once} ahead: {ours:.2f} s",
        f"boto3, one after the other: {peer:.2f} s",
        f"{peer / ours:.1f} × faster",
        "none",
        None,
    )


def _read(fetcher: S3Fetcher, objects: int) -> float:
    files = [(ClaimedFile(str(n), f"ecg/{n}", "v", len(_OBJECT)),) for n in range(objects)]
    started = time.perf_counter()
    with closing(fetched(fetcher, files)) as units:
        read = sum(len(contents) for _, contents, _ in units)
    assert read == objects
    return time.perf_counter() - started
