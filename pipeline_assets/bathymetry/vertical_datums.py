"""Vertical datums by the names that people and files give them."""

from __future__ import annotations

VERTICAL_DATUMS = {
    "MSL": ("mean sea level", "2005"), "LAT": ("lowest astronomical tide", "2005"), "MLLW": ("mean lower low water", "2005"),
    "MLW": ("mean low water", "2005"), "MHW": ("mean high water", "2005"), "MHHW": ("mean higher high water", "2005"),
    "CD": ("chart datum", "2000"), "AHD": ("Australian Height Datum", "2005"), "Ellipsoid": ("ellipsoid", "2002"),
}  # fmt: skip
"""Short names, what they stand for, and their kind in WKT 1: 2005 of the sea or a geoid, 2002 of the ellipsoid, 2000 other."""

UNDECLARED = frozenset({"", "unknown", "undefined", "none", "//", "n/a"})

_SHORT = {name.lower(): short for short, (long, _) in VERTICAL_DATUMS.items() for name in (short, long)}


def short_name(datum: str) -> str:
    """The short name of a datum that is known; any other as it is."""
    return _SHORT.get(datum.strip().lower(), datum.strip())


def is_declared(datum: str) -> bool:
    return datum.strip().lower() not in UNDECLARED


def wkt(datum: str) -> str:
    """WKT 1 of a vertical datum by any of its names; a text that is WKT stays as it is."""
    if datum.strip().upper().startswith(("VERT_CS[", "VERTCRS[", "COMPD_CS[")):
        return datum.strip()
    name, kind = VERTICAL_DATUMS.get(short_name(datum), (datum.strip() or "unknown", "2000"))
    name = name.replace('"', "'")
    return f'VERT_CS["{name}",VERT_DATUM["{name}",{kind}],UNIT["metre",1],AXIS["Up",UP]]'
