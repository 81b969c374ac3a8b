"""The image in ECR: its tags, its digest, and pushing it. A tag is a commit's hash and is never moved."""

from __future__ import annotations

import base64
import re
import subprocess
from typing import Any

from deploy.release.errors import ReleaseError

REPOSITORY = "strandline"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Images:
    """One repository of one account and region. Making it opens nothing."""

    def __init__(self, ecr: Any, repository: str = REPOSITORY) -> None:
        self._ecr = ecr
        self.repository = repository

    def find(self, tag: str) -> str | None:
        """The image with a tag, by digest; None if there is none. Raises ReleaseError if there is no such repository."""
        if _TAG.fullmatch(tag) is None:
            raise ReleaseError(f"{tag!r} is no tag of an image; expected a commit's hash, such as 4f1d0c2")
        try:
            found = self._ecr.describe_images(repositoryName=self.repository, imageIds=[{"imageTag": tag}])
        except self._ecr.exceptions.ImageNotFoundException:
            return None
        except self._ecr.exceptions.RepositoryNotFoundException:
            raise ReleaseError(
                f"there is no repository {self.repository} in ECR; docs/deploy.md says how an account gets it"
            ) from None
        _, _, registry = self._door()
        return f"{registry}/{self.repository}@{found['imageDetails'][0]['imageDigest']}"

    def get(self, tag: str) -> str:
        """Raises ReleaseError, naming the newest tags, if there is no such image."""
        found = self.find(tag)
        if found is None:
            raise ReleaseError(f"no image has the tag {tag}. The newest: {', '.join(self.newest()) or 'none'}")
        return found

    def newest(self, most: int = 10) -> list[str]:
        """Tags, the newest first."""
        pages = self._ecr.get_paginator("describe_images").paginate(
            repositoryName=self.repository, filter={"tagStatus": "TAGGED"}
        )
        images = sorted(
            (one for page in pages for one in page["imageDetails"]), key=lambda one: one["imagePushedAt"], reverse=True
        )
        return [tag for one in images[:most] for tag in one["imageTags"]]

    def push(self, local: str, tag: str, tool: str = "docker") -> str:
        """Push a local image under a tag and return it by digest; what is there under that tag stays. Raises ReleaseError.

        tool: docker or buildah, whichever built it; what is asked of them here they take alike.
        """
        there = self.find(tag)
        if there is not None:
            return there
        user, password, registry = self._door()
        target = f"{registry}/{self.repository}:{tag}"
        # By its input: arguments stand in the list of processes.
        _run([tool, "login", "--username", user, "--password-stdin", registry], password)
        _run([tool, "tag", local, target])
        _run([tool, "push", "--quiet", target])
        return self.get(tag)

    def _door(self) -> tuple[str, str, str]:
        """User, password and address of the registry."""
        given = self._ecr.get_authorization_token()["authorizationData"][0]
        user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
        return user, password, given["proxyEndpoint"].removeprefix("https://")


def _run(command: list[str], given: str | None = None) -> None:
    done = subprocess.run(command, input=given, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(command[:2])} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
