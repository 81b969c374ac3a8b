"""BAGs of version 1.4 and before: one of today with the XML of theirs (smXML), in the shapes that real ones have."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from pipeline_assets.bathymetry.products.bag import write_bag
from pipeline_assets.bathymetry.surface import Surface
from tests.bathymetry.surfaces import PROVENANCE


def smxml(
    surface: Surface, *, projection: str = "UTM", datum: str = "WGS84", zone: str = "55", false_northing: str = "10000000.0",
    north: str = "-37.9", uncertainty: str = "Product Uncert", vertical: str = "Mean Sea Level", own_vertical: bool = False,
) -> str:  # fmt: skip
    """own_vertical: the vertical datum in a reference system of its own, as before version 1.2."""
    grid = surface.grid
    south_west = grid.west + grid.cell / 2, grid.north - (grid.rows - 0.5) * grid.cell
    north_east = grid.west + (grid.columns - 0.5) * grid.cell, grid.north - grid.cell / 2
    axes = "".join(
        f"<axisDimensionProperties><smXML:MD_Dimension><dimensionName>{name}</dimensionName><dimensionSize>{size}</dimensionSize>"
        f"<resolution><smXML:Measure><smXML:value>{grid.cell}</smXML:value><smXML:uom_r/></smXML:Measure></resolution>"
        "</smXML:MD_Dimension></axisDimensionProperties>"
        for name, size in (("row", grid.rows), ("column", grid.columns))
    )

    def named(kind: str, name: str) -> str:
        return f"<{kind}><smXML:RS_Identifier><code>{name}</code></smXML:RS_Identifier></{kind}>"

    beside = f"<referenceSystemInfo><smXML:MD_CRS>{named('datum', vertical)}</smXML:MD_CRS></referenceSystemInfo>"
    return (
        '<?xml version="1.0"?><smXML:MD_Metadata xmlns:smXML="http://metadata.dgiwg.org/smXML" xmlns:gml="http://www.opengis.net/gml">'
        "<identificationInfo><smXML:BAG_DataIdentification><extent><smXML:EX_Extent><geographicElement>"
        "<smXML:EX_GeographicBoundingBox><westBoundLongitude>147</westBoundLongitude><eastBoundLongitude>147.1</eastBoundLongitude>"
        f"<southBoundLatitude>-38</southBoundLatitude><northBoundLatitude>{north}</northBoundLatitude>"
        "</smXML:EX_GeographicBoundingBox></geographicElement></smXML:EX_Extent></extent>"
        f"<verticalUncertaintyType>{uncertainty}</verticalUncertaintyType></smXML:BAG_DataIdentification></identificationInfo>"
        f"<spatialRepresentationInfo><smXML:MD_Georectified>{axes}<cornerPoints><gml:Point>"
        f'<gml:coordinates decimal="." cs="," ts=" ">{south_west[0]},{south_west[1]} {north_east[0]},{north_east[1]}'
        "</gml:coordinates></gml:Point></cornerPoints></smXML:MD_Georectified></spatialRepresentationInfo>"
        f"<referenceSystemInfo><smXML:MD_CRS>{named('projection', projection)}{named('ellipsoid', datum)}{named('datum', datum)}"
        f"{'' if own_vertical else named('verticalDatum', vertical)}<projectionParameters><smXML:MD_ProjectionParameters>"
        f"<zone>{zone}</zone><falseNorthing>{false_northing}</falseNorthing></smXML:MD_ProjectionParameters>"
        f"</projectionParameters></smXML:MD_CRS></referenceSystemInfo>{beside if own_vertical else ''}</smXML:MD_Metadata>\n"
    )


def write_old_bag(surface: Surface, xml: str, path: Path, version: str = "1.4.0") -> Path:
    """Elevation, uncertainty and this XML, and nothing else that later versions have."""
    write_bag(surface, PROVENANCE, path)
    with h5py.File(path, "r+") as content:
        root = content["BAG_root"]
        root.attrs["Bag Version"] = np.bytes_(version)
        for name in set(root) - {"elevation", "uncertainty", "tracking_list"}:
            del root[name]
        # Real ones end in zeros.
        root["metadata"] = np.frombuffer(xml.encode() + b"\0\0", "S1")
    return path
