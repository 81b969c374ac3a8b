"""A cruise as NetCDF by the CF conventions, version 1.8: discrete sampling geometry, contiguous ragged arrays (chapter 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline_assets.landed_file import Refused
from pipeline_assets.ocean.products.gather import COLUMNS, NO_FLAG, Parameter, Part, parts_of
from pipeline_assets.ocean.products.units import standard_name, udunits, variable_name
from pipeline_assets.ocean.read.compliance import CHECKER, check_cf
from pipeline_assets.product import Finding, Making, ProductResult

if TYPE_CHECKING:
    from netCDF4 import Dataset, Variable

CONVENTIONS = "CF-1.8"
FILL = 9.96921e36
_EPOCH = "seconds since 1970-01-01T00:00:00Z"
_FLAG_MEANINGS = {
    1: "not_calibrated_or_not_analysed", 2: "acceptable", 3: "questionable", 4: "bad", 5: "not_reported",
    6: "interpolated_or_mean_of_replicates", 7: "despiked_or_manual_peak", 8: "irregular_peak", 9: "not_sampled",
}  # fmt: skip
"""WOCE quality codes of CTD and of water samples: WOCE Operations Manual, WHP Office Report WHPO 91-1, 4.5."""
_QARTOD_MEANINGS = {1: "pass", 2: "not_evaluated", 3: "suspect", 4: "fail", 9: "missing"}
_ERROR = 3
"""The compliance checker's weight of what the conventions demand."""
NETCDF_COLUMNS = COLUMNS


def make_netcdf(making: Making) -> ProductResult:
    """One NetCDF file for each kind of data of a cruise, and how well it keeps the conventions."""
    parts = parts_of(making.rows)
    if not parts:
        raise Refused("no_levels", "the cruise has files, but no level or sample in them")
    cruise = making.partition
    names = [_file_name(cruise, part, parts) for part in parts]
    for part, name in zip(parts, names, strict=True):
        write_part(making.folder / name, part, cruise)
    scores = {name: Score.of(making.folder / name) for name in names} if making.config.compliance else {}
    rows = "\n".join(
        f"| {name} | {len(part.casts):,} | {len(part.levels):,} | {len(part.parameters)} | "
        f"{f'{scores[name].share:.1%}' if scores else 'not scored'} |"
        for part, name in zip(parts, names, strict=True)
    )
    errors = [f"{name}: {error}" for name, score in scores.items() for error in score.errors]
    points, possible = (sum(getattr(score, one) for score in scores.values()) for one in ("points", "possible"))
    return ProductResult(
        markdown=f"| file | casts | levels | parameters | {CHECKER} |\n|---|---|---|---|---|\n{rows}",
        metadata={"conventions": CONVENTIONS, "levels": sum(len(part.levels) for part in parts)},
        checks={
            "cf_conventions": Finding(
                not errors,
                (
                    f"{points} of {possible} points of {CHECKER}"
                    if scores
                    else "not scored: STRANDLINE_OCEAN_COMPLIANCE is off"
                )
                + (f"; errors: {'; '.join(errors[:5])}" if errors else ""),
                {"points": points, "points possible": possible, "errors": len(errors)},
            )
        },
    )


def _file_name(cruise: str, part: Part, parts: Sequence[Part]) -> str:
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in cruise) or "cruise"
    both = sum(one.kind == part.kind for one in parts) > 1
    return f"{plain}_{part.kind}{'_series' if both and part.is_series else ''}.nc"


class Score:
    """What the compliance checker gives a file. errors: what the conventions demand and the file does not keep."""

    def __init__(self, points: int, possible: int, errors: list[str]) -> None:
        self.points, self.possible, self.errors = points, possible, errors

    @property
    def share(self) -> float:
        return self.points / self.possible if self.possible else 1.0

    @classmethod
    def of(cls, path: Path) -> Score:
        points = possible = 0
        errors = []
        for group in check_cf(path):
            got, of = group.value
            points, possible = points + min(got, of), possible + of
            if got < of and group.weight >= _ERROR:
                errors.append(f"{group.name} ({'; '.join(map(str, group.msgs[:2]))})")
        return cls(points, possible, errors)


