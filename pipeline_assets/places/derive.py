"""From ports and regions as they are written to a tree that holds, and every port of each region. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pipeline_assets.landed_file import Refused
from pipeline_assets.places.read import PORTS, REGIONS, Place, Places
from pipeline_assets.places.schema import CODE

_MOST_SHOWN = 10


def checked_tables(places: Places, config: Any) -> dict[str, Mapping[str, Any]]:
    """Rows of regions, ports and closure. Raises Refused for a tree that does not hold."""
    _each_once(places.regions, "slug", REGIONS)
    _each_once(places.ports, "code", PORTS)
    regions = {one.code: one for one in places.regions}
    _codes_are_codes(places.ports)
    _refuse_if(
        [port for port in places.ports if port.code in regions],
        "clash",
        PORTS,
        "ports whose code is the slug of a region, so that a query could mean either",
    )
    _refuse_if(
        [one for one in places.regions if one.parent and one.parent not in regions],
        "orphan",
        REGIONS,
        f"regions whose parent_slug is no slug of {REGIONS}",
    )
    _refuse_if(
        [one for one in places.ports if one.parent not in regions],
        "orphan",
        PORTS,
        f"ports whose parent_slug is no slug of {REGIONS}",
    )
    above = _above(regions)
    closure = [
        (region, port.code, depth)
        for port in places.ports
        for depth, region in enumerate((port.parent, *above[port.parent]))
    ]
    return {
        "regions": {
            "slug": [one.code for one in places.regions],
            "name": [one.name for one in places.regions],
            "parent_slug": [one.parent or None for one in places.regions],
            "depth": np.array([len(above[one.code]) for one in places.regions], np.int32),
        },
        "ports": {
            "code": [one.code for one in places.ports],
            "name": [one.name for one in places.ports],
            "region_slug": [one.parent for one in places.ports],
        },
        "closure": {
            "region_slug": [row[0] for row in closure],
            "port_code": [row[1] for row in closure],
            "depth": np.array([row[2] for row in closure], np.int32),
        },
    }


def _above(regions: Mapping[str, Place]) -> dict[str, tuple[str, ...]]:
    """For each region those above it, from its parent to the root. Raises Refused for a region that is above itself."""
    above: dict[str, tuple[str, ...]] = {}
    for slug in regions:
        path: list[str] = []
        at = slug
        while at and at not in above:
            if at in path:
                ring = [*path[path.index(at) :], at]
                raise Refused(
                    "cycle",
                    f"regions are above themselves: {' in '.join(map(repr, ring[: _MOST_SHOWN + 1]))}. Give one of them "
                    "another parent_slug.",
                    location=f"{REGIONS} line {regions[at].line}",
                )
            path.append(at)
            at = regions[at].parent
        for one in reversed(path):
            parent = regions[one].parent
            above[one] = (parent, *above[parent]) if parent else ()
    return above


def _each_once(places: Iterable[Place], what: str, kind: str) -> None:
    seen: set[str] = set()
    twice = []
    for one in places:
        twice += [one] if one.code in seen else []
        seen.add(one.code)
    _refuse_if(twice, f"duplicate_{what}", kind, f"lines whose {what} an earlier line has")


def _codes_are_codes(ports: Iterable[Place]) -> None:
    wrong = [port for port in ports if not re.match(CODE, port.code)]
    _refuse_if(wrong, "wrong_code", PORTS, "ports whose code is no UN/LOCODE (two letters, three letters or digits)")


def _refuse_if(wrong: list[Place], error_class: str, kind: str, what: str) -> None:
    if not wrong:
        return
    shown = ", ".join(f"{one.code} (line {one.line})" for one in wrong[:_MOST_SHOWN])
    more = f" and {len(wrong) - _MOST_SHOWN} more" if len(wrong) > _MOST_SHOWN else ""
    raise Refused(
        error_class,
        f"{kind} has {what}: {shown}{more}. Nothing of the delivery was taken over; mend it and land it again.",
        location=f"{kind} line {wrong[0].line}",
    )
