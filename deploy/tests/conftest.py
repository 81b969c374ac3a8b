"""Templates, made once for all tests: synthesizing one takes seconds."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.aws.app import synth
from deploy.aws.examples import example
from deploy.tests.template import Template

VARIANTS: Mapping[str, dict[str, str]] = {
    "prod": example("prod"),
    "small": example("small"),
    "dev": example("dev"),
    # All that can be switched on.
    "full": {
        **example("prod"),
        "namespace": "all_of_it",
        "posting": "yes",
        "task_per_step": "bathymetry",
        "caris": "yes",
        "caris_ami": "ami-0123456789abcdef0",
        "caris_installer": "s3://installers/caris/setup.exe",
    },
    # Somebody else's bucket, and a second deployment of the account.
    "foreign": {
        **example("dev"),
        "namespace": "other",
        "landing": "s3://a-university/exports",
        "listing_only": "yes",
    },
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the templates are, as NAME/*.template.json. STRANDLINE_TEMPLATES: a folder that has them, to try a test on."""
    if "STRANDLINE_TEMPLATES" in os.environ:
        return Path(os.environ["STRANDLINE_TEMPLATES"])
    base = tmp_path_factory.mktemp("templates")
    for name, context in VARIANTS.items():
        synth(context, base / name)
    synth({"region": "us-east-1", "github": "example/strandline"}, base / "account", is_account=True)
    return base


@pytest.fixture(scope="session")
def paths(folder: Path) -> dict[str, Path]:
    return {name: next((folder / name).glob("*.template.json")) for name in [*VARIANTS, "account"]}


@pytest.fixture(scope="session")
def templates(paths: Mapping[str, Path]) -> dict[str, Template]:
    return {name: Template(json.loads(path.read_text(encoding="utf-8"))) for name, path in paths.items()}


@pytest.fixture(params=VARIANTS)
def template(request: pytest.FixtureRequest, templates: Mapping[str, Template]) -> Template:
    """Each of the deployments in turn."""
    return templates[request.param]


@pytest.fixture(params=["prod", "small", "full"])
def fronted(request: pytest.FixtureRequest, templates: Mapping[str, Template]) -> Template:
    """Those with a load balancer."""
    return templates[request.param]
