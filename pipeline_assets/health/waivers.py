"""Errors against a schema that are let pass, because somebody decided so, for one client and until a day."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pipeline_assets.health.schemas import MappingError

ANY = "*"


@dataclass(frozen=True)
class Waiver:
    """One decision. It holds for errors of a schema and a file (each by name, or any), of an app, for clients and messages
    that match, until the end of a day."""

    name: str
    schema: str
    file: str
    app: str
    client: re.Pattern[str]
    message: re.Pattern[str]
    expires: date

    def covers(self, schema_id: str, file: str, app: str, client: str, message: str) -> bool:
        """Whether the error is of its kind, be it expired or not."""
        return (
            self.schema in (ANY, schema_id)
            and self.file in (ANY, file)
            and self.app in (ANY, app)
            and self.client.search(client) is not None
            and self.message.fullmatch(message) is not None
        )


def read_waivers(entries: Iterable[Mapping[str, Any]], origin: str = "waivers.json") -> tuple[Waiver, ...]:
    """The waivers of a file. Raises MappingError: one without an end, a client or a message would let anything pass."""
    waivers = []
    for entry in entries:
        try:
            unknown = set(entry) - {"name", "schema", "file", "app", "client", "message", "expires"}
            if unknown:
                raise ValueError(f"nothing is called {', '.join(sorted(unknown))}")
            waivers.append(
                Waiver(
                    name=str(entry["name"]),
                    schema=str(entry["schema"]),
                    file=str(entry.get("file", ANY)),
                    app=str(entry.get("app", ANY)),
                    client=re.compile(entry["client"]),
                    message=re.compile(entry["message"], re.DOTALL),
                    expires=date.fromisoformat(entry["expires"]),
                )
            )
        except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
            raise MappingError(
                f"{origin}: {entry!r} is no waiver ({error}). Expected name, schema ($id or *), client and message (regular "
                "expressions), expires (YYYY-MM-DD) and, if it is for those only, file and app"
            ) from error
    names = [waiver.name for waiver in waivers]
    if len(set(names)) != len(names):
        raise MappingError(f"{origin}: every waiver needs a name of its own: {names}")
    return tuple(waivers)
