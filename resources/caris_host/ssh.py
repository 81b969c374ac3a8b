"""A host that is reached over SSH: its key must be known, files go by SFTP, a cancel ends what runs there."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.caris_host import watch
from resources.caris_host.buckets import Buckets, is_uri
from resources.caris_host.config import Ssh
from resources.caris_host.host import Finished, HostFile, HostNotReady, HostUnavailable
from resources.caris_host.jobs import Hearing, Job
from resources.caris_host.lines import MOST_OUTPUT, Lines
from resources.caris_host.paths import OWN_FOLDER, beside
from resources.caris_host.remote import RemoteFolder
from resources.caris_host.shells import Shell
from resources.caris_host.watch import Guard, Watch

if TYPE_CHECKING:
    import paramiko

_CONNECT_SECONDS = 10.0
_ASK_SECONDS = 3600.0
"""Longest for one job of the platform's own: checksums of large files take their time."""
_KEEPALIVE_SECONDS = 15
_END_SECONDS = 2.0
"""How long to read on after a command ended, if a process that it left behind holds its output open."""
_PIECE = 64 * 1024
_AGAIN_SECONDS = 3.0


class SshTransport:
    """Work folders below `root` on a host reached over SSH.

    key: file of a private key; without it the agent's. known_hosts: file with the host's public key. patience: seconds for
    which a host that does not answer yet, because it is being started, is asked again.
    """

    def __init__(
        self,
        address: Ssh,
        root: str,
        shell: Shell,
        key: Path | None,
        known_hosts: Path,
        patience: float,
        buckets: Buckets,
    ) -> None:
        self._address = address
        self._root = root
        self._shell = shell
        self._key = key
        self._known_hosts = known_hosts
        self._patience = patience
        self._buckets = buckets

    def __str__(self) -> str:
        return f"{self._address.user}@{self._address.host}"

    @contextmanager
    def folder(self, name: str, guard: Guard) -> Iterator[RemoteFolder]:
        client = self._connect(guard)
        try:
            way = _Connection(client, self._root, self._shell, str(self), self._buckets)
            yield RemoteFolder(way, f"{self._root}{self._shell.separator}{name}", self._shell.separator, guard)
        finally:
            client.close()

    def _connect(self, guard: Guard) -> paramiko.SSHClient:
        deadline = time.monotonic() + self._patience
        while True:
            guard.check()
            try:
                return self._connect_once()
            except HostUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_SECONDS)

    def _connect_once(self) -> paramiko.SSHClient:
        import paramiko

        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(_known_only(self._address, self._known_hosts))
        try:
            if self._known_hosts.exists():
                client.load_host_keys(str(self._known_hosts))
            client.connect(
                self._address.host, self._address.port, self._address.user,
                key_filename=str(self._key) if self._key else None,
                allow_agent=self._key is None, look_for_keys=False,
                timeout=_CONNECT_SECONDS, banner_timeout=_CONNECT_SECONDS, auth_timeout=_CONNECT_SECONDS,
            )  # fmt: skip
        except BaseException as error:
            client.close()
            raise self._in_our_words(error) from error
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(_KEEPALIVE_SECONDS)
        return client

    def _in_our_words(self, error: BaseException) -> BaseException:
        import paramiko

        if isinstance(error, paramiko.BadHostKeyException):
            return HostNotReady(
                f"the CARIS host {self} has another key than {self._known_hosts} says. Somebody may be in between. Ask who "
                f"runs the host; if its key was changed, correct the line there."
            )
        if isinstance(error, paramiko.PasswordRequiredException):
            return HostNotReady(
                f"the key {self._key} (STRANDLINE_CARIS_SSH_KEY) has a passphrase. Give it to an SSH agent and unset the "
                "setting, or use a key without one that only this platform's user can read."
            )
        # Without any key to try, this library says it in words only.
        if isinstance(error, paramiko.AuthenticationException) or "No authentication methods" in str(error):
            return HostNotReady(
                f"the CARIS host {self} accepts no key of {self._key or 'the SSH agent'}. Add its public key to the "
                "authorized keys there, or set STRANDLINE_CARIS_SSH_KEY to the file of the right one."
            )
        if self._key is not None and isinstance(error, FileNotFoundError | PermissionError):
            return HostNotReady(f"the key {self._key} (STRANDLINE_CARIS_SSH_KEY) cannot be read: {error}")
        if isinstance(error, paramiko.SSHException | OSError | EOFError):
            return HostUnavailable(f"the CARIS host {self} does not answer at port {self._address.port}: {error}")
        return error


def _known_only(address: Ssh, known_hosts: Path) -> paramiko.MissingHostKeyPolicy:
    import paramiko

    class KnownOnly(paramiko.MissingHostKeyPolicy):
        def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
            digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
            raise HostNotReady(
                f"the key of the CARIS host {address.host} is not in {known_hosts} (STRANDLINE_CARIS_KNOWN_HOSTS). It shows "
                f"{key.get_name()} SHA256:{digest}. Ask who runs the host whether that is its key, then add the line that "
                f"`ssh-keyscan -p {address.port} {address.host}` prints."
            )

    return KnownOnly()


