"""`strandline dev` with the soak's sources in place of the platform's own: ``python -m bench.soak.dev -p PORT``."""

from __future__ import annotations

import sys
from pathlib import Path

from cli.dev import run_dagster_dev
from resources.settings import Settings

if __name__ == "__main__":
    run_dagster_dev(Settings.load(), sys.argv[1:], workspace=Path(__file__).with_name("workspace.yaml"))
