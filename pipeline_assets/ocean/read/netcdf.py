"""NetCDF files with profiles, series or points by the CF conventions -> `CruiseFile`: one row for each observation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.parameters import standard_name_of
from pipeline_assets.ocean.read.compliance import score_of
from pipeline_assets.ocean.read.cruise_file import NAT, NO_FLAG, Axis, Cast, CruiseFile, Parameter, identity, stem
from pipeline_assets.ocean.read.delimited import without_fills
from pipeline_assets.ocean.read.netcdf_guard import check_hdf5, check_values, is_netcdf
from pipeline_assets.ocean.read.netcdf_layout import Layout, Variable, is_data, is_flag, is_time, layout_of
from pipeline_assets.ocean.read.netcdf_load import LONGEST_TEXT, load

KIND = "netcdf"
_WOCE = {"WOCECTD": "woce_ctd", "WOCEBOTTLE": "woce_sample", "WOCESAMPLE": "woce_bottle"}
_LABELS = {
    "station": (
        "STNNBR",
        "station",
        "station_id",
        "station_name",
        "timeseries_id",
        "profile_id",
        "platform_number",
        "stnnbr",
    ),
    "number": ("CASTNO", "cast", "castno", "cast_number", "cycle_number", "profile_number"),
    "expocode": ("EXPOCODE", "expocode", "cruise", "cruise_id"),
    "section": ("SECT_ID", "section_id", "sect_id"),
    "sample": ("SAMPNO", "sample", "sampno"),
    "bottle": ("BTLNBR", "bottle_number", "btlnbr"),
}
_DEPTH_OF_FLOOR = ("sea_floor_depth_below_sea_surface", "sea_floor_depth")
_MOST_PLACES = 100


def recognise_netcdf(head: bytes) -> bool:
    """Whether a file that begins with these bytes is NetCDF, whatever its name."""
    return is_netcdf(head)


def read_netcdf(file: LandedFile, config: OceanConfig) -> CruiseFile:
    """All observations of the file.

    Refused: `damaged_netcdf`, `netcdf_too_large`, `unsafe_netcdf`, `no_data`.
    """
    content = file.read_bytes()
    check_hdf5(content, config.max_values)
    findings = Findings()
    variables, attributes, sizes = load(content, config.max_values, findings)
    layout = layout_of(variables, str(attributes.get("featureType", "")), sizes)
    if layout is None or layout.size == 0:
        raise Refused(
            "no_data",
            f"no variable holds measurements along a dimension (variables: {', '.join(one.name for one in variables[:12])}). "
            "Send a file of profiles or series by the CF conventions.",
        )
    check_values(layout.size, config.max_values)
    made = _rows(file, variables, layout, findings)
    made.sha256, made.size_bytes = identity(file, content)["sha256"], len(content)
    made.stamp = str(attributes.get("Conventions", ""))[:LONGEST_TEXT]
    made.comments = "\n".join(
        str(attributes[name]) for name in ("title", "summary", "comments", "comment", "history") if name in attributes
    )
    if config.compliance:
        made.score, made.score_possible = score_of(content, findings)
    return made


def _rows(file: LandedFile, variables: Sequence[Variable], layout: Layout, findings: Findings) -> CruiseFile:
    columns = _columns(variables, layout, findings)
    vertical = layout.roles.get("vertical")
    depth_rows = layout.rows_of(vertical) if vertical is not None else None
    measured = [
        rows
        for one, rows in columns
        if layout.element in one.dimensions or not layout.element or layout.ragged is not None
    ]
    kept = _kept(
        measured, depth_rows if vertical is not None and layout.element in vertical.dimensions else None, layout
    )
    cast = layout.casts()[kept]
    numbers, index = np.unique(cast, return_inverse=True)
    if not len(index):
        raise Refused("no_data", "all values of the file are fill values. Send it with its data.")
    latitude, longitude = (_along(layout, name, kept) for name in ("latitude", "longitude"))
    time = _times(layout.roles.get("time"), layout, kept, findings)
    pressure, axis = _pressure(vertical, depth_rows, latitude, kept, layout, findings)
    flags = _flags_by_variable(variables)
    parameters = _parameters(columns, kept, variables, layout, flags)
    if depth_rows is not None and vertical is not None:
        parameters.insert(0, _parameter(vertical, depth_rows[kept], flags.get(vertical.name), layout, kept))
    labels = {role: _labels(role, variables, layout, kept) for role in _LABELS}
    first = np.zeros(len(numbers), dtype=np.int64)
    first[index[::-1]] = np.arange(len(index))[::-1]
    floor = next((rows for one, rows in columns if one.attribute("standard_name") in _DEPTH_OF_FLOOR), None)
    casts = [
        Cast(
            station=_label(labels["station"], at) or (stem(file.key) if len(numbers) == 1 else str(number + 1)),
            number=_label(labels["number"], at), expocode=_label(labels["expocode"], at),
            section=_label(labels["section"], at), time=time[at],
            latitude=latitude[at], longitude=longitude[at],
            bottom_depth_m=np.nan if floor is None else float(floor[kept][at]),
        )
        for number, at in zip(numbers.tolist(), first.tolist(), strict=True)
    ]  # fmt: skip
    moves = any(
        (variable := layout.roles.get(name)) is not None and layout.element in variable.dimensions
        for name in ("latitude", "longitude")
    )
    varies = axis == "time" or (
        layout.roles.get("time") is not None and layout.element in layout.roles["time"].dimensions
    )
    for name in ("latitude", "longitude", "time"):
        if name not in layout.roles:
            findings.add("no_coordinate", "error", f"no variable of the file is its {name}", parameter=name)
    return CruiseFile(
        key=file.key, sha256="", size_bytes=0, kind=KIND, casts=casts, cast_index=index.astype(np.int32), pressure=pressure,
        parameters=parameters, axis=axis, sample=labels["sample"], bottle=labels["bottle"],
        time=time if varies else None, latitude=latitude if moves else None, longitude=longitude if moves else None,
        findings=findings,
    )  # fmt: skip


def _columns(variables: Sequence[Variable], layout: Layout, findings: Findings) -> list[tuple[Variable, NDArray[Any]]]:
    """The measured variables, each with its value for every observation. One with a further dimension, such as wavelengths,
    becomes a column for each place along it."""
    found: list[tuple[Variable, NDArray[Any]]] = []
    left: list[str] = []
    for one in variables:
        if not is_data(one, layout.roles) or _is_label(one):
            continue
        rows = layout.rows_of(one)
        if rows is not None:
            found.append((one, rows))
            continue
        further = [name for name in one.dimensions if name not in layout.dimensions]
        axis = (
            one.dimensions.index(further[0])
            if len(further) == 1 and set(layout.dimensions) < set(one.dimensions)
            else -1
        )
        if axis < 0 or one.values.shape[axis] > _MOST_PLACES:
            left.append(one.name)
            continue
        along = next((other.values for other in variables if other.name == further[0] and other.values.ndim == 1), None)
        for place in range(one.values.shape[axis]):
            called = place if along is None else _number_text(along[place])
            dimensions = tuple(name for name in one.dimensions if name != further[0])
            part = Variable(
                f"{one.name}_{called}", dimensions, {**one.attributes, "whp_name": ""}, one.values.take(place, axis)
            )
            of_part = layout.rows_of(part)
            if of_part is not None:
                found.append((part, of_part))
    findings.add(
        "variable_left_out", "info", "variables do not lie along the observations; left out", count=len(left),
        places=[", ".join(left)],
    )  # fmt: skip
    return found


def _kept(measured: Sequence[NDArray[Any]], vertical: NDArray[Any] | None, layout: Layout) -> NDArray[np.int64]:
    """The observations that are there: of an array whose casts have different lengths, the padding is not."""
    there = np.zeros(layout.size, dtype=bool)
    for rows in measured:
        there |= ~np.isnan(rows)
    if vertical is not None:
        there |= ~np.isnan(vertical)
    if layout.ragged is not None:
        there &= layout.ragged >= 0
    elif len(layout.dimensions) == 1:
        there[:] = True  # a series keeps its gaps
    return np.flatnonzero(there)


def _along(layout: Layout, role: str, kept: NDArray[np.int64]) -> NDArray[np.float64]:
    variable = layout.roles.get(role)
    rows = layout.rows_of(variable) if variable is not None else None
    if rows is None and variable is not None and variable.values.size == 1:
        rows = np.full(layout.size, variable.values.reshape(-1)[0])
    return np.full(len(kept), np.nan) if rows is None else without_fills(rows[kept].astype(np.float64))


def _times(
    variable: Variable | None, layout: Layout, kept: NDArray[np.int64], findings: Findings
) -> NDArray[np.datetime64]:
    if variable is None:
        return np.full(len(kept), NAT)
    values = _along(layout, "time", kept)
    if not is_time(variable):
        findings.add(
            "bad_time_unit",
            "warning",
            f"the unit of time is {variable.attribute('units')[:60]!r}",
            parameter=variable.name,
        )
        return np.full(len(kept), NAT)
    import cftime

    calendar = variable.attribute("calendar") or "standard"
    unique, inverse = np.unique(values[~np.isnan(values)], return_inverse=True)
    try:
        dates = cftime.num2date(unique, variable.attribute("units"), calendar, only_use_cftime_datetimes=False)
    except (ValueError, OverflowError, TypeError):
        try:
            dates = cftime.num2date(unique, variable.attribute("units"), calendar)
        except (ValueError, OverflowError, TypeError) as error:
            findings.add(
                "bad_time_unit", "warning", f"times cannot be read: {str(error)[:100]}", parameter=variable.name
            )
            return np.full(len(kept), NAT)
    made = np.full(len(kept), NAT)
    converted = np.array([_moment(one) for one in np.atleast_1d(dates)], dtype="datetime64[us]")
    made[~np.isnan(values)] = converted[inverse]
    return made


def _moment(date: Any) -> np.datetime64:
    try:
        return np.datetime64(date.isoformat()[:26], "us")
    except ValueError:  # a date that only another calendar has
        return NAT


def _pressure(
    vertical: Variable | None, rows: NDArray[Any] | None, latitude: NDArray[np.float64], kept: NDArray[np.int64], layout: Layout,
    findings: Findings,
) -> tuple[NDArray[np.float64], Axis]:  # fmt: skip
    """Pressure in dbar for each row, and what the rows of a cast go along."""
    series = layout.roles.get("time") is not None and layout.element in layout.roles["time"].dimensions
    along_depth = vertical is not None and layout.element in vertical.dimensions
    axis: Axis = "time" if series and not along_depth else "pressure"
    if vertical is None or rows is None:
        findings.add("no_pressure", "warning", "no variable says how deep the observations are")
        return np.full(len(kept), np.nan), axis
    values = without_fills(rows[kept].astype(np.float64))
    unit, standard = vertical.attribute("units").lower(), vertical.attribute("standard_name")
    if (
        "bar" in unit
        or unit in {"pa", "kpa", "hpa", "psi"}
        or "pressure" in standard
        or "pres" in vertical.name.lower()
    ):
        factors = {"pa": 1e-4, "kpa": 0.1, "hpa": 0.01, "psi": 0.6894757293, "bar": 10.0, "mbar": 0.01}
        return values * factors.get(unit, 1.0), axis
    import gsw

    if vertical.attribute("positive").lower() == "up" or standard in {"altitude", "height"}:
        values = -values
    findings.add("pressure_from_depth", "info", "pressure follows from depth, by TEOS-10", parameter=vertical.name)
    with np.errstate(invalid="ignore"):
        sensible = np.where((values > -100) & (values < 12_000), values, np.nan)
        known = np.where(np.abs(latitude) <= 90, latitude, 45.0)
    return np.asarray(gsw.p_from_z(-sensible, known), dtype=np.float64), axis


def _flags_by_variable(variables: Sequence[Variable]) -> dict[str, Variable]:
    """The variable of flags of each variable that has one: by `ancillary_variables`, else by its name."""
    by_name = {one.name: one for one in variables}
    lower = {one.name.lower(): one for one in variables}
    found: dict[str, Variable] = {}
    for one in variables:
        for name in one.attribute("ancillary_variables").split():
            if name in by_name and is_flag(by_name[name]):
                found.setdefault(one.name, by_name[name])
        for ending in ("_qc", "_flag", "_flag_w", "_quality_flag"):
            flag = lower.get(f"{one.name.lower()}{ending}")
            if flag is not None and flag is not one:
                found.setdefault(one.name, flag)
    return found


def _parameters(
    columns: Sequence[tuple[Variable, NDArray[Any]]], kept: NDArray[np.int64], variables: Sequence[Variable], layout: Layout,
    flags: Mapping[str, Variable],
) -> list[Parameter]:  # fmt: skip
    made = [_parameter(one, rows[kept], flags.get(one.name), layout, kept) for one, rows in columns]
    for one in variables:
        if one.is_text and one.dimensions and not _is_label(one) and not is_flag(one):
            rows = layout.rows_of(one)
            if rows is not None and any(text is not None for text in rows[kept]):
                made.append(Parameter(one.name, one.attribute("units"), np.full(len(kept), np.nan), text=rows[kept]))
    seen: dict[str, int] = {}
    for parameter in made:
        times = seen[parameter.name] = seen.get(parameter.name, 0) + 1
        if times > 1:
            parameter.name = f"{parameter.name}_{times}"
    return made


def _parameter(
    one: Variable, values: NDArray[Any], flag: Variable | None, layout: Layout, kept: NDArray[np.int64]
) -> Parameter:
    """A variable under its WHP name where it has one, so that one quantity has one name in all formats."""
    name = one.attribute("whp_name") or one.name
    unit = one.attribute("whp_unit") or one.attribute("units")
    parameter = Parameter(
        name, unit, without_fills(values.astype(np.float64)),
        standard_name=" ".join(one.attribute("standard_name").split()[:1]) or standard_name_of(name),
    )  # fmt: skip
    rows = layout.rows_of(flag) if flag is not None else None
    if flag is not None and rows is not None:
        parameter.flags = _flags(rows[kept], flag)
        scheme = re.match(r"[A-Z]+", flag.attribute("conventions"))
        parameter.flag_scheme = _WOCE.get(scheme[0] if scheme else "", flag.attribute("conventions")[:60] or "netcdf")
    return parameter


def _flags(rows: NDArray[Any], flag: Variable) -> NDArray[np.int16]:
    if flag.is_text:  # Argo writes its flags as characters
        rows = np.array([float(text) if text is not None and text.isdigit() else np.nan for text in rows])
    with np.errstate(invalid="ignore"):
        whole = np.isfinite(rows) & (np.abs(rows) < 32_000) & (rows == np.floor(rows))
    made: NDArray[np.int16] = np.where(whole, np.nan_to_num(rows, posinf=0, neginf=0), NO_FLAG).astype(np.int16)
    return made


def _labels(role: str, variables: Sequence[Variable], layout: Layout, kept: NDArray[np.int64]) -> NDArray[Any] | None:
    for name in _LABELS[role]:
        for one in variables:
            if name in (one.attribute("whp_name"), one.name.lower()) or (
                role == "station" and one.attributes.get("cf_role")
            ):
                rows = layout.rows_of(one)
                if rows is not None:
                    return np.array([_number_text(value) for value in rows[kept]], dtype=object)
    return None


def _is_label(one: Variable) -> bool:
    names = {name for names in _LABELS.values() for name in names}
    return one.name.lower() in names or one.attribute("whp_name") in names or "cf_role" in one.attributes


def _number_text(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _label(labels: NDArray[Any] | None, at: int) -> str:
    return "" if labels is None else str(labels[at])
