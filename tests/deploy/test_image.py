"""Each role in a built image, as its user, by its own command and health check: `TEST_IMAGE=localhost/strandline:local`.

The image is built by hand (`python -m deploy.release build --with buildah`), which takes minutes. Ports are the roles' own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.elf import loaded, without_symbols
from deploy.roles import APP, DAGSTER_HOME, HOME, ROLES, USER_ID, WORKSPACE
from tests.checkout import ROOT
from tests.deploy.local import wait_until

IMAGE = os.environ.get("TEST_IMAGE", "")
pytestmark = [
    pytest.mark.skipif(not IMAGE, reason="TEST_IMAGE names no image"),
    pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed"),
]
ENVIRONMENT = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": os.environ.get("STORAGE_DRIVER", "vfs")}
SECONDS = 400.0


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], env=ENVIRONMENT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def container() -> Iterator[str]:
    """On one machine: SQLite for Dagster, and the code location at the next port."""
    made = buildah("from", IMAGE)
    root = Path(buildah("mount", made))
    (root / DAGSTER_HOME.lstrip("/") / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    server = "{host: 127.0.0.1, port: 4000, location_name: strandline}"
    (root / WORKSPACE.lstrip("/")).write_text(f"load_from:\n  - grpc_server: {server}\n")
    yield made
    buildah("rm", made)


def inside(container: str, command: tuple[str, ...], **environment: str) -> list[str]:
    given = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
    # The user is the image's own.
    return ["buildah", "run", *given, container, "--", *command]


def test_it_runs_as_nobody_in_particular_and_can_write_in_two_places(container: str) -> None:
    code = (
        "import os; print(os.getuid(), [p for p in "
        f"('{APP}', '{HOME}', '{DAGSTER_HOME}', '{WORKSPACE}', '/opt/venv', '/etc') if os.access(p, os.W_OK)])"
    )
    done = subprocess.run(
        inside(container, ("python", "-c", code)), env=ENVIRONMENT, text=True, capture_output=True, check=True
    )
    assert done.stdout.strip() == f"{USER_ID} ['{HOME}', '{DAGSTER_HOME}']"


@pytest.mark.timeout(1800)
def test_each_role_starts_and_is_healthy(container: str, tmp_path: Path) -> None:
    ports = [role.port for role in ROLES.values() if role.port]
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"somebody listens on port {port}")
    # Nobody listens there: the API lives while its database is away.
    database = {"STRANDLINE_SERVING_URL": "postgresql://a:b@127.0.0.1:1/c"}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name in ("code", "webserver", "rates-api", "daemon"):
            role = ROLES[name]
            with (tmp_path / f"{name}.log").open("wb") as log:
                command = inside(container, role.command, **database, **role.environment)
                started.append(
                    subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log, start_new_session=True)
                )
            check = inside(container, role.health or (), **role.environment)
            wait_until(
                lambda check=check: (
                    subprocess.run(check, env=ENVIRONMENT, capture_output=True, check=False).returncode == 0
                ),  # type: ignore[misc]
                f"{name} healthy; its log: {tmp_path / name}.log",
                SECONDS,
                every=3.0,
            )
        reload = inside(container, ("python", "deploy/reload.py", "http://127.0.0.1:3000"))
        done = subprocess.run(reload, env=ENVIRONMENT, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, "strandline is loaded\n"), done.stderr
    finally:
        for process in started:
            os.killpg(process.pid, 15)
        for process in started:
            process.wait(60)


@pytest.mark.timeout(1800)
def test_every_source_is_read_and_every_product_made_as_outside(container: str, tmp_path: Path) -> None:
    """Readers, derived columns, tables, aggregates, products with their pictures, and the PostgreSQL server that comes along."""
    script = ROOT / "tests/deploy/every_source.py"
    outside = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "home")], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert outside.returncode == 0, outside.stderr[-3000:]
    within = subprocess.run(
        inside(container, ("python", "-", f"{HOME}/every_source")), env=ENVIRONMENT, input=script.read_text(),
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert within.returncode == 0, within.stderr[-3000:]
    expected, found = json.loads(outside.stdout), json.loads(within.stdout)
    assert {key.partition("/")[0] for key in expected["files"]} == {
        "bathymetry", "ecg", "health", "ocean", "places", "rates",
    }  # fmt: skip
    assert {".gpkg", ".shp", ".tif", ".bag", ".nc", ".png", ".gsf"} <= {
        Path(name).suffix for name in expected["products"]
    }
    assert found == expected


def test_nothing_more_than_a_run_needs(container: str) -> None:
    packages = next((Path(buildah("mount", container)) / "opt/venv/lib").glob("python3*/site-packages"))
    assert not list(packages.glob("*/tests/test_*.py"))
    assert not list(packages.rglob("*.js.map"))
    assert not (packages / "pip").exists()
    libraries = [path for path in packages.rglob("*.so*") if not path.is_symlink()]
    assert len(libraries) > 400
    for path in libraries:
        content = path.read_bytes()
        assert loaded(content) is None or len(without_symbols(content)) == len(content), path
