"""Two builds of one commit are one image.

    TEST_IMAGE_BUILD='--base localhost/base:1 --volume /etc/pip.conf:/etc/pip.conf:ro' pytest tests/deploy/test_image_twice.py -m long

The variable holds what `python -m deploy.release build --with buildah` is to be told besides; it may be empty. Minutes.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.deploy.layers import differences, layers_of

TOLD = os.environ.get("TEST_IMAGE_BUILD")
ENVIRONMENT = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": os.environ.get("STORAGE_DRIVER", "vfs")}


@pytest.mark.skipif(TOLD is None, reason="TEST_IMAGE_BUILD does not say how to build an image here")
@pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed")
@pytest.mark.timeout(3600)
def test_two_builds_of_a_commit_are_one_image(tmp_path: Path) -> None:
    # Clones in folders of other names and depths, made by people whose files get other rights.
    clones = [(tmp_path / "a", 0o022), (tmp_path / "somewhere" / "much" / "deeper", 0o077)]
    images: list[str] = []
    tags: list[str] = []
    try:
        for folder, umask in clones:
            tags.append(f"localhost/strandline-test:{uuid.uuid4().hex[:12]}")
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True, umask=umask)
            command = [sys.executable, "-m", "deploy.release", "build", "--with", "buildah", "--tag", tags[-1]]
            done = subprocess.run(
                [*command, *shlex.split(TOLD or "")], cwd=folder, env=ENVIRONMENT, umask=umask,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout[-3000:]
            images.append(_run("buildah", "images", "--no-trunc", "--quiet", tags[-1]))
        if images[0] != images[1]:
            pushed = [tmp_path / "image-0", tmp_path / "image-1"]
            for tag, folder in zip(tags, pushed, strict=True):
                _run("buildah", "push", "--disable-compression", tag, f"dir:{folder}")
            pairs = zip(*(layers_of(folder) for folder in pushed), strict=True)
            pytest.fail("\n".join(line for pair in pairs for line in differences(*pair)) or "only their configuration")
    finally:
        for tag in tags:
            subprocess.run(["buildah", "rmi", tag], env=ENVIRONMENT, capture_output=True, check=False)


def _run(*command: str) -> str:
    done = subprocess.run(command, env=ENVIRONMENT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"content": b"2"}, ["x/a: "]),
        ({"mode": 0o600}, ["x/a: "]),
        ({"mtime": 2}, ["x/a: "]),
        ({"uid": 1}, ["x/a: "]),
        ({"name": "x/c"}, ["x/a: ", "x/c: not there and "]),
        ({"first": True}, ["the order of the entries"]),
    ],
)
def test_what_differs_is_named(tmp_path: Path, change: dict[str, object], said: list[str]) -> None:
    def layer(called: str, content: bytes = b"1", first: bool = False, **given: object) -> Path:
        one, other = tarfile.TarInfo("x/a"), tarfile.TarInfo("x/b")
        one.size, other.size = len(content), 0
        for key, value in given.items():
            setattr(one, key, value)
        parts = [(one, content), (other, b"")]
        with tarfile.open(tmp_path / called, "w") as archive:
            for info, data in reversed(parts) if first else parts:
                archive.addfile(info, io.BytesIO(data))
        return tmp_path / called

    found = differences(layer("one"), layer("other", **change))  # type: ignore[arg-type]
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said, strict=True))
