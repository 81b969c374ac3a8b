"""A surface as BAG 1.6.2: GDAL writes elevation, uncertainty and ISO 19139; the rest of the layers and the lineage follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.landed_surface.bag import NO_DATA, OTHER_LAYERS, metadata_bytes
from pipeline_assets.bathymetry.landed_surface.bag_metadata import GCO, GMD, xml_root
from pipeline_assets.bathymetry.products.geotiff import transform_of
from pipeline_assets.bathymetry.products.provenance import Provenance, utc
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.bathymetry.vertical_datums import wkt

BAG_VERSION = "1.6.2"
_CHUNK = 100
CUBE_NAMES = {
    "distance_exponent": ("Distance_Exponent", 1.0), "queue_length": ("Queue_Length", 1.0),
    "quotient_limit": ("Quotient_Limit", 1.0), "discount": ("Discount_Factor", 1.0),
    "estimate_offset": ("Estimate_Offset", 1.0), "bayes_factor_threshold": ("Bayes_Factor_Threshold", 1.0),
    "run_length": ("Run_Length_Threshold", 1.0), "capture_scale": ("Capture_Distance_Scale", 100.0),
    "capture_min_m": ("Capture_Distance_Min", 1.0), "horizontal_error_scale": ("Horiz_Error_Scalar", 1.0),
    "density_strength_cutoff": ("Density_Strength_Cutoff", 1.0), "locale_strength_max": ("Locale_Strength_Max", 1.0),
    "locale_last_ring_cells": ("Locale_Radius", 1.0),
}  # fmt: skip
"""CARIS's names of the parameters of CUBE, and how many of its units are one of ours."""


def write_bag(surface: Surface, provenance: Provenance, path: Path) -> Path:
    """The BAG. Elevations are positive up; 1,000,000 stands where there is none, as the format has it.

    Standard deviation, shoal depth, soundings and hypotheses of a cell are layers beside, as far as the surface knows them.
    """
    import rasterio

    grid, made = surface.grid, path.with_name(f".{path.name}.gdal")
    options = {
        "BAG_VERSION": BAG_VERSION,
        # The layers are packed when they are copied.
        "COMPRESS": "NONE",
        "VAR_INDIVIDUAL_NAME": provenance.contact or "unknown",
        "VAR_ORGANISATION_NAME": provenance.attribution or "unknown",
        "VAR_POSITION_NAME": "unknown",
        "VAR_DATE": utc(provenance.made_at)[:10],
        "VAR_DATETIME": utc(provenance.made_at)[:19],
        "VAR_VERT_WKT": wkt(surface.vertical_datum),
        "VAR_ABSTRACT": provenance.abstract or f"Surface of the survey {provenance.survey}",
        "VAR_PROCESS_STEP_DESCRIPTION": f"Gridded by {provenance.engine} {provenance.version}, method {surface.method}",
        "VAR_OTHER_CONSTRAINTS": provenance.licence or "unknown",
        "VAR_SECURITY_USER_NOTE": "none",
    }
    with (
        rasterio.Env(GDAL_PAM_ENABLED="NO"),
        rasterio.open(
            made, "w", driver="BAG", width=grid.columns, height=grid.rows, count=2, dtype="float32", crs=grid.crs,
            transform=transform_of(grid), nodata=NO_DATA, **options,
        ) as content,
    ):  # fmt: skip
        content.write(_stored(-surface.depth), 1)
        content.write(_stored(surface.uncertainty), 2)
    try:
        _complete(made, path, surface, provenance)
    finally:
        made.unlink()
    return path


def _stored(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.isnan(values), np.float32(NO_DATA), values).astype(np.float32)


