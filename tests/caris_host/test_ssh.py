"""SSH: whom the platform trusts, and what becomes of a connection that breaks."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from resources.caris_host.buckets import Buckets
from resources.caris_host.config import Ssh
from resources.caris_host.host import HostNotReady, HostUnavailable
from resources.caris_host.shells import PosixShell
from resources.caris_host.ssh import SshTransport
from tests.caris_host.conftest import Way, free, grows, ssh_way, stands_still, wait_for
from tests.caris_host.ssh_server import SshServer


@pytest.fixture
def ssh(tmp_path: Path, ssh_server: SshServer) -> Way:
    return ssh_way(ssh_server, tmp_path, False, Buckets())


def opened(way: Way, **changed: object) -> None:
    server = way.server
    arguments = {
        "address": Ssh("surveyor", "127.0.0.1", server.port), "root": str(way.surveys), "shell": PosixShell(),
        "key": server.key, "known_hosts": server.known_hosts, "patience": 0, "buckets": Buckets(), **changed,
    }  # fmt: skip
    with SshTransport(**arguments).folder("a", free()):
        pass


def test_a_host_whose_key_is_not_known_is_not_spoken_to(ssh: Way, tmp_path: Path) -> None:
    opened(ssh)
    with pytest.raises(HostNotReady, match=r"STRANDLINE_CARIS_KNOWN_HOSTS.*SHA256:.*ssh-keyscan"):
        opened(ssh, known_hosts=tmp_path / "nothing")
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    wrong = tmp_path / "wrong"
    wrong.write_text(f"[127.0.0.1]:{ssh.server.port} {other}")
    with pytest.raises(HostNotReady, match="another key than"):
        opened(ssh, known_hosts=wrong)


def test_keys_that_do_not_open_it(ssh: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    other = asyncssh.generate_private_key("ssh-ed25519")
    other.write_private_key(tmp_path / "other")
    other.write_private_key(tmp_path / "closed", passphrase="canary")
    with pytest.raises(HostNotReady, match=r"accepts no key of .*other"):
        opened(ssh, key=tmp_path / "other")
    with pytest.raises(HostNotReady, match="has a passphrase"):
        opened(ssh, key=tmp_path / "closed")
    with pytest.raises(HostNotReady, match="cannot be read"):
        opened(ssh, key=tmp_path / "nothing")
    with pytest.raises(HostNotReady, match="accepts no key of the SSH agent"):
        opened(ssh, key=None)


def test_a_host_that_does_not_answer(ssh: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostUnavailable, match="does not answer at port 1"):
        opened(ssh, address=Ssh("surveyor", "127.0.0.1", 1))
    # One that is being started is asked again.
    monkeypatch.setattr("resources.caris_host.ssh._AGAIN_SECONDS", 0.05)
    with pytest.raises(HostUnavailable, match="does not answer at port 1"):
        opened(ssh, address=Ssh("surveyor", "127.0.0.1", 1), patience=0.2)


def test_a_connection_that_breaks_leaves_nothing_running_for_the_next(ssh: Way) -> None:
    ticks = ssh.surveys / "survey-7/ticks"
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with ssh.folder(free(5)) as folder:
                folder.run([ssh.program, "silent"], seconds=60, quiet_seconds=60, say=lambda line: None)
        except HostUnavailable as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(ticks)
    ssh.server.cut()
    thread.join(30)
    assert not thread.is_alive()
    assert len(failed) == 1
    assert "failed to run" in str(failed[0])
    assert grows(ticks), "nobody could tell the command to end"
    with ssh.folder(free(6)) as folder:
        assert stands_still(ticks)
        assert folder.run([ssh.program, "both"], seconds=30, quiet_seconds=30, say=lambda line: None).exit_code == 0


def test_a_folder_that_the_user_may_not_write_to(ssh: Way, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    closed = replace(ssh, surveys=tmp_path / "file")
    with pytest.raises((HostNotReady, HostUnavailable), match=r"127\.0\.0\.1"):
        opened(closed, root=str(closed.surveys))
