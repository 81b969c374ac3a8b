"""Servers that answer at the wire as S3 and SQS do, from arithmetic, so that what is measured is not they:
``python -m bench.wire PORT KEYS MESSAGES``. Object n of the bucket `landing` is readings/<n>.csv; message n tells of it."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote_plus, unquote, urlsplit

BUCKET = "landing"
_PAGE = 1000
_TIME = "2026-01-01T00:00:00.000Z"


def key_of(number: int) -> str:
    return f"readings/{number // 10_000:04d}/{number:09d}.csv"


def number_after(key: str) -> int:
    """Number of the first key behind a text that begins like one."""
    digits = key.rpartition("/")[2].removesuffix(".csv").removesuffix(".cs").removesuffix(".c").removesuffix(".")
    if not digits.isdigit():
        return 0
    exact = len(digits) == 9 and key.endswith(".csv")
    return int(digits.ljust(9, "0")) + exact


def notification(number: int) -> str:
    thing = {
        "key": quote_plus(key_of(number), safe="/"),
        "size": 100,
        "eTag": f"{number:032x}",
        "sequencer": f"{number:016X}",
    }
    return json.dumps(
        {
            "Records": [
                {
                    "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1", "eventTime": _TIME,
                    "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": BUCKET}, "object": thing},
                }
            ]
        }
    )  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or delayed acknowledgements would add to the way
    keys = 0
    messages = 0
    given = itertools.count()
    lock = threading.Lock()

    def do_GET(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        begin = number_after(asked.get("start-after", ""))
        end = min(begin + _PAGE, self.keys)
        found = "".join(
            f"<Contents><Key>{key_of(n)}</Key><LastModified>{_TIME}</LastModified><ETag>&quot;{n:032x}&quot;</ETag>"
            "<Size>100</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for n in range(begin, end)
        )
        self._answer(
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><MaxKeys>{_PAGE}</MaxKeys><IsTruncated>{str(end < self.keys).lower()}</IsTruncated>"
            f"<KeyCount>{end - begin}</KeyCount>{found}</ListBucketResult>",
            "application/xml",
        )

    def do_HEAD(self) -> None:
        number = int(unquote(self.path).rpartition("/")[2].removesuffix(".csv"))
        self.send_response(200)
        self.send_header("ETag", f'"{number:032x}"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Content-Length", "100")
        self.end_headers()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["X-Amz-Target"].endswith("ReceiveMessage"):
            with self.lock:
                numbers = list(itertools.islice(self.given, body["MaxNumberOfMessages"]))
            messages = [
                {"MessageId": str(n), "ReceiptHandle": str(n), "MD5OfBody": "", "Body": notification(n)}
                for n in numbers
                if n < self.messages
            ]
            self._answer(json.dumps({"Messages": messages} if messages else {}), "application/x-amz-json-1.0")
        else:
            done = [{"Id": entry["Id"]} for entry in body["Entries"]]
            self._answer(json.dumps({"Successful": done, "Failed": []}), "application/x-amz-json-1.0")

    def _answer(self, text: str, kind: str) -> None:
        content = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    _Handler.keys, _Handler.messages = int(sys.argv[2]), int(sys.argv[3])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()
