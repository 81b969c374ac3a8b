"""Parameters of CUBE as CARIS HIPS writes them: a CUBEParams XML, or the lineage inside a BAG that it exported.

Seen in real files is the form inside a BAG: one element whose children are parameters with an attribute `value`. A file with
several configurations is taken to have several such elements, named by an attribute `name` or else by their tags; none such was
at hand to try it on.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from pydantic import ValidationError

from pipeline_assets.bathymetry.grid.config import CubeParameters
from pipeline_assets.landed_file import LandedFile, Refused

_FIELDS: dict[str, tuple[str, float]] = {
    "Distance_Exponent": ("distance_exponent", 1),
    "Queue_Length": ("queue_length", 1),
    "Quotient_Limit": ("quotient_limit", 1),
    "Discount_Factor": ("discount", 1),
    "Estimate_Offset": ("estimate_offset", 1),
    "Bayes_Factor_Threshold": ("bayes_factor_threshold", 1),
    "Run_Length_Threshold": ("run_length", 1),
    "Capture_Distance_Scale": ("capture_scale", 0.01),
    "Capture_Distance_Min": ("capture_min_m", 1),
    "Horiz_Error_Scalar": ("horizontal_error_scale", 1),
    "Density_Strength_Cutoff": ("density_strength_cutoff", 1),
    # CARIS writes it without its t.
    "Locale_Strengh_Max": ("locale_strength_max", 1),
    "Locale_Strength_Max": ("locale_strength_max", 1),
    "Locale_Radius": ("locale_radius_cells", 1),
}
"""Our names and factors of CARIS's parameters."""
_NOT_OURS = {"Null_Hypothesis_Min_Neighbours", "Null_Hypothesis_Ratio", "Null_Hypothesis_Strength_Max", "Comment"}
"""What only counts where the test of the null hypothesis is on, and texts."""
_ORDERS = {
    "S44_EXCLUSIVE": "exclusive", "S44_SPECIAL": "special", "S44_1": "1a", "S44_1A": "1a", "S44_1B": "1b", "S44_2": "2",
}  # fmt: skip
_MOST_BYTES = 10_000_000
_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class CarisGridding:
    """How CARIS gridded a surface. None: the file does not say. cell_m: m."""

    cube: CubeParameters
    order: str | None = None
    cell_m: float | None = None


def gridding_of_file(file: LandedFile, configuration: str | None = None) -> CarisGridding:
    """What a CUBEParams XML or a BAG says. configuration: which of an XML, if it has several. Raises Refused."""
    data = file.read_bytes()
    if not data.startswith(_HDF5):
        return CarisGridding(cube_parameters(data, configuration))
    if configuration is not None:
        raise Refused(
            "bad_cube_parameters",
            f"the configuration {configuration!r} is asked for, and a BAG has one without a name. Leave cube_configuration out",
        )
    return gridding_of_bag(io.BytesIO(data))


def cube_parameters(xml: bytes | str, configuration: str | None = None) -> CubeParameters:
    """The parameters of a CUBEParams XML. configuration: which, if it has several.

    Raises Refused if it is no such file, has no such configuration, or asks for what this engine does not do.
    """
    root = _parsed(xml, "the CUBE parameters")
    found = {
        element.get("name") or element.tag: element
        for element in root.iter()
        if any(child.tag in _FIELDS for child in element)
    }
    if not found:
        raise Refused(
            "bad_cube_parameters",
            f'the XML <{root.tag}> has no parameters of CUBE; expected elements such as <Queue_Length value="11"/>. Export it from CARIS anew',
        )
    if configuration is None and len(found) > 1:
        raise Refused(
            "bad_cube_parameters",
            f"the XML has the configurations {', '.join(found)}; expected one of them to be named",
        )
    if configuration is not None and configuration not in found:
        raise Refused(
            "bad_cube_parameters", f"the XML has no configuration {configuration!r}; it has {', '.join(found)}"
        )
    return _parameters(found[configuration] if configuration is not None else next(iter(found.values())))


