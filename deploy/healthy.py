"""Whether the process in this container does its work: `python healthy.py http PORT PATH`, `python healthy.py grpc PORT`.

Ends with 0 if it does. It is asked every half minute on a fraction of a core, so it imports as little as it can.
"""

from __future__ import annotations

import http.client
import sys

SECONDS = 8
"""Below the time-out of the health checks in `roles.py`."""
_SERVICE = b"DagsterApi"
# Messages of https://github.com/grpc/grpc/blob/master/doc/health-checking.md by hand: field 1 is a text in the request
# and an enumeration in the answer, whose 1 is SERVING.
_REQUEST = b"\x0a" + bytes([len(_SERVICE)]) + _SERVICE
_SERVING = b"\x08\x01"


def ask_http(port: int, path: str) -> str | None:
    """What is wrong; None when all is well."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"port {port} does not answer: {error or type(error).__name__}"
    finally:
        connection.close()
    return None if status == 200 else f"port {port} answers {path} with {status}; expected 200"


def ask_grpc(port: int) -> str | None:
    """What is wrong; None when all is well."""
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer = check(_REQUEST, timeout=SECONDS)
        except grpc.RpcError as error:
            return f"port {port} does not answer: {error.code().name}"
    return None if answer == _SERVING else f"the code server on port {port} is not serving"


def main(arguments: list[str]) -> int:
    match arguments:
        case ["http", port, path]:
            wrong = ask_http(int(port), path)
        case ["grpc", port]:
            wrong = ask_grpc(int(port))
        case _:
            print("usage: healthy.py http PORT PATH | healthy.py grpc PORT", file=sys.stderr)
            return 2
    if wrong is not None:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
