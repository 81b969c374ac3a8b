"""Bringing the infrastructure to what the CDK app says, without touching the image that runs.

The app is synthesized by its own environment (`make setup-deploy`); CDK's command line, which has the assets' upload and
change sets, is fetched by npx in one version.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.release.errors import ReleaseError
from deploy.release.stack import Stack, images_in

ROOT = Path(__file__).parents[2]
CDK = ("npx", "--yes", "aws-cdk@2.1148.1")
PYTHON = ROOT / ".venv-deploy" / "bin" / "python"
NO_IMAGE = f"{'0' * 12}.dkr.ecr.us-east-1.amazonaws.com/strandline@sha256:{'0' * 64}"
"""Stands for the image in what is only looked at."""
CONTEXT = "STRANDLINE_CDK_CONTEXT"
"""The variable with what the CDK app is told of one deployment, but its namespace and image: a JSON object."""


def context_of(namespace: str, image: str, text: str | None) -> dict[str, str]:
    """Raises ReleaseError if the text is no JSON object of texts."""
    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise ReleaseError(f"{CONTEXT} is no JSON: {error}") from None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ReleaseError(
            f'{CONTEXT}: expected a JSON object of texts, such as {{"profile": "dev", "region": "eu-west-1"}}'
        )
    return {**given, "namespace": namespace, "image": image}


class App:
    """The CDK app of one namespace. Making it runs nothing."""

    def __init__(self, stack: Stack, context: str | None, python: Path = PYTHON, cdk: tuple[str, ...] = CDK) -> None:
        self.stack = stack
        self._context = context
        self._python = python
        self._cdk = cdk

    def synthesize(self, image: str, out: Path) -> dict[str, Any]:
        """The template for an image; also left in a folder, for CDK's command line. Raises ReleaseError."""
        context = context_of(self.stack.namespace, image, self._context)
        environment = {**os.environ, "CDK_OUTDIR": str(out), "CDK_CONTEXT_JSON": json.dumps(context)}
        _run([str(self._python), "-m", "deploy.aws.app"], environment)
        path = out / f"{self.stack.name}.template.json"
        if not path.is_file():
            raise ReleaseError(f"the CDK app made no {path.name}")
        return dict(json.loads(path.read_text()))

    def diff(self, image: str, out: Path) -> str:
        """What a deployment would change, in CDK's words. image: for a namespace that is not there yet."""
        self.synthesize(self._recorded() or image, out)
        return _run([*self._cdk, "diff", "--app", str(out), "--no-color", self.stack.name])

    def deploy(self, running: str | None, image: str, out: Path) -> bool:
        """Bring the stack to what the app says. Returns whether anything was to do.

        running: the image that runs, None before the first time; a change keeps it. image: for the first time.
        """
        recorded = self._recorded()
        if recorded is not None and self.synthesize(recorded, out) == self.stack.template():
            return False
        self.synthesize(running or image, out)
        _run([*self._cdk, "deploy", "--app", str(out), "--require-approval", "never", "--ci", self.stack.name])
        return True

    def _recorded(self) -> str | None:
        """The image in the stack's template, which releases since then do not change; None if there is no stack."""
        template = self.stack.template()
        if template is None:
            return None
        found = images_in(template)
        if len(found) != 1:
            raise ReleaseError(f"the template of {self.stack.name} names {len(found)} images by digest; expected one")
        return found.pop()


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, text=True, check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)  # fmt: skip
    except FileNotFoundError:
        raise ReleaseError(
            f"{command[0]} is not there. make setup-deploy makes .venv-deploy; npx comes with Node.js"
        ) from None
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(command[:3])} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout
