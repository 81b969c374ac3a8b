"""What linters have to say of templates, workflows and the Dockerfile: nothing, but where a waiver says why."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.tests.template import Template

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


def test_cfn_lint_finds_nothing(paths: Mapping[str, Path]) -> None:
    command = [BIN / "cfn-lint", "--format", "json", "--regions", "us-east-1", "--", *paths.values()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    found = [
        f"{one['Rule']['Id']} {one['Location'].get('Path')}: {one['Message']}"
        for one in json.loads(done.stdout or "[]")
    ]
    assert done.returncode == 0, "\n".join(found) or done.stderr


def test_checkov_finds_nothing_that_is_not_waived_and_sees_what_is_wrong(
    paths: Mapping[str, Path], tmp_path: Path
) -> None:
    for name, path in paths.items():
        (tmp_path / f"{name}.template.json").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    # So that silence is not the tool's.
    open_database = {
        "Type": "AWS::RDS::DBInstance",
        "Properties": {"PubliclyAccessible": True, "StorageEncrypted": False},
    }
    (tmp_path / "bad.template.json").write_text(
        json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Open": open_database}})
    )
    command = [
        BIN / "checkov",
        "--directory",
        tmp_path,
        "--framework",
        "cloudformation",
        "--output",
        "json",
        "--compact",
        "--quiet",
        "--skip-download",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    report = json.loads(done.stdout)
    failed = report["results"]["failed_checks"]
    assert {"CKV_AWS_17", "CKV_AWS_16"} <= {one["check_id"] for one in failed if one["resource"].endswith(".Open")}
    found = {
        f"{one['check_id']} {one['file_path']} {one['resource']}: {one['check_name']}"
        for one in failed
        if not one["resource"].endswith(".Open")
    }
    assert not found, "\n".join(sorted(found))
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 300


def test_every_waiver_says_why(templates: Mapping[str, Template]) -> None:
    seen = 0
    for template in templates.values():
        for name, resource in template.resources.items():
            for waived in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
                assert len(waived["comment"].split()) >= 5, (name, waived)
                seen += 1
    assert seen


@pytest.mark.parametrize(
    "command",
    [
        ("zizmor", "--offline", "--no-progress", ".github/workflows"),
        ("hadolint", "deploy/Dockerfile"),
    ],
    ids=lambda command: command[0],
)
def test_workflows_and_image_pass_their_linters(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