def gridding_of_bag(path: Path | BinaryIO) -> CarisGridding:
    """How CARIS gridded the surface of a BAG, from the lineage in its metadata. Raises Refused if it does not say."""
    import h5py

    try:
        with h5py.File(path) as bag:
            metadata = bag["BAG_root/metadata"]
            if metadata.size * metadata.dtype.itemsize > _MOST_BYTES:
                raise Refused("bad_bag", f"the metadata of the BAG are larger than {_MOST_BYTES:,} bytes")
            xml = metadata[()].tobytes()
    except (OSError, KeyError, AttributeError, ValueError, RuntimeError, TypeError) as error:
        raise Refused("bad_bag", f"the BAG's metadata cannot be read: {error}. Expected BAG_root/metadata") from error
    return gridding_of_metadata(xml.rstrip(b"\0"))


def gridding_of_metadata(xml: bytes) -> CarisGridding:
    """The same from the metadata, an ISO 19139 XML."""
    root = _parsed(xml, "the metadata of the BAG")
    for element in root.iter():
        # A process step names its process in a text that holds another XML, escaped.
        start = (element.text or "").find("<model>")
        if start >= 0 and "CubeConfigSettings" in (element.text or ""):
            return _of_model((element.text or "")[start:])
    raise Refused(
        "no_cube_lineage",
        "the BAG's metadata do not say how CUBE made it; expected a process step of CARIS with the parameters of CUBE. "
        "Give the parameters as a CUBEParams XML",
    )


def _of_model(text: str) -> CarisGridding:
    end = text.rfind("</model>")
    model = _parsed(text[: end + len("</model>")] if end >= 0 else text, "the lineage of the BAG")
    ports = {port.findtext("id", ""): port for port in model.iter("port")}
    values = {name: [value.text or "" for value in port.iter("value")] for name, port in ports.items()}
    settings = next(iter(values.get("CubeConfig", [])), "")
    cube = cube_parameters(settings.strip())
    choice = next(iter(values.get("DisambiguationMethod", [])), "")
    if choice:
        if choice.lower() not in ("density", "locale", "density_locale"):
            raise Refused(
                "bad_cube_parameters",
                f"the disambiguation {choice!r} is unknown here; expected DENSITY, LOCALE or DENSITY_LOCALE",
            )
        cube = cube.model_copy(update={"disambiguation": choice.lower()})
    resolution = re.fullmatch(r"\s*([0-9.]+)\s*m\s*", next(iter(values.get("Resolution", [])), ""))
    return CarisGridding(
        cube=cube,
        order=_ORDERS.get(next(iter(values.get("IHOOrder", [])), "").upper()),
        cell_m=float(resolution[1]) if resolution else None,
    )


def _parsed(xml: bytes | str, what: str) -> ElementTree.Element:
    declared = b"<!DOCTYPE" if isinstance(xml, bytes) else "<!DOCTYPE"
    if len(xml) > _MOST_BYTES or declared in xml:  # type: ignore[operator]
        raise Refused(
            "bad_cube_parameters", f"{what} have a DOCTYPE or more than {_MOST_BYTES:,} bytes; expected plain XML"
        )
    try:
        return ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise Refused("bad_cube_parameters", f"{what} are no XML: {error}. Export them from CARIS anew") from error


def _parameters(element: ElementTree.Element) -> CubeParameters:
    given: dict[str, float] = {}
    for child in element:
        text = (child.get("value") or child.text or "").strip()
        if child.tag == "Enable_Null_Hypothesis":
            if text.lower() not in ("false", "0", ""):
                raise Refused(
                    "bad_cube_parameters",
                    "the parameters ask for the test of the null hypothesis, which is not published and not done here; "
                    "set Enable_Null_Hypothesis to False",
                )
        elif child.tag in _FIELDS:
            name, factor = _FIELDS[child.tag]
            try:
                given[name] = float(text) * factor
            except ValueError as error:
                raise Refused("bad_cube_parameters", f"{child.tag} is {text!r}; expected a number") from error
        elif child.tag not in _NOT_OURS:
            raise Refused(
                "bad_cube_parameters",
                f"the parameter {child.tag} is unknown here; expected only: {', '.join(sorted({*_FIELDS, *_NOT_OURS}))}",
            )
    try:
        return CubeParameters.model_validate(given)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise Refused("bad_cube_parameters", f"the parameters of CUBE cannot be used: {told}") from error
