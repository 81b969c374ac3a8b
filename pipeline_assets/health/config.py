"""What can be set about mobile-health archives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from pipeline_assets.archives import ArchiveLimits
from pipeline_assets.health.mapping import DEFAULT_APP


def _none_from_text(value: Any) -> Any:
    """'' -> None; anything else is left to pydantic."""
    return None if isinstance(value, str) and not value.strip() else value


def _study_pattern(value: str) -> str:
    """A pattern with the group it needs. Raises ValueError."""
    if "study" not in re.compile(value).groupindex:
        raise ValueError("expected a regular expression with the group (?P<study>...)")
    return value


Versions = tuple[tuple[str, str], ...]
"""Datasets as the mapping names them, each with the version that its documents go to, in order."""


class HealthConfig(BaseModel):
    """Where the mapping files are, and the sizes up to which archives are unpacked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schemas: Annotated[Path | None, BeforeValidator(_none_from_text)] = Field(
        None,
        description="folder with the mapping files and JSON Schemas; what it lacks is Strandline's own. Default: those alone",
    )
    app: str = Field(
        DEFAULT_APP,
        min_length=1,
        description="app of records whose annotations name none (appid), for the look-up of schemas",
    )
    max_unpacked_mb: float = Field(
        1000.0, gt=0, description="size that an archive may unpack to, MB (10^6 bytes); guards against archive bombs"
    )
    max_document_mb: float = Field(
        64.0,
        gt=0,
        description="size of a JSON document that is no list, and of one element of a list, MB. Lists are read in pieces "
        "and are as long as they like",
    )
    max_members: int = Field(1000, ge=1, description="files that an archive may have")

    sidecar: Literal["optional", "wait"] = Field(
        "optional",
        description="whether an archive waits for its FILE.metadata.json; not for a bucket, which has it with the object",
    )
    study_pattern: Annotated[str, AfterValidator(_study_pattern)] = Field(
        r"health/(?P<study>[^/]+)/.+",
        description="regular expression of whole keys with a group `study`; a key that it does not match is of no study",
    )

    breaking_change: Literal["open", "hold"] = Field(
        "open",
        description="what becomes of a batch whose dataset's tables cannot take a change of its schema: a new version of the "
        "dataset is opened for it, or it is held for a person to do so",
    )
    listing: Annotated[str | None, BeforeValidator(_none_from_text)] = Field(
        None,
        description="the records that the source has: a .csv, .json or .ndjson file, python:MODULE:FUNCTION, or synapse:VIEW; "
        "with it, completeness is looked at by schedule",
    )
    candidate_schemas: Annotated[Path | None, BeforeValidator(_none_from_text)] = Field(
        None, description="folder of schemas that the asset health/sample tries, unless its run names another"
    )

    @property
    def limits(self) -> ArchiveLimits:
        size = int(self.max_unpacked_mb * 1e6)
        return ArchiveLimits(
            members=self.max_members,
            member_bytes=size,
            total_bytes=size,
            setting="STRANDLINE_HEALTH_MAX_UNPACKED_MB",
            members_setting="STRANDLINE_HEALTH_MAX_MEMBERS",
        )

    @property
    def opened(self) -> Versions:
        """The versions that breaking changes opened; only a run knows them."""
        return ()

    @property
    def max_document_bytes(self) -> int:
        return int(self.max_document_mb * 1e6)


class RunConfig(HealthConfig):
    """The same with the versions of datasets that a run reads for."""

    versions: Versions = ()

    @property
    def opened(self) -> Versions:
        return self.versions
