"""The variables of a NetCDF file: unpacked, fill values as NaN, texts whole."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.landed_file import Refused
from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.read.netcdf_guard import check_values, damaged
from pipeline_assets.ocean.read.netcdf_layout import Variable

LONGEST_TEXT = 500


def load(content: bytes, max_values: int, findings: Findings) -> tuple[list[Variable], dict[str, Any], dict[str, int]]:
    """All variables of the root group: unpacked, fill values as NaN, texts whole."""
    import netCDF4

    try:
        with netCDF4.Dataset("in_memory.nc", memory=content) as data:
            sizes = {name: len(dimension) for name, dimension in data.dimensions.items()}
            total = sum(math.prod(one.shape) for one in data.variables.values())
            check_values(total, max_values)
            attributes = {name: data.getncattr(name) for name in data.ncattrs()}
            if data.groups:
                findings.add(
                    "groups_left_out", "warning", "only the root group is read; its groups are left out",
                    count=len(data.groups), places=list(data.groups)[:5],
                )  # fmt: skip
            measured = {
                name
                for one in data.variables.values()
                if getattr(one.dtype, "kind", "") in "iuf"
                for name in one.dimensions
            }
            return [_variable(one, measured, findings) for one in data.variables.values()], attributes, sizes
    except (Refused, MemoryError):
        raise
    except Exception as error:  # netCDF4 answers damaged bytes with almost any exception
        raise damaged(f"netCDF4 says {type(error).__name__}: {str(error)[:200]}") from error


def _variable(one: Any, measured: set[str], findings: Findings) -> Variable:
    """measured: dimensions that numbers lie along; characters along one of them are each a text (Argo's flags)."""
    attributes = {name: one.getncattr(name) for name in one.ncattrs()}
    dimensions = tuple(one.dimensions)
    if one.dtype is str:
        values = np.array(one[...], dtype=object).reshape(one.shape)
        return Variable(one.name, dimensions, attributes, _stripped(values))
    if one.dtype.kind in "SU":
        one.set_auto_mask(False)
        one.set_auto_chartostring(False)
        characters = np.asarray(one[...])
        if dimensions and dimensions[-1] in measured:
            return Variable(one.name, dimensions, attributes, _stripped(characters.astype(object)))
        return Variable(one.name, dimensions[:-1], attributes, _characters(characters))
    if one.dtype.kind not in "iuf":
        findings.add("odd_type", "warning", "a variable holds neither numbers nor texts; left out", parameter=one.name)
        return Variable(one.name, dimensions, attributes, np.full(one.shape, np.nan))
    is_odd = False
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            masked = one[...]
        except (ValueError, TypeError, OverflowError):
            # Attributes such as valid_range in another type than the values: take these as they are stored.
            one.set_auto_maskandscale(False)
            masked = one[...]
            is_odd = True
    if is_odd or told:
        findings.add(
            "bad_attribute",
            "warning",
            "scale, fill value or range do not fit the values; not applied",
            parameter=one.name,
        )
    values = np.ma.filled(np.ma.asarray(masked, dtype=np.float64), np.nan)
    return Variable(one.name, dimensions, attributes, values)


def _characters(values: NDArray[Any]) -> NDArray[Any]:
    if values.ndim == 0:
        return _stripped(np.array(values.item(), dtype=object))
    joined = np.ascontiguousarray(values.astype("S1"))
    width = joined.shape[-1]
    if width == 0 or joined.size == 0:
        return np.full(values.shape[:-1], None, dtype=object)
    whole = joined.view(f"S{width}").reshape(values.shape[:-1])
    return _stripped(whole.astype(object))


def _stripped(values: NDArray[Any]) -> NDArray[Any]:
    flat = [_text(value) for value in values.reshape(-1)]
    made = np.empty(len(flat), dtype=object)
    made[:] = flat
    return made.reshape(values.shape)


def _text(value: Any) -> str | None:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.replace("\0", "").strip()[:LONGEST_TEXT] or None
