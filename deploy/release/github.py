"""One comment on a pull request, which is replaced each time: what a merge would change in AWS."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from deploy.release.errors import ReleaseError

_LONGEST = 65_000
"""Characters; GitHub takes 65,536."""
_PAGE = 100
_TIMEOUT_SECONDS = 30


class PullRequest:
    """repository: OWNER/NAME. url: of GitHub's API."""

    def __init__(self, repository: str, number: int, token: str, url: str = "https://api.github.com") -> None:
        self._base = f"{url.rstrip('/')}/repos/{repository}"
        self._number = number
        self._token = token

    def comment(self, name: str, text: str) -> None:
        """Write the comment of this name, or put this text in place of the one that is there. Raises ReleaseError."""
        mark = f"<!-- {name} -->"
        body = f"{mark}\n{text}"
        if len(body) > _LONGEST:
            body = body[:_LONGEST] + "\n```\n(cut; the workflow's log has all of it)"
        there = self._find(mark)
        if there is None:
            self._ask("POST", f"/issues/{self._number}/comments", {"body": body})
        else:
            self._ask("PATCH", f"/issues/comments/{there}", {"body": body})

    def _find(self, mark: str) -> int | None:
        page = 1
        while True:
            comments = self._ask("GET", f"/issues/{self._number}/comments?per_page={_PAGE}&page={page}")
            for comment in comments:
                if str(comment.get("body", "")).startswith(mark):
                    return int(comment["id"])
            if len(comments) < _PAGE:
                return None
            page += 1

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            self._base + path,
            json.dumps(body).encode() if body is not None else None,
            {
                "Authorization": f"Bearer {self._token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
                "Content-Type": "application/json",
            },
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            hint = " Give the job `permissions: pull-requests: write`." if error.code in {401, 403} else ""
            raise ReleaseError(f"GitHub answers {method} {path} with {error.code}.{hint}") from None
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise ReleaseError(f"GitHub does not answer: {error}") from None


def as_markdown(title: str, output: str) -> str:
    """A command's output as a comment, folded away when it is long."""
    fence = "````" if "```" in output else "```"
    block = f"{fence}diff\n{output.strip() or '(nothing)'}\n{fence}"
    if output.count("\n") <= 25:
        return f"**{title}**\n\n{block}"
    return f"**{title}**\n\n<details><summary>{output.count(chr(10))} lines</summary>\n\n{block}\n\n</details>"
