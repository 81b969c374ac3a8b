"""The platform as a command uses it: from the environment, with logs set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resources.platform import Platform


def opened_platform() -> Platform:
    from resources.logs import configure_logs
    from resources.platform import Platform

    platform = Platform.from_environment()
    configure_logs(platform.settings)
    return platform
