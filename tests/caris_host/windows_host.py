"""What `runner.ps1` does, done by Python on this machine: no PowerShell runs here. Paths ``D:\\...`` are below a folder.

As a program it takes a job from its standard input, as the runner does under SSH: ``python windows_host.py FOLDER``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


class Windows:
    """A Windows machine whose drives are folders of `root`.

    fetch, store: how it gets an object of a bucket to a path, and brings a path's content to one.
    """

    def __init__(
        self,
        root: Path,
        fetch: Callable[[str, Path], None] | None = None,
        store: Callable[[Path, str], None] | None = None,
    ) -> None:
        self.root = root
        self._fetch = fetch
        self._store = store

    def here(self, path: str) -> Path:
        return self.root / path.replace("\\", "/")

    def carry_out(self, encoded: str, out: Callable[[str], None], is_killed: Callable[[], bool] = lambda: False) -> int:
        """The exit code. is_killed: whether PowerShell was killed, and its child left alone."""
        job = json.loads(base64.b64decode(encoded))
        folder = self.here(job["folder"])
        own = folder / ".strandline"

        def answer(text: str) -> None:
            out(f"{job['nonce']} {text}")

        def fence() -> int:
            return int((own / "fence").read_text()) if (own / "fence").exists() else 0

        def stop_left(of: str) -> None:
            for mark in (own / "running").glob(f"{of}*"):
                pid = int(mark.name.rpartition("-")[2])
                if pid != os.getpid():
                    with suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
                mark.unlink(missing_ok=True)

        def tell_file(name: str, path: Path) -> None:
            content = path.read_bytes()
            answer(f"file {hashlib.sha256(content).hexdigest()} {len(content)} {name}")

        match job["verb"]:
            case "begin":
                (own / "running").mkdir(parents=True, exist_ok=True)
                if fence() > job["fence"]:
                    answer("refused fence")
                    return 0
                (own / "fence").write_text(str(job["fence"]))
                stop_left("")
            case "run":
                if fence() != job["fence"]:
                    answer("refused fence")
                    return 0
                return self._run(job, folder, own, out, answer, is_killed)
            case "stop":
                stop_left(f"{job['fence']}-")
            case "list":
                for name in job["names"]:
                    path = folder / name
                    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                        if file.is_file():
                            tell_file(file.relative_to(folder).as_posix(), file)
            case "get":
                for name, uri in job["moves"]:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    self._fetch(uri, folder / name)
                    tell_file(name, folder / name)
            case "give":
                for name, uri in job["moves"]:
                    self._store(folder / name, uri)
            case "remove":
                if (own / "fence").exists():
                    if fence() != job["fence"]:
                        answer("refused fence")
                        return 0
                    stop_left("")
                    shutil.rmtree(folder)
        answer("done")
        return 0

    def _run(
        self,
        job: dict[str, Any],
        folder: Path,
        own: Path,
        out: Callable[[str], None],
        answer: Callable[[str], None],
        is_killed: Callable[[], bool],
    ) -> int:
        program = self.here(job["program"])
        if not program.exists():
            answer("refused program The system cannot find the file specified")
            return 0
        arguments = [str(self.here(one)) if one[1:3] == ":\\" else one for one in split(job["arguments"])]
        process = subprocess.Popen(
            [program, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        mark = own / "running" / f"{job['fence']}-{process.pid}"
        mark.write_text("began")
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        rest, began, heard, stopped = b"", time.monotonic(), time.monotonic(), ""
        while True:
            piece = process.stdout.read()
            if piece:
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    out(line.decode().removesuffix("\r"))
                heard = time.monotonic()
            elif piece == b"":
                break
            if is_killed():
                return 1
            now = time.monotonic()
            if now - began > job["seconds"] or now - heard > job["quiet_seconds"]:
                stopped = job["over"] if now - began > job["seconds"] else job["silent"]
                break
            time.sleep(0.02)
        if rest:
            out(rest.decode())
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL if stopped else 0)
        code = process.wait()
        mark.unlink(missing_ok=True)
        answer(f"ended - {stopped}" if stopped else f"ended {code}")
        return 1 if stopped else code


def split(line: str) -> list[str]:
    """Arguments of a command line as Microsoft's C runtime reads them (the documented rules, written anew for this test)."""
    found: list[str] = []
    current, is_quoted, has_any, position = "", False, False, 0
    while position < len(line):
        if line[position] == "\\":
            end = position
            while end < len(line) and line[end] == "\\":
                end += 1
            count = end - position
            if end < len(line) and line[end] == '"':
                current += "\\" * (count // 2)
                if count % 2:
                    current += '"'
                    end += 1
            else:
                current += "\\" * count
            has_any, position = True, end
            continue
        sign = line[position]
        if sign == '"':
            is_quoted, has_any = not is_quoted, True
        elif sign in " \t" and not is_quoted:
            if has_any:
                found.append(current)
            current, has_any = "", False
        else:
            current, has_any = current + sign, True
        position += 1
    return [*found, current] if has_any else found


def main() -> None:
    def out(line: str) -> None:
        sys.stdout.write(f"{line}\r\n")
        sys.stdout.flush()

    sys.exit(Windows(Path(sys.argv[1])).carry_out(sys.stdin.readline(), out))


if __name__ == "__main__":
    main()