def _complete(made: Path, path: Path, surface: Surface, provenance: Provenance) -> None:
    """What GDAL made, the layers beside, and a process step that holds all that is known of how the surface came to be.

    Into a new file, because HDF5 as GDAL calls it keeps the time at which a layer was made: the same run makes the same bytes.
    """
    import h5py

    layers: dict[str, NDArray[Any]] = {
        "standard_dev": surface.std_dev,
        "shoal_elevation": -surface.shoal,
        "num_soundings": surface.density,
        "num_hypotheses": surface.hypotheses,
    }
    assert layers.keys() == OTHER_LAYERS.keys()
    with h5py.File(made, "r") as content, h5py.File(path, "w") as into:
        root = into.create_group("BAG_root")
        _copy_attributes(content["BAG_root"], root)
        for name in ("elevation", "uncertainty"):
            layer = content["BAG_root"][name]
            _copy_attributes(layer, _packed(root, name, layer[()], np.float32(NO_DATA)))
        listed = content["BAG_root/tracking_list"]
        copied = root.create_dataset("tracking_list", data=listed[()], chunks=listed.chunks, maxshape=listed.maxshape)
        _copy_attributes(listed, copied)
        xml = with_lineage(metadata_bytes(content["BAG_root"]), surface, provenance)
        root.create_dataset(
            "metadata", data=np.frombuffer(xml, dtype="S1"), chunks=(min(1024, len(xml)),), maxshape=(None,)
        )
        for name, values in layers.items():
            _add_layer(root, name, values)


def _packed(root: Any, name: str, values: NDArray[Any], missing: float | np.float32) -> Any:
    chunks = tuple(min(_CHUNK, size) for size in values.shape)
    return root.create_dataset(
        name, data=values, chunks=chunks, compression="gzip", compression_opts=6, fillvalue=missing
    )


def _copy_attributes(of: Any, to: Any) -> None:
    for name in of.attrs:
        to.attrs[name] = of.attrs[name]


def _add_layer(root: Any, name: str, values: NDArray[Any]) -> None:
    """A layer that knows anything, from south to north, with its least and largest value."""
    is_count = values.dtype.kind == "i"
    known = values > 0 if is_count else np.isfinite(values)
    if not known.any():
        return
    stored = values.astype(np.uint32) if is_count else _stored(values)
    made = _packed(root, name, np.ascontiguousarray(stored[::-1]), 0 if is_count else np.float32(NO_DATA))
    title = name.replace("_", " ").title()
    for which, value in (("Minimum", values[known].min()), ("Maximum", values[known].max())):
        made.attrs[f"{which} {title} Value"] = stored.dtype.type(value)


def with_lineage(xml: bytes, surface: Surface, provenance: Provenance) -> bytes:
    """The XML with one more process step: everything of the provenance as JSON, and CUBE's parameters as CARIS writes them.

    Raises Refused if it is no XML, ValueError if it has no lineage.
    """
    from xml.etree import ElementTree

    names = {
        "gmi": "http://www.isotc211.org/2005/gmi", "gmd": "http://www.isotc211.org/2005/gmd",
        "gco": "http://www.isotc211.org/2005/gco", "gml": "http://www.opengis.net/gml/3.2",
        "bag": "http://www.opennavsurf.org/schema/bag", "xsi": "http://www.w3.org/2001/XMLSchema-instance",
        "xlink": "http://www.w3.org/1999/xlink",
    }  # fmt: skip
    for prefix, uri in names.items():
        ElementTree.register_namespace(prefix, uri)
    root = xml_root(xml)
    lineage = next(root.iter(f"{GMD}LI_Lineage"), None)
    if lineage is None:
        raise ValueError("the metadata of the BAG has no LI_Lineage; expected the one that GDAL writes")
    outer = ElementTree.SubElement(lineage, f"{GMD}processStep")
    step = ElementTree.SubElement(outer, f"{GMD}LI_ProcessStep")
    _said(step, "description", "CharacterString", lineage_text(surface, provenance))
    _said(step, "dateTime", "DateTime", utc(provenance.made_at)[:19])
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def lineage_text(surface: Surface, provenance: Provenance) -> str:
    """What the process step says: the provenance, and after it the parameters of CUBE as CARIS writes them, if it was CUBE."""
    said = json.dumps(provenance.said_of(surface), ensure_ascii=False, sort_keys=True)
    if surface.method != "cube":
        return said
    values = "".join(
        f'<{CUBE_NAMES[name][0]} value="{float(value) * CUBE_NAMES[name][1]:.12g}"/>'
        for name, value in surface.parameters.items()
        if name in CUBE_NAMES
    )
    return f"{said}\n<CARIS_CUBE_Parameters>{values}</CARIS_CUBE_Parameters>"


def _said(parent: Any, name: str, kind: str, text: str) -> None:
    from xml.etree import ElementTree

    ElementTree.SubElement(ElementTree.SubElement(parent, f"{GMD}{name}"), f"{GCO}{kind}").text = text
