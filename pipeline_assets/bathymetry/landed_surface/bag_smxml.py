"""What a BAG of version 1.0 to 1.4 says of itself: smXML, an ISO 19139 of its own, with the CRS as names and parameters.

Open Navigation Surface, BAG format 1.0 to 1.4; the CRS as GDAL takes it (ogr_srs_xml.cpp, OGR_SRS_ImportFromISO19115).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline_assets.landed_file import Refused

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_FIRST_ZONES = {"wgs84": (32600, 32700), "wgs72": (32200, 32300), "nad83": (26900, None), "nad27": (26700, None)}
"""EPSG's code of the UTM zones of a datum is this and the zone: of the northern half, and of the southern where it has one."""
_OF_DATUM = {
    "worldgeodeticsystem1984": "wgs84", "wgs1984": "wgs84", "worldgeodeticsystem1972": "wgs72", "wgs1972": "wgs72",
    "northamericandatum1983": "nad83", "nad1983": "nad83", "northamericandatum1927": "nad27", "nad1927": "nad27",
}  # fmt: skip
_ZONES_OF_NORTH_AMERICA = range(1, 24)
UNCERTAINTIES = {
    "rawstddev": "standard deviation", "cubestddev": "standard deviation of CUBE", "productuncert": "product uncertainty",
    "histstddev": "historical standard deviation", "historicalstddev": "historical standard deviation",
    "averagetpe": "average of the soundings' uncertainties",
}  # fmt: skip
"""What a BAG's uncertainties are, by its word for it; of all versions."""


def is_smxml(root: Element) -> bool:
    return any("smXML" in element.tag for element in (root, *root))


def text_at(root: Element, *names: str) -> str:
    """The text of the first element that lies below elements of these names, in that order; empty where there is none.

    Names are without their namespace, for files differ in which elements have one.
    """
    found = root
    for name in names:
        below = (element for element in found.iter() if element is not found and local(element) == name)
        element = next(below, None)
        if element is None:
            return ""
        found = element
    return (found.text or found.get("codeListValue") or "").strip()


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def uncertainty_of(root: Element) -> str:
    """What the uncertainties are, in words; of all versions."""
    said = text_at(root, "verticalUncertaintyType", "BAG_VertUncertCode") or text_at(root, "verticalUncertaintyType")
    return UNCERTAINTIES.get(_plain(said), "") or said[:60] or "unknown"


def horizontal_of(root: Element) -> str:
    """EPSG's code of the CRS. Refused `bag_metadata` where it is no UTM zone of a datum that is known."""
    systems = [element for element in root.iter() if local(element) == "MD_CRS"]
    own = next((one for one in systems if text_at(one, "projection", "code")), None)
    projection = "" if own is None else text_at(own, "projection", "code")
    if own is None or _plain(projection) not in ("utm", "universaltransversemercator"):
        raise _cannot(f"is in the projection {projection[:60]!r}; of these versions UTM alone is read")
    datum = text_at(own, "datum", "code")
    plain = _plain(datum)
    first = _FIRST_ZONES.get(_OF_DATUM.get(plain, plain))
    if first is None:
        raise _cannot(f"is on the datum {datum[:60]!r}; expected WGS84, WGS72, NAD83 or NAD27")
    told = text_at(own, "projectionParameters", "zone")
    zone = _number(told)
    if zone is None or zone != int(zone) or not 1 <= abs(zone) <= 60:
        raise _cannot(f"has {told[:40]!r} for its UTM zone; expected 1 to 60")
    number = int(abs(zone))
    north, south = first
    if not _is_southern(root, own, zone):
        if south is None and number not in _ZONES_OF_NORTH_AMERICA:
            raise _cannot(f"is in zone {number} on {datum[:60]}, which is made for zones 1 to 23")
        return f"EPSG:{north + number}"
    if south is None:
        raise _cannot(f"lies in the south on {datum[:60]}, which is a datum of North America")
    return f"EPSG:{south + number}"


def _is_southern(root: Element, system: Element, zone: float) -> bool:
    """By the sign of the zone or a false northing, as files have it; also where the box of its latitudes lies in the south."""
    northing = _number(text_at(system, "projectionParameters", "falseNorthing"))
    northernmost = _number(text_at(root, "EX_GeographicBoundingBox", "northBoundLatitude"))
    return zone < 0 or bool(northing and northing > 0) or (northernmost is not None and northernmost < 0)


def vertical_of(root: Element) -> str:
    """The name of the vertical datum; empty where there is none."""
    named = text_at(root, "verticalDatum", "code")
    if named:
        return named
    # Before 1.2 it is the datum of a second system, which has no projection.
    systems = (element for element in root.iter() if local(element) == "MD_CRS")
    return next((text_at(one, "datum", "code") for one in systems if not text_at(one, "projection", "code")), "")


def _plain(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _cannot(what: str) -> Refused:
    return Refused(
        "bag_metadata",
        f"The BAG, of version 1.4 or before, {what}. Send the surface as GeoTIFF, or write it anew: gdal_translate -of BAG "
        "-a_srs EPSG:32755, with the code that it is in.",
        location="BAG_root/metadata",
    )
