"""Make a webserver load the code location anew, and say whether it could: `python deploy/reload.py http://HOST:PORT`.

It runs in the image, inside of the network, where the webserver can be reached without signing in.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from deploy.roles import LOCATION

_SECONDS = 120
_MUTATION = """
mutation Reload($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename
    ... on WorkspaceLocationEntry {
      loadStatus
      locationOrLoadError { __typename ... on PythonError { message } }
    }
    ... on PythonError { message }
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
    ... on UnauthorizedError { message }
  }
}
"""


class NotLoaded(Exception):
    """The webserver does not have the code location. The message says why."""


def reload_location(url: str, name: str = LOCATION) -> None:
    """Raises NotLoaded."""
    body = json.dumps({"query": _MUTATION, "variables": {"name": name}}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            answer = json.load(response)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise NotLoaded(f"the webserver at {url} does not answer: {error}") from None
    wrong = _what_is_wrong(answer)
    if wrong:
        raise NotLoaded(f"the webserver at {url} cannot load {name}: {wrong}")


def _what_is_wrong(answer: dict[str, Any]) -> str | None:
    if answer.get("errors"):
        return str(answer["errors"][0].get("message"))
    entry = answer["data"]["reloadRepositoryLocation"]
    if entry["__typename"] != "WorkspaceLocationEntry":
        return str(entry.get("message") or entry["__typename"])
    location = entry["locationOrLoadError"] or {}
    if location.get("__typename") == "PythonError":
        return str(location["message"])
    return None if entry["loadStatus"] == "LOADED" and location else f"it is {entry['loadStatus']}"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: reload.py http://HOST:PORT", file=sys.stderr)
        return 2
    try:
        reload_location(arguments[0].rstrip("/"))
    except NotLoaded as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{LOCATION} is loaded")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