class _Connection:
    """An open connection. The runner is brought along once for each version of it."""

    def __init__(self, client: paramiko.SSHClient, root: str, shell: Shell, where: str, buckets: Buckets) -> None:
        self._client = client
        self._shell = shell
        self._where = where
        self._buckets = buckets
        self._runner = ""
        with self._in_our_words("bring the runner"):
            self._sftp = client.open_sftp()
            self._runner = self._bring_runner(root)

    def __str__(self) -> str:
        return self._where

    def ask(self, job: Job, guard: Guard) -> Hearing:
        hearing = Hearing(job, self._where)
        self._carry_out(job, Watch(_ASK_SECONDS, _ASK_SECONDS), guard, hearing)
        return hearing

    def run(self, job: Job, guard: Guard, say: Callable[[str], None]) -> Finished:
        hearing = Hearing(job, self._where, say)
        clock = Watch(job.seconds, job.quiet_seconds)
        try:
            code, stopped = self._carry_out(job, clock, guard, hearing)
        except BaseException:
            # Cancelled, or not our work any more. The connection may be what failed: then the next who begins ends it.
            with suppress(Exception):
                self._stop(job)
            raise
        # Also what it left behind: nothing of a command outlives it.
        self._stop(job)
        return hearing.finished(code, clock.passed, stopped)

    def _stop(self, job: Job) -> None:
        stopping = Job("stop", job.folder, job.fence)
        self._carry_out(stopping, Watch(60, 60), None, Hearing(stopping, self._where))

    def bring(self, folder: str, files: Mapping[str, str], guard: Guard) -> Iterator[HostFile]:
        for name, source in files.items():
            guard.check()
            with tempfile.TemporaryDirectory() as aside, self._in_our_words(f"bring {name}"):
                local = Path(source)
                if is_uri(source):
                    local = Path(aside) / "file"
                    self._buckets.download(source, local)
                target = posixpath.join(self._shell.path_for_sftp(folder), name)
                self._make_folder(posixpath.dirname(target))
                self._sftp.put(str(local), f"{target}.part")
                self._sftp.posix_rename(f"{target}.part", target)
            job = Job("list", folder, names=(name,))
            yield from self.ask(job, guard).files.values()

    def take(self, folder: str, files: Sequence[HostFile], to: Path, guard: Guard) -> None:
        for file in files:
            guard.check()
            with beside(to / file.path) as aside, self._in_our_words(f"fetch {file.path}"):
                self._sftp.get(posixpath.join(self._shell.path_for_sftp(folder), file.path), str(aside))

    def _carry_out(
        self, job: Job, clock: Watch, guard: Guard | None, hearing: Hearing
    ) -> tuple[int | None, str | None]:
        """Have a job done; its exit code, and why it was left alone before its end."""
        asked = self._shell.asks(self._runner, job)
        lines = Lines()
        ended_at: float | None = None
        with self._in_our_words(job.verb):
            transport = self._client.get_transport()
            if transport is None:
                raise EOFError("the connection is closed")
            channel = transport.open_session(timeout=_CONNECT_SECONDS)
            channel.set_combine_stderr(True)
            channel.exec_command(asked.command)
            if asked.standard_input:
                channel.sendall(asked.standard_input)
            channel.shutdown_write()
            try:
                while True:
                    if guard is not None:
                        guard.check()
                    channel.settimeout(max(0.01, clock.wait_seconds()))
                    try:
                        piece = channel.recv(_PIECE)
                    except TimeoutError:
                        piece = None
                    if piece == b"":
                        break
                    if piece is not None:
                        clock.hear()
                        hearing.hear(lines.feed(piece))
                    if channel.exit_status_ready():
                        # What it left behind holds its output open; it is ended by `run`.
                        ended_at = clock.passed if ended_at is None else ended_at
                        if clock.passed - ended_at > _END_SECONDS:
                            break
                        continue
                    why = watch.TOO_MUCH if lines.bytes > MOST_OUTPUT else clock.why_stop()
                    if why:
                        hearing.hear(lines.end())
                        return None, why
                hearing.hear(lines.end())
                return self._exit_code(channel, transport, clock, hearing)
            finally:
                channel.close()

    def _exit_code(self, channel: Any, transport: Any, clock: Watch, hearing: Hearing) -> tuple[int | None, str | None]:
        while not channel.exit_status_ready():
            if not transport.is_active():
                break
            if why := clock.why_stop():
                return None, why
            channel.status_event.wait(max(0.01, clock.wait_seconds()))
        code = channel.recv_exit_status() if channel.exit_status_ready() else -1
        if code == -1 and not transport.is_active():
            raise EOFError("the connection was lost; what runs there is ended before the next step")
        # SSH tells of a signal in words that this library drops.
        return (None, "killed on the host") if code == -1 and hearing.ended is None else (code, None)

    def _bring_runner(self, root: str) -> str:
        content = self._shell.runner.read_bytes()
        name = f"{self._shell.runner.stem}-{hashlib.sha256(content).hexdigest()[:12]}{self._shell.runner.suffix}"
        folder = posixpath.join(self._shell.path_for_sftp(root), OWN_FOLDER)
        target = posixpath.join(folder, name)
        self._make_folder(folder)
        with suppress(FileNotFoundError), self._sftp.open(target, "rb") as there:
            if there.read() == content:
                return self._shell.separator.join((root, OWN_FOLDER, name))
        aside = f"{target}.{uuid.uuid4().hex[:8]}"
        with self._sftp.open(aside, "wb") as file:
            file.write(content)
        self._sftp.posix_rename(aside, target)
        return self._shell.separator.join((root, OWN_FOLDER, name))

    def _make_folder(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._sftp.stat(path)
            return
        if path not in {"/", ""}:
            self._make_folder(posixpath.dirname(path))
        try:
            self._sftp.mkdir(path)
        except OSError:
            self._sftp.stat(path)  # another run was faster

    @contextmanager
    def _in_our_words(self, doing: str) -> Iterator[None]:
        import paramiko

        try:
            yield
        except PermissionError as error:
            raise HostNotReady(
                f"the CARIS host {self._where} does not let its user {doing} ({error}). Correct the rights of the folder, or set "
                "STRANDLINE_CARIS_WORK_FOLDER to one that the user can write to."
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise HostUnavailable(
                f"the CARIS host {self._where} failed to {doing}: {error or type(error).__name__}"
            ) from error
