"""Building the image: one Dockerfile, everything in it pinned, and dated by the commit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.release.errors import ReleaseError

ROOT = Path(__file__).parents[2]
DOCKERFILE = "deploy/Dockerfile"
TOOLS = ("docker", "buildah")


def commit_time(root: Path = ROOT) -> int:
    """Of the newest commit, seconds since 1970: what the files of the image are dated by. Raises ReleaseError."""
    try:
        found = subprocess.run(
            ["git", "log", "-1", "--format=%ct"], cwd=root, text=True, capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ReleaseError(f"{root} is no clone with a commit, so the image has no date: {error}") from None
    return int(found)


def build_command(
    tool: str, tag: str, epoch: int, *, base: str | None = None, volumes: Sequence[str] = (), root: Path = ROOT
) -> list[str]:
    """base: in place of the one that the Dockerfile names. volumes: of buildah's build, HOST:CONTAINER:ro, for a machine
    with certificates or a package mirror of its own."""
    arguments = ["--build-arg", f"SOURCE_DATE_EPOCH={epoch}"]
    if base:
        arguments += ["--build-arg", f"BASE={base}"]
    if tool == "docker":
        if volumes:
            raise ReleaseError("docker builds take no volumes; use --with buildah")
        # Without provenance the digest is that of the image alone. The files of its layers get the time of the commit, too.
        return [
            "docker", "buildx", "build", "--provenance=false", "--sbom=false",
            "--output", "type=docker,rewrite-timestamp=true", *arguments,
            "--file", f"{root}/{DOCKERFILE}", "--tag", tag, str(root),
        ]  # fmt: skip
    if tool == "buildah":
        mounts = [part for volume in volumes for part in ("--volume", volume)]
        return [
            "buildah", "bud", "--layers=false", "--timestamp", str(epoch), *mounts, *arguments,
            "--file", f"{root}/{DOCKERFILE}", "--ignorefile", f"{root}/.dockerignore", "--tag", tag, str(root),
        ]  # fmt: skip
    raise ReleaseError(f"{tool!r} builds no images here; expected one of {', '.join(TOOLS)}")


def build(tool: str, tag: str, *, base: str | None = None, volumes: Sequence[str] = (), root: Path = ROOT) -> None:
    """Raises ReleaseError."""
    epoch = commit_time(root)
    command = build_command(tool, tag, epoch, base=base, volumes=volumes, root=root)
    try:
        # buildx dates the layers by the variable, not by the argument of that name.
        done = subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}, check=False)
    except FileNotFoundError:
        raise ReleaseError(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        raise ReleaseError(f"the image was not built: {command[0]} ended with {done.returncode}")
