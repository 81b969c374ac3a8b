"""Dagster's instance of this deployment, below STRANDLINE_HOME."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from resources.settings import Settings

_TEMPLATE = Path(__file__).parent.parent / "deploy" / "local" / "dagster.yaml"


def use_dagster_home(settings: Settings) -> Path:
    """Make the instance's folder if need be, and let this process and its children use it.

    An instance chosen from outside (DAGSTER_HOME is set) is left as it is.
    """
    chosen = os.environ.get("DAGSTER_HOME")
    if chosen:
        return Path(chosen)
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        shutil.copyfile(_TEMPLATE, config)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    return home
