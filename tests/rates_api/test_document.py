"""The OpenAPI document and the API say the same: schemathesis makes requests from the one and holds the answers against it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.crash.sessions import own_environment
from tests.landing.servers import free_ports
from tests.rates_api.deployment import TOKEN, Api, Deployment

EXAMPLES = 6
"""Of each operation, beside those that the document's limits call for."""
CONFIG = """
[checks.positive_data_acceptance]
# A well-formed request can ask for a port that there is not, or for days in the wrong order.
expected-statuses = ["2xx", "400", "404", "409", "422"]
"""


def test_schemathesis_finds_nothing(deployment: Deployment, tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    command = Path(sys.executable).with_name("schemathesis")
    with Api(deployment.environment, free_ports(1)[0], tmp_path / "api.log") as api:
        done = subprocess.run(
            [
                str(command), "--config-file", str(config), "run", f"{api.address}/openapi.json", "--checks", "all",
                "--header", f"Authorization: Bearer {TOKEN}", "--max-examples", str(EXAMPLES), "--seed", "7",
                "--generation-database", "none", "--no-color",
            ],
            cwd=tmp_path, env=own_environment(), capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        told = api.get("/metrics")[1]
    assert done.returncode == 0, done.stdout
    assert "6 selected / 6 total" in done.stdout
    answered = {
        (method, route, status): float(count)
        for method, route, status, count in re.findall(
            r'requests_total\{method="(\w+)",route="([^"]+)",status="(\d+)"\} (\S+)', told
        )
    }
    assert answered["GET", "/rates", "200"] > 0
    assert answered["POST", "/rates", "202"] > 0
    assert sum(answered.values()) > 200
    failed = [(route, status) for _, route, status in answered if status.startswith("5")]
    assert set(failed) <= {("/readyz", "503")}, "only while it opened"
