"""Stops the instance of the CARIS host when it has been idle, also when the run that started it died."""

# No postponed annotations here: Dagster reads those of the functions below.

import dagster as dg

from resources.caris_host.config import CarisSettings
from resources.platform import Platform

_INTERVAL_SECONDS = 60


def build_caris_host_sensor(settings: CarisSettings, status: dg.DefaultSensorStatus) -> list[dg.SensorDefinition]:
    """No sensor where there is no instance to stop."""
    if settings.started_instance is None or settings.stop == "never":
        return []

    @dg.sensor(
        name="caris_host",
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=status,
        description="Stops the instance of the CARIS host when nobody has used it for STRANDLINE_CARIS_IDLE_SECONDS.",
    )
    def caris_host(platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
        host = platform.caris_host
        is_stopped = host is not None and host.stop_if_idle()
        return dg.SkipReason(
            f"{host} was idle and is being stopped" if is_stopped else f"{host} is not to be stopped now"
        )

    return [caris_host]
