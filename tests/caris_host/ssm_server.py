"""Systems Manager as far as the platform asks it, at the wire: it has jobs done by the pretended Windows, and puts their
output into a bucket. A command that it just took it does not know for a moment, as the real one does."""

from __future__ import annotations

import json
import re
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from resources.caris_host.shells import RUNNER_PS1
from tests.caris_host.windows_host import Windows

INSTANCE = "i-0123456789abcdef0"
_LONGEST_OUTPUT = 24_000


@dataclass
class Command:
    sent: dict[str, Any]
    asked: int = 0
    status: str = "InProgress"
    code: int = -1
    output: list[str] = field(default_factory=list)
    is_killed: threading.Event = field(default_factory=threading.Event)


class SsmServer:
    """s3: a boto3 client of the bucket's server. ping: what the instance's agent is; platform: what it runs."""

    def __init__(self, root: Path, s3: Any) -> None:
        self.s3 = s3
        self.windows = Windows(root, self._fetch, self._store)
        self.commands: dict[str, Command] = {}
        self.cancelled: list[str] = []
        self.ping: list[str] = []
        self.platform = "Windows"
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> SsmServer:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = server.answer(self.headers["X-Amz-Target"].rpartition(".")[2], asked)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._http.server_port}"
        self._serving = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._serving.start()
        return self

    def __exit__(self, *_: object) -> None:
        for command in self.commands.values():
            command.is_killed.set()
        for thread in self._threads:
            thread.join(30)
        self._http.shutdown()
        self._http.server_close()

    def answer(self, action: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        match action:
            case "DescribeInstanceInformation":
                state = self.ping.pop(0) if self.ping else "Online"
                about = {"InstanceId": INSTANCE, "PingStatus": state, "PlatformType": self.platform}
                return 200, {"InstanceInformationList": [about]}
            case "SendCommand":
                return 200, {"Command": {"CommandId": self._begin(asked)}}
            case "CancelCommand":
                # The agent ends PowerShell, and leaves alone what that started.
                self.cancelled.append(asked["CommandId"])
                command = self.commands[asked["CommandId"]]
                command.is_killed.set()
                command.status = "Cancelled"
                return 200, {}
            case "GetCommandInvocation":
                command = self.commands[asked["CommandId"]]
                command.asked += 1
                if command.asked == 1:
                    return 400, {"__type": "InvocationDoesNotExist", "message": "so soon"}
                is_done = command.status != "InProgress"
                output = "".join(f"{line}\n" for line in command.output) if is_done else ""
                return 200, {
                    "Status": command.status, "StatusDetails": command.status, "ResponseCode": command.code,
                    "StandardOutputContent": output[:_LONGEST_OUTPUT], "StandardErrorContent": "",
                }  # fmt: skip
        raise AssertionError(action)

    def _begin(self, asked: dict[str, Any]) -> str:
        assert asked["DocumentName"] == "AWS-RunPowerShellScript"
        assert asked["InstanceIds"] == [INSTANCE]
        first, *runner, last = asked["Parameters"]["commands"]
        assert (first, "\n".join(runner)) == ("& {", RUNNER_PS1.read_text().rstrip("\n"))
        encoded = re.fullmatch(r"\} '([A-Za-z0-9+/=]+)'", last)
        assert encoded is not None, last
        command = Command(asked)
        command_id = str(uuid.uuid4())
        self.commands[command_id] = command

        def work() -> None:
            code = self.windows.carry_out(encoded[1], command.output.append, command.is_killed.is_set)
            if command.is_killed.is_set():
                return
            key = f"{asked['OutputS3KeyPrefix']}/{command_id}/{INSTANCE}/awsrunPowerShellScript/0.awsrunPowerShellScript/stdout"
            body = "".join(f"{line}\n" for line in command.output).encode()
            self.s3.put_object(Bucket=asked["OutputS3BucketName"], Key=key, Body=body)
            command.code = code
            command.status = "Failed" if code else "Success"

        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()
        return command_id

    def _fetch(self, uri: str, to: Path) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.s3.download_file(bucket, key, str(to))

    def _store(self, path: Path, uri: str) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.s3.upload_file(str(path), bucket, key)
