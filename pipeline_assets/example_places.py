"""Generated ports and regions of the size of a real set: 143 ports in 20 regions, four levels deep.

The examples of `places` are these, and those of `rates` are prices between them.
"""

from __future__ import annotations

_CHILDREN = {
    "": ("china_main", "northern_europe", "baltic", "mediterranean", "north_america"),
    "china_main": ("china_north_main", "china_east_main", "china_south_main"),
    "northern_europe": ("north_europe_main", "scandinavia", "uk_main"),
    "north_europe_main": ("north_europe_sub", "benelux"),
    "uk_main": ("uk_sub", "thames"),
    "baltic": ("baltic_main",),
    "baltic_main": ("finland_main",),
    "mediterranean": ("med_west", "med_east"),
    "north_america": ("us_west_coast",),
}
_COUNTRY = {
    "china": "CN", "north_europe": "DE", "benelux": "NL", "scandinavia": "NO", "uk": "GB", "thames": "GB", "baltic": "EE",
    "finland": "FI", "med_west": "ES", "med_east": "GR", "us": "US", "northern": "DK", "mediterranean": "IT", "north_america": "CA",
}  # fmt: skip
_KNOWN = {"china_east_main": "CNSGH", "china_south_main": "CNGGZ", "north_europe_main": "NLRTM", "thames": "GBFXT"}
"""Ports that people ask for first."""
PORTS = 143


def regions() -> list[tuple[str, str, str]]:
    """slug, name, parent slug of 20 regions."""
    return [
        (slug, slug.replace("_", " ").title(), parent)
        for parent, children in _CHILDREN.items()
        for slug in children
    ]  # fmt: skip


def ports() -> list[tuple[str, str, str]]:
    """code, name, region of 143 ports. Most are in regions without children, some beside a region's own children."""
    slugs = [slug for slug, _, _ in regions()]
    made: dict[str, tuple[str, str, str]] = {
        code: (code, f"Port of {code[2:].title()}", slug) for slug, code in _KNOWN.items()
    }
    number = 0
    while len(made) < PORTS:
        slug = slugs[(number * 7) % len(slugs)]
        country = next(code for start, code in _COUNTRY.items() if slug.startswith(start))
        letters = "".join(chr(ord("A") + number // 26**place % 26) for place in (2, 1, 0))
        code = f"{country}{letters}"
        made.setdefault(code, (code, f"Port {letters.title()}", slug))
        number += 1
    return list(made.values())
