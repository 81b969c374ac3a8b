"""What a BAG says of itself in the XML that it carries: ISO 19139, and before version 1.5 smXML. Open Navigation Surface, BAG
format 1.0 to 2.0.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_assets.bathymetry.landed_surface.bag_smxml import (
    horizontal_of,
    is_smxml,
    local,
    text_at,
    uncertainty_of,
    vertical_of,
)
from pipeline_assets.landed_file import Refused

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

GMD, GCO = "{http://www.isotc211.org/2005/gmd}", "{http://www.isotc211.org/2005/gco}"
MOST_BYTES = 20_000_000


@dataclass(frozen=True)
class BagMetadata:
    """rows, columns: of the grid; cell: between nodes, m, along x and y. corners: x and y of south-west and north-east, m.

    horizontal, vertical: WKT, a code or a name of the CRS and of the vertical datum; empty where it has none.
    uncertainty: what its uncertainties are, in words.
    """

    rows: int
    columns: int
    cell: tuple[float, float]
    corners: tuple[float, float, float, float]
    horizontal: str
    vertical: str
    uncertainty: str = "unknown"

    @property
    def vertical_name(self) -> str:
        """The name in the WKT of the vertical datum, or the text itself."""
        named = re.match(
            r'\s*(?:VERT_CS|VERTCRS|VERT_DATUM|COMPD_CS|COMPOUNDCRS)\s*\[\s*"([^"]*)"', self.vertical, re.IGNORECASE
        )
        return named.group(1) if named else self.vertical.strip()

    @property
    def corner_cells(self) -> tuple[float, float]:
        """How many cells the corners lie apart, along x and y."""
        west, south, east, north = self.corners
        return (east - west) / self.cell[0], (north - south) / self.cell[1]


def xml_root(data: bytes) -> Element:
    """The root of the document. Refused `bag_metadata` unless it is XML, of some size, that declares no entities."""
    from xml.etree import ElementTree

    text = data.rstrip(b"\0")
    if not text.strip():
        raise refused("is empty; expected ISO 19139 XML")
    if len(text) > MOST_BYTES:
        raise refused(f"has {len(text):,} bytes; expected at most {MOST_BYTES:,}")
    # A document type can make a small text unfold to any size, and no BAG needs one.
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise refused("declares a document type; expected plain XML without one")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise refused(f"is no XML: {str(error)[:200]}") from error


def read_metadata(data: bytes) -> BagMetadata:
    """What the XML says of grid and CRS, of any version. Refused `bag_metadata` that names what is missing or cannot be."""
    root = xml_root(data)
    sizes: dict[str, int] = {}
    cells: dict[str, float] = {}
    for axis in (element for element in root.iter() if local(element) == "MD_Dimension"):
        name = text_at(axis, "MD_DimensionNameTypeCode") or text_at(axis, "dimensionName")
        sizes[name] = _whole(
            text_at(axis, "dimensionSize", "Integer") or text_at(axis, "dimensionSize"), f"size of {name}"
        )
        cell = text_at(axis, "resolution", "value") or text_at(axis, "resolution", "Measure")
        cells[name] = _number(cell, f"resolution of {name}")
    if not {"row", "column"} <= set(sizes):
        raise refused(f"has dimensions {sorted(sizes) or 'none'}; expected row and column")
    corners = text_at(root, "coordinates")
    numbers = [_number(part, "corner points") for part in corners.replace(",", " ").split()]
    if len(numbers) != 4:
        raise refused(f"has corner points {corners[:80]!r}; expected two of them, x,y x,y")
    if min(cells["column"], cells["row"]) <= 0.0:
        raise refused(f"has a resolution of {cells['column']:g} by {cells['row']:g}; expected more than zero")
    if is_smxml(root):
        horizontal, vertical = horizontal_of(root), vertical_of(root)
    else:
        systems = [_text(one.find(f"{GMD}code/{GCO}CharacterString")) for one in root.iter(f"{GMD}RS_Identifier")]
        horizontal, vertical = (*systems, "", "")[:2]
    return BagMetadata(
        sizes["row"], sizes["column"], (cells["column"], cells["row"]),
        (numbers[0], numbers[1], numbers[2], numbers[3]), horizontal, vertical, uncertainty_of(root),
    )  # fmt: skip


def refused(what: str) -> Refused:
    return Refused(
        "bag_metadata", f"The metadata of the BAG {what}. Write the BAG again.", location="BAG_root/metadata"
    )


def _text(element: Element | None) -> str:
    return "" if element is None else (element.text or element.get("codeListValue") or "").strip()


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise refused(f"has {text[:40]!r} for the {what}; expected a number")
    return value


def _whole(text: str, what: str) -> int:
    value = _number(text, what)
    if value != int(value) or not 0 < value < 2**31:
        raise refused(f"has {text[:40]!r} for the {what}; expected a whole number above zero")
    return int(value)
