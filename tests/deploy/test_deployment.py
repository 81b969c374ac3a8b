"""The roles of the image, started from the wheel; and a code location that is replaced while a run is under way."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.release.errors import ReleaseError, Unhealthy
from deploy.release.patience import Patience
from deploy.release.rollout import Rollout
from deploy.release.services import Service
from deploy.roles import ROLES
from tests.checkout import ROOT
from tests.deploy.local import START_SECONDS, Forwarder, Image, Running, free_port, graphql, wait_until

SWAP = Path(__file__).parent / "swap"
DIGEST = f"@sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image(tmp_path_factory.mktemp("image"))


def write_instance(image: Image, port: int, more: str = "") -> None:
    """port: of the code location."""
    image.dagster_home.joinpath("dagster.yaml").write_text(f"telemetry:\n  enabled: false\n{more}")
    server = f"{{host: 127.0.0.1, port: {port}, location_name: strandline}}"
    image.workspace.write_text(f"load_from:\n  - grpc_server: {server}\n")


def test_each_role_starts_and_is_healthy(image: Image) -> None:
    ports = {name: free_port() for name in ("code", "webserver", "rates-api")}
    write_instance(image, ports["code"])
    running: list[Running] = []
    try:
        # Nobody listens there: a deployment's API lives while its database is away.
        api = image.start("rates-api", ports["rates-api"], STRANDLINE_SERVING_URL="postgresql://a:b@127.0.0.1:1/c")
        running.append(api)
        assert api.health() == 1, "it cannot be healthy this early"
        for name in ("code", "webserver", "daemon"):
            running.append(image.start(name, ports.get(name)))
        for one in running:
            one.wait_until_healthy()
        code = next(one for one in running if one.role.name == "code")
        loaded = subprocess.run(
            ["python", "deploy/reload.py", f"http://127.0.0.1:{ports['webserver']}"],
            cwd=image.app, env=image.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (loaded.returncode, loaded.stdout) == (0, "strandline is loaded\n"), loaded.stderr
        code.stop()
        assert code.health() == 1
    finally:
        for one in running:
            one.stop()


class LocalCluster:
    """The code location of one namespace as processes here, for `Rollout`: a definition is an image's name."""

    namespace = "test"

    def __init__(self, image: Image, forwarder: Forwarder, folder: Path) -> None:
        self._image, self._forwarder, self._folder = image, forwarder, folder
        self.current: Running | None = None
        self.next: Running | None = None
        self.definition = ""
        self.was_stopped: list[str] = []

    def services(self) -> list[Service]:
        return [Service("code", self.definition, 1, True, {})]

    def image_of(self, definition: str, container: str) -> str:
        return definition

    def running_image(self) -> str:
        return self.definition

    def run_definition(self) -> str:
        return self.definition

    def register(self, definition: str, container: str, image: str, run_definition: str | None = None) -> str:
        return image

    def deregister(self, definition: str) -> None:
        pass

    def update(self, role: str, definition: str) -> None:
        if definition == self.definition:  # it still runs: nothing was taken from it
            return
        module = ["dagster", "api", "grpc", "-m", "swapped", "-h", "0.0.0.0", "-p", "4000"]
        environment = {**self.environment, "DAGSTER_CURRENT_IMAGE": definition}
        self.next = Running(self._image, ROLES["code"], free_port(), environment, module)

    @property
    def environment(self) -> dict[str, str]:
        return {**self._image.environment, "PYTHONPATH": str(SWAP), "SWAP_FOLDER": str(self._folder)}

    def wait_until_healthy(self, role: str, definition: str, patience: Patience) -> None:
        if definition == self.definition:
            return
        new = self.next
        assert new is not None

        def look() -> bool | None:
            if new.process.poll() is not None:
                raise Unhealthy(f"code ended with {new.process.returncode}")
            return new.health() == 0 or None

        if not patience.wait(look):
            raise Unhealthy("code is not healthy")
        self._forwarder.target = new.port
        if self.current is not None:
            self.current.stop()
            self.was_stopped.append(self.definition)
        self.current, self.definition = new, definition

    def close(self) -> None:
        for one in (self.current, self.next):
            if one is not None:
                one.stop()


@pytest.fixture
def cluster(image: Image, tmp_path: Path) -> Iterator[LocalCluster]:
    forwarder = Forwarder()
    # Without a daemon nothing would take runs out of a queue.
    runs = (
        "run_launcher: {module: process_launcher, class: ProcessLauncher}\n"
        "run_coordinator: {module: dagster._core.run_coordinator, class: DefaultRunCoordinator}\n"
    )
    write_instance(image, forwarder.port, runs)
    made = LocalCluster(image, forwarder, tmp_path)
    yield made
    made.close()
    forwarder.close()


LAUNCH = """
mutation Launch { launchRun(executionParams: {selector: {repositoryLocationName: "strandline", repositoryName: "__repository__",
  jobName: "waiting"}}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


def launch(port: int) -> str:
    answer = graphql(port, LAUNCH)["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def status(port: int, run_id: str) -> str:
    return str(graphql(port, STATUS, id=run_id)["runOrError"]["status"])


def test_a_run_ends_on_the_image_that_it_began_with(cluster: LocalCluster, image: Image, tmp_path: Path) -> None:
    port = free_port()
    webserver: Running | None = None
    said: list[str] = []

    def reload() -> None:
        command = ["python", "deploy/reload.py", f"http://127.0.0.1:{port}"]
        done = subprocess.run(
            command, cwd=image.app, env=image.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ReleaseError(done.stderr)

    rollout = lambda: Rollout(cluster, reload, said.append, Patience(START_SECONDS, 0.8))  # type: ignore[arg-type]  # noqa: E731
    try:
        first = f"first{DIGEST}"
        cluster.update("code", first)
        cluster.wait_until_healthy("code", first, Patience(START_SECONDS, 0.8))
        webserver = image.start("webserver", port, **cluster.environment)
        webserver.wait_until_healthy()
        under_way = launch(port)
        wait_until((tmp_path / f"{under_way}.started").exists, "the run has started")

        assert rollout().run(f"second{DIGEST}")
        assert cluster.was_stopped == [first], "the old code location is gone while the run goes on"
        assert status(port, under_way) == "STARTED"

        with pytest.raises(Unhealthy):
            rollout().run(f"broken{DIGEST}")
        after = launch(port)
        for run_id in (under_way, after):
            (tmp_path / f"{run_id}.may_end").touch()
        for run_id, on in ((under_way, "first"), (after, "second")):
            wait_until(lambda run_id=run_id: status(port, run_id) == "SUCCESS", f"{run_id} has ended")  # type: ignore[misc]
            assert (tmp_path / f"{run_id}.started").read_text() == on
            assert (tmp_path / f"{run_id}.ended").read_text() == on
    finally:
        if webserver is not None:
            webserver.stop()
    assert "the webserver has loaded the new code location" in said


def test_the_wheel_is_all_that_the_roles_see(image: Image) -> None:
    code = "import pipeline_assets, resources.settings; print(pipeline_assets.__file__); print(resources.settings.__file__)"
    found = subprocess.run(
        ["python", "-c", code], cwd=image.app, env=image.environment, text=True, capture_output=True, check=True
    ).stdout.splitlines()
    assert all(path.startswith(str(image.app.parent / "venv")) for path in found)
    assert not any(path.startswith(f"{ROOT}/") for path in found)
