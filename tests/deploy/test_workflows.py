"""The workflows: pinned, with no more rights than they need, and made of steps that run anywhere."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from deploy.release.__main__ import _parser
from tests.checkout import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}")
RELEASE = ".venv/bin/python -m deploy.release "


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            yield path.name, name, job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for file, name, job in jobs():
        for step in job.get("steps", []):
            yield f"{file} {name}", step


def test_there_are_those_that_the_documents_name() -> None:
    assert [path.stem for path in WORKFLOWS] == ["checks", "deploy", "image", "pull-request", "release", "roll-back"]


def test_actions_of_others_are_pinned_by_commit() -> None:
    used = [(where, step["uses"]) for where, step in steps() if "uses" in step]
    assert used
    for where, action in used:
        assert PINNED.fullmatch(action), f"{where}: {action}"
    for path in WORKFLOWS:
        for line in path.read_text().splitlines():
            if "uses: " in line and "./" not in line:
                assert re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), f"{path.name}: {line}"


def test_nothing_has_rights_but_what_a_job_names() -> None:
    for path in WORKFLOWS:
        assert yaml.safe_load(path.read_text())["permissions"] == {}, path.name
    allowed = {"contents": "read", "id-token": "write", "pull-requests": "write"}
    for file, name, job in jobs():
        assert job["permissions"].items() <= allowed.items(), f"{file} {name}"
    for where, step in steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, where


def test_no_key_of_aws_is_kept() -> None:
    for path in WORKFLOWS:
        text = path.read_text().lower()
        assert "access-key" not in text
        assert "aws_secret" not in text
        secrets = set(re.findall(r"secrets\.(\w+)", text))
        assert secrets <= {"slack_token"}, path.name


def test_nothing_from_outside_is_pasted_into_a_command() -> None:
    for where, step in steps():
        assert "${{" not in step.get("run", ""), where


def test_every_step_runs_anywhere() -> None:
    """It is one command: of this repository, with arguments that it takes."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)) | {"setup-deploy"}
    seen = set()
    for where, step in steps():
        command = step.get("run", "").strip()
        if not command or command == ".ci/run":
            continue
        assert "\n" not in command, where
        words = shlex.split(command)
        if words[0] == "make":
            assert set(words[1:]) <= targets, f"{where}: {command}"
            continue
        assert command.startswith(RELEASE), f"{where}: {command}"
        filled = re.sub(r"\$\w+", "value", command.removeprefix(RELEASE).replace("$NUMBER", "7"))
        seen.add(_parser().parse_args(shlex.split(filled)).does.__name__)
    assert seen == {
        "build",
        "push",
        "image",
        "namespace",
        "diff",
        "infrastructure",
        "release",
        "regression",
        "tear_down",
    }


def test_production_comes_after_the_regression_on_staging() -> None:
    found = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())["jobs"]
    assert found["staging"]["with"]["regression"] is True
    assert set(found["production"]["needs"]) == {"image", "staging"}
    assert found["production"]["with"]["image"] == found["staging"]["with"]["image"]
    assert found["image"]["needs"] == "checks"
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]["release"]["steps"]
    order = [step["run"].split()[3] for step in release if RELEASE in step.get("run", "")]
    assert order == ["infrastructure", "release", "regression"]


def test_actionlint_finds_nothing() -> None:
    found = shutil.which("actionlint")
    if found is None:
        pytest.skip("actionlint is not installed here, and no wheel of PyPI brings it")
    done = subprocess.run(
        [found, "-no-color", *map(str, WORKFLOWS)], cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
