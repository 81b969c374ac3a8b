"""Whether a source's files come as often as they are expected: Dagster's freshness policy, and a check that asks the ledger.

The policy goes by materializations, so doing an old batch again makes an asset look fresh; the check goes by what landed.
"""

# No postponed annotations here: Dagster reads those of the functions below.

from datetime import UTC, datetime, timedelta

import dagster as dg

from pipeline_assets.source import FileSource
from resources.ledger.queries import last_seen
from resources.platform import Platform
from resources.settings import Settings

FRESHNESS = "freshness"

_FAIL_AFTER = 2
"""Late after once the time, missing after twice: our own."""


def expected_every(source: FileSource, settings: Settings) -> timedelta | None:
    """How often files are expected: what the settings say, else what the source declares."""
    hours = settings.expect_every_hours.get(source.name)
    return source.expect_every if hours is None else timedelta(hours=hours)


def freshness_policy(every: timedelta) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.time_window(fail_window=_FAIL_AFTER * every, warn_window=every)


def build_freshness_check(source: FileSource, every: timedelta, key: dg.AssetKey) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=key,
        name=FRESHNESS,
        description=f"A new file of {source.name} was seen in the last {in_words(every)}. Twice that without one is an error.",
    )
    def freshness(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
        return freshness_result(platform, source, every, key)

    return freshness


def freshness_result(
    platform: Platform, source: FileSource, every: timedelta, key: dg.AssetKey, now: datetime | None = None
) -> dg.AssetCheckResult:
    """By the time at which the platform saw the newest file: a file that is copied may bring an old time of its own."""
    seen = last_seen(platform.ledger, source.name)
    age = (now or datetime.now(UTC)) - seen if seen else None
    is_missing = age is None or age >= _FAIL_AFTER * every
    told = f"the newest file was seen {in_words(age)} ago" if age is not None else "no file has landed yet"
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=FRESHNESS,
        passed=age is not None and age < every,
        severity=dg.AssetCheckSeverity.ERROR if is_missing else dg.AssetCheckSeverity.WARN,
        description=f"{told}; one is expected every {in_words(every)}. Whether files wait unseen: strandline doctor",
        metadata={
            "expected every": in_words(every),
            **({"newest file seen": dg.MetadataValue.timestamp(seen)} if seen else {}),
        },
    )


def in_words(time: timedelta) -> str:
    """In the largest unit of which there are two or more: 90 s, 61 min, 24 h, 3 days."""
    for unit, seconds in (("days", 86_400), ("h", 3600), ("min", 60)):
        if time.total_seconds() >= 2 * seconds:
            return f"{round(time.total_seconds() / seconds, 1):g} {unit}"
    return f"{round(time.total_seconds())} s"
