"""What follows from temperature, salinity and pressure of each level, by TEOS-10 (the library gsw).

Source: IOC, SCOR and IAPSO, The international thermodynamic equation of seawater 2010, IOC Manuals and Guides 56.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ocean import qartod
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.extent import wrapped
from pipeline_assets.ocean.flags import GOOD, NETCDF_GOOD, among
from pipeline_assets.ocean.parameters import SALINITY, TEMPERATURE
from pipeline_assets.ocean.read.cruise_file import NO_FLAG, CruiseFile, Parameter

IPTS_68 = 1.00024
"""t68 / t90. Source: Saunders 1990, The International Temperature Scale of 1990, WOCE Newsletter 10."""
_UNKNOWN_LATITUDE = 45.0
"""For the depth of a level whose latitude is unknown: the error is 0.3 % at most."""
_PARTS, _ROWS_A_PART = 2, 20_000


@dataclass(eq=False)
class Levels:
    """Physical state of each row: NaN where it does not follow. Units as in `schema.Levels`."""

    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    time: NDArray[np.datetime64]
    depth_m: NDArray[np.float64]
    temperature_c: NDArray[np.float64]
    practical_salinity: NDArray[np.float64]
    absolute_salinity: NDArray[np.float64]
    conservative_temperature: NDArray[np.float64]
    sigma0: NDArray[np.float64]


def levels_of(file: CruiseFile) -> Levels:
    """The state of every row, from the first column of temperature and of salinity that has a usable value there."""
    latitude = _per_row(file, file.latitude, "latitude")
    longitude = wrapped(_per_row(file, file.longitude, "longitude"))
    with np.errstate(invalid="ignore"):
        latitude = np.where(np.abs(latitude) <= 90, latitude, np.nan)
    temperature = _best([_its90(one) for one in file.named(TEMPERATURE)], file.named(TEMPERATURE), file.rows)
    salinity_columns = [one for one in file.named(SALINITY) if _is_practical(one)]
    salinity = _best([one.values for one in salinity_columns], salinity_columns, file.rows)
    given = (file.pressure, latitude, longitude, temperature, salinity)
    state = np.full((4, file.rows), np.nan)
    size = max(_ROWS_A_PART, -(-file.rows // _PARTS))
    parts = [slice(begin, begin + size) for begin in range(0, file.rows, size)]

    def fill(part: slice) -> None:
        _fill(state[:, part], *(values[part] for values in given))

    # gsw lets other threads run while it computes.
    with ThreadPoolExecutor(_PARTS, thread_name_prefix="levels") as threads:
        for _ in threads.map(fill, parts):
            pass
    return Levels(latitude, longitude, times_of(file), state[0], temperature, salinity, *state[1:])


def _fill(
    state: NDArray[np.float64],
    pressure: NDArray[np.float64],
    latitude: NDArray[np.float64],
    longitude: NDArray[np.float64],
    temperature: NDArray[np.float64],
    salinity: NDArray[np.float64],
) -> None:
    """Put depth, absolute salinity, conservative temperature and sigma0 of some rows where they follow."""
    import gsw

    with np.errstate(invalid="ignore"):
        usable = (pressure > -10) & (pressure < 12_000)
        known = usable & (salinity >= 0) & (salinity < 50) & (temperature > -5) & (temperature < 50)
    known &= ~np.isnan(latitude) & ~np.isnan(longitude)
    depth, absolute, conservative, sigma0 = state
    if usable.any():
        depth[:] = -gsw.z_from_p(
            np.where(usable, pressure, np.nan), np.where(np.isnan(latitude), _UNKNOWN_LATITUDE, latitude)
        )
    if known.any():
        absolute[known] = gsw.SA_from_SP(salinity[known], pressure[known], longitude[known], latitude[known])
        conservative[known] = gsw.CT_from_t(absolute[known], temperature[known], pressure[known])
        sigma0[known] = gsw.sigma0(absolute[known], conservative[known])


def times_of(file: CruiseFile) -> NDArray[np.datetime64]:
    """The time of every row: its own, or that of its cast."""
    if file.time is not None:
        return file.time
    return np.array([cast.time for cast in file.casts], dtype="datetime64[us]")[file.cast_index]


def inversions(
    file: CruiseFile, levels: Levels, order: NDArray[np.int64], starts: NDArray[np.bool_], config: OceanConfig
) -> NDArray[np.int8]:
    """The test of density inversion for every row. order: rows in the order of the tests; starts: of that order."""
    flags = qartod.not_evaluated(levels.sigma0)
    if file.axis != "pressure" or np.isnan(levels.sigma0).all():
        return flags
    flags[order] = qartod.density_inversion(
        levels.sigma0[order], file.pressure[order], starts, config.density_suspect_kg_m3, config.density_fail_kg_m3
    )
    return flags


def _per_row(file: CruiseFile, given: NDArray[np.float64] | None, name: str) -> NDArray[np.float64]:
    if given is not None:
        return given
    return np.array([getattr(cast, name) for cast in file.casts], dtype=np.float64)[file.cast_index]


def _its90(one: Parameter) -> NDArray[np.float64]:
    unit = f"{one.unit} {one.name}".upper()
    values = one.values
    if "KELVIN" in unit or one.unit.strip() == "K":
        values = values - 273.15
    is_68 = "68" in unit and "90" not in unit
    return values / IPTS_68 if is_68 else values


def _is_practical(one: Parameter) -> bool:
    return "G/KG" not in one.unit.upper().replace(" ", "") and "ABS" not in one.name.upper()


def _best(columns: list[NDArray[np.float64]], parameters: list[Parameter], rows: int) -> NDArray[np.float64]:
    """In each row the first of the columns whose value is there and not called bad by its flag."""
    best = np.full(rows, np.nan)
    for values, one in zip(columns, parameters, strict=True):
        usable = ~np.isnan(values)
        if one.flags is not None:
            good = GOOD.get(one.flag_scheme, NETCDF_GOOD)
            usable &= among(one.flags, (*good, 1, NO_FLAG))
        best = np.where(np.isnan(best) & usable, values, best)
    return best
