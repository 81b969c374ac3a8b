"""Dagster's instance of a new home."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

OPEN = """
from pathlib import Path
from cli.instance import make_databases
from resources.settings import Settings
make_databases(Settings(home=Path("home")))
from dagster import DagsterInstance
with DagsterInstance.get() as instance:
    instance.add_dynamic_partitions("toy_batches", ["one"])
    assert instance.get_runs_count() == 0
"""


def test_processes_that_begin_a_home_at_once_do_not_spoil_it(tmp_path: Path) -> None:
    begun = [
        subprocess.Popen([sys.executable, "-c", OPEN], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    errors = [process.communicate()[1] for process in begun]
    assert [process.returncode for process in begun] == [0, 0, 0, 0], errors