def write_part(path: Path, part: Part, cruise: str) -> None:
    """Write one part. A cast is a profile, or, in a series, a time series at its place."""
    from netCDF4 import Dataset

    instance = "timeseries" if part.is_series else "profile"
    with Dataset(path, "w", format="NETCDF4_CLASSIC") as nc:
        nc.set_fill_off()
        nc.setncatts(_global_attributes(part, cruise, instance))
        nc.createDimension("obs", len(part.levels))
        nc.createDimension(instance, len(part.casts))
        taken = _write_casts(nc, part, instance)
        _write_levels(nc, part)
        taken |= {name.lower() for name in nc.variables}
        coordinates = "time latitude longitude" + ("" if part.is_series else " pressure")
        for parameter in part.parameters:
            _write_parameter(nc, parameter, variable_name(parameter.name, taken), coordinates)


def _global_attributes(part: Part, cruise: str, instance: str) -> dict[str, str]:
    expocodes = sorted({code for code in part.casts["expocode"].dropna() if code})
    return {
        "Conventions": CONVENTIONS,
        "featureType": "timeSeries" if instance == "timeseries" else "profile",
        "title": f"Cruise {cruise}: {part.kind.replace('_', ' ')} data",
        "institution": "not said by the files that this was made of",
        "source": f"observations of {len(part.casts)} casts ({part.kind.replace('_', ' ')})",
        "history": f"made by Strandline from {', '.join(part.keys)}",
        "references": "https://cchdo.ucsd.edu/formats",
        "comment": "Values and flags are the originators'; variables that end in _qartod hold the results of automatic tests "
        "(QARTOD), which change neither.",
        "expocode": ", ".join(expocodes) or cruise,
    }


def _write_casts(nc: Dataset, part: Part, instance: str) -> set[str]:
    casts = part.casts
    number = np.arange(len(casts))
    labels = [
        f"{station}/{cast}/{index}"
        for station, cast, index in zip(casts["station"], casts["cast_number"], number, strict=True)
    ]
    _text(
        nc,
        instance,
        labels,
        instance,
        {"cf_role": f"{instance}_id", "long_name": "station, cast, and number of the cast"},
    )
    _text(nc, "station", casts["station"], instance, {"long_name": "station"})
    _text(nc, "cast", casts["cast_number"], instance, {"long_name": "cast at the station"})
    _text(nc, "section", casts["section"], instance, {"long_name": "section"})
    if not part.is_series:
        _write_time(nc, casts["time"], instance)
    for name, axis, units, column in (
        ("latitude", "Y", "degrees_north", casts["latitude"]), ("longitude", "X", "degrees_east", casts["longitude"]),
    ):  # fmt: skip
        _number(nc, name, column, instance, {"standard_name": name, "long_name": name, "units": units, "axis": axis})
    if casts["bottom_depth_m"].notna().any():
        name = "sea_floor_depth_below_sea_surface"
        attributes = {"standard_name": name, "long_name": "depth of the sea floor", "units": "m"}
        attributes["coordinates"] = "latitude longitude" if part.is_series else "time latitude longitude"
        _number(nc, "bottom_depth", casts["bottom_depth_m"], instance, attributes)
    sizes = nc.createVariable("row_size", "i4", (instance,))
    sizes.setncatts({"long_name": "number of levels of the cast", "sample_dimension": "obs"})
    sizes[:] = part.sizes
    return {name.lower() for name in nc.variables}


