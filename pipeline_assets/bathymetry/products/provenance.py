"""Where a product comes from: said in each of them, in the words of its format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline_assets.bathymetry.surface import Surface


@dataclass(frozen=True)
class Provenance:
    """survey: its name. profile: that it was judged by. engine, version: what gridded it. inputs: SHA-256 by key.

    commands: what an engine was told, in order. start, end: of the acquisition, as far as they are known. made_at: goes
    into the files; the time of the survey's run, so that the same run makes the same bytes. epoch: of coordinates, such as
    2020.0, in a dynamic CRS. attribution, licence, contact: of whoever publishes. part: which of the survey's surfaces, where its
    cells grow with depth, such as `1m`; empty for the only one, and for all of them together.
    """

    survey: str
    profile: str
    engine: str
    version: str
    made_at: datetime
    inputs: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    epoch: float | None = None
    attribution: str = ""
    licence: str = ""
    contact: str = ""
    abstract: str = ""
    part: str = ""

    @property
    def stem(self) -> str:
        """What the names of the surface's files begin with."""
        return f"{self.survey}_{self.part}" if self.part else self.survey

    def said_of(self, surface: Surface) -> dict[str, Any]:
        """Everything, with how the surface was gridded: for formats that can hold it."""
        return {
            "survey": self.survey,
            "profile": self.profile,
            "engine": self.engine,
            "engine_version": self.version,
            "method": surface.method,
            "parameters": dict(surface.parameters),
            "vertical_datum": surface.vertical_datum,
            "crs": surface.grid.crs,
            "epoch": self.epoch,
            "inputs": dict(self.inputs),
            "commands": list(self.commands),
            "made_at": utc(self.made_at),
        }

    def tags(self, surface: Surface) -> dict[str, str]:
        """The same as short texts by name, for the tags of a TIFF."""
        said = self.said_of(surface)
        return {
            name.upper(): value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, sort_keys=True)
            for name, value in said.items()
            if value not in (None, "", [], {})
        }


def utc(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
