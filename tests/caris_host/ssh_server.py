"""A real SSH server with SFTP, a process of its own, that acts as OpenSSH does: a command's end is told at once, its channel stays
open while anything holds its output, and what runs goes on when the connection breaks.

The user `windows` has the pretended Windows: drives are folders of `root`, which is all that SFTP shows. Any other has the
machine itself. SIGUSR1 breaks all connections.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class SshServer:
    """The server, from outside. folder: gets the key that opens it, and the file that knows its key."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "windows"
        self.key = folder / "id_ed25519"
        self.known_hosts = folder / "known_hosts"
        self._folder = folder

    def __enter__(self) -> SshServer:
        (self.root / "D:").mkdir(parents=True)
        command = [sys.executable, str(HERE / "ssh_server.py"), str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def cut(self) -> None:
        """Break all connections, without a word."""
        self._process.send_signal(signal.SIGUSR1)


def serve(folder: Path) -> None:
    import asyncssh
    from asyncssh.packet import UInt32

    root = folder / "windows"
    connections: list[Any] = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: Any) -> None:
            connections.append(conn)

    def sftp(channel: Any) -> asyncssh.SFTPServer:
        is_windows = channel.get_extra_info("username") == "windows"
        return asyncssh.SFTPServer(channel, chroot=str(root).encode() if is_windows else None)

    def in_windows(command: str) -> str:
        *start, runner = command.split(" ")
        assert start == ["powershell.exe", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"], (
            command
        )
        assert (root / runner.replace("\\", "/")).read_bytes().startswith(b"# What a Windows host does")
        return "exec " + shlex.join([sys.executable, "-S", str(HERE / "windows_host.py"), str(root)])

    async def process(process: Any) -> None:
        command = process.command if isinstance(process.command, str) else process.command.decode()
        if process.get_extra_info("username") == "windows":
            command = in_windows(command)
        child = subprocess.Popen(
            ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        loop, output, is_over = asyncio.get_running_loop(), child.stdout.fileno(), asyncio.Event()

        def tell(piece: bytes) -> None:
            with suppress(OSError):
                process.stdout.write(piece)

        def pump() -> None:
            while piece := os.read(output, 65536):
                loop.call_soon_threadsafe(tell, piece)
            loop.call_soon_threadsafe(is_over.set)

        threading.Thread(target=pump, daemon=True).start()
        with suppress(OSError):
            child.stdin.write(await process.stdin.read())
            child.stdin.close()
        while (code := child.poll()) is None:
            await asyncio.sleep(0.01)
        if code >= 0:
            process.channel._send_request(b"exit-status", UInt32(code))
        await is_over.wait()
        await asyncio.sleep(0)
        if code < 0:
            process.exit_with_signal("KILL")
        else:
            process.channel.close()

    async def listen() -> None:
        client_key, host_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        client_key.write_private_key(folder / "id_ed25519")
        (folder / "authorized").write_bytes(client_key.export_public_key())
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=str(folder / "authorized"),
            process_factory=process,
            sftp_factory=sftp,
            encoding=None,
            server_factory=Server,
        )
        port = server.sockets[0].getsockname()[1]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key.export_public_key().decode()}")
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: [one.abort() for one in connections])
        print(port, flush=True)
        await server.wait_closed()

    asyncio.run(listen())


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