def _write_levels(nc: Dataset, part: Part) -> None:
    levels = part.levels
    if part.is_series:
        _write_time(nc, levels["time"], "obs")
    pressure = {
        "standard_name": "sea_water_pressure", "long_name": "sea water pressure", "units": "dbar", "positive": "down",
    }  # fmt: skip
    pressure |= {"coordinates": "time latitude longitude"} if part.is_series else {"axis": "Z"}
    if not part.is_series or levels["pressure_dbar"].notna().any():
        _number(nc, "pressure", levels["pressure_dbar"], "obs", pressure)
    for column, name in (("sample", "sample number"), ("bottle", "bottle number")):
        if levels[column].notna().any():
            _text(nc, column, levels[column], "obs", {"long_name": name})


def _write_time(nc: Dataset, times: Any, dimension: str) -> None:
    seconds = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64) / 1e6
    seconds[times.isna().to_numpy()] = np.nan
    attributes = {
        "standard_name": "time",
        "long_name": "time (UTC)",
        "units": _EPOCH,
        "calendar": "standard",
        "axis": "T",
    }
    _number(nc, "time", seconds, dimension, attributes)


def _write_parameter(nc: Dataset, parameter: Parameter, name: str, coordinates: str) -> None:
    unit = udunits(parameter.unit)
    standard = standard_name(parameter.standard_name, unit)
    attributes = {"long_name": f"{parameter.name}, as in the files", "coordinates": coordinates}
    attributes |= {"units": unit} if unit else {}
    attributes |= {"standard_name": standard} if standard else {}
    if standard == "depth" or name.lower() == "depth":  # which the conventions take for a vertical coordinate
        attributes["positive"] = "down"
    attributes |= {"original_units": parameter.unit} if parameter.unit and parameter.unit != unit else {}
    flagged = bool((parameter.flag != NO_FLAG).any())
    attributes["ancillary_variables"] = f"{name}_flag {name}_qartod" if flagged else f"{name}_qartod"
    _number(nc, name, parameter.value, "obs", attributes)
    if flagged:
        about = {"standard_name": "quality_flag", "long_name": f"originator's quality flag of {parameter.name} (WOCE)"}
        _flag(nc, f"{name}_flag", parameter.flag, "i2", NO_FLAG, _FLAG_MEANINGS, {**about, "coordinates": coordinates})
    about = {"standard_name": "aggregate_quality_flag", "long_name": f"result of the QARTOD tests of {parameter.name}"}
    _flag(nc, f"{name}_qartod", parameter.qartod, "i1", None, _QARTOD_MEANINGS, {**about, "coordinates": coordinates})


def _flag(
    nc: Dataset,
    name: str,
    values: Any,
    kind: str,
    fill: int | None,
    meanings: Mapping[int, str],
    attributes: dict[str, str],
) -> None:
    variable = nc.createVariable(name, kind, ("obs",), zlib=True, fill_value=fill)
    variable.setncatts(attributes)
    variable.setncattr("flag_values", np.array(list(meanings), kind))
    variable.setncattr("flag_meanings", " ".join(meanings.values()))
    variable[:] = values


def _number(nc: Dataset, name: str, values: Any, dimension: str, attributes: Mapping[str, str]) -> Variable:
    variable = nc.createVariable(name, "f8", (dimension,), zlib=True, fill_value=FILL)
    variable.setncatts(dict(attributes))
    given = np.asarray(values, np.float64)
    variable[:] = np.where(np.isnan(given), FILL, given)
    return variable


def _text(nc: Dataset, name: str, values: Any, dimension: str, attributes: Mapping[str, str]) -> None:
    texts = [("" if value is None or value != value else str(value)).encode() for value in values]
    width = max([1, *map(len, texts)])
    length = f"{name}_length"
    nc.createDimension(length, width)
    variable = nc.createVariable(name, "S1", (dimension, length), zlib=True)
    variable.setncatts(dict(attributes))
    variable[:] = (
        np.array([text.ljust(width, b"\0") for text in texts], f"S{width}").view("S1").reshape(len(texts), width)
    )
