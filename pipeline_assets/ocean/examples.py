"""Sample ocean files that can be given away: a made-up cruise in every format, and files broken in known ways."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXPOCODE = "99ST20240105"
_STAMP = "20240301STRANDLINE"
_ZIP_TIME = (2024, 3, 1, 0, 0, 0)


@dataclass(frozen=True)
class Example:
    """One sample file. key: its path below the folder. error_class: what it is refused with; None when it is good.
    observations: its data rows, when it is good."""

    path: Path
    key: str
    error_class: str | None = None
    observations: int = 0


@dataclass(frozen=True)
class Station:
    """A made-up station: where, when (YYYYMMDD, HHMM), and its levels from top to bottom."""

    number: int
    latitude: float
    longitude: float
    date: str
    time: str
    pressure: NDArray[np.float64]
    temperature: NDArray[np.float64]
    salinity: NDArray[np.float64]
    oxygen: NDArray[np.float64]


def write_examples(folder: Path, *, seed: int = 0, stations: int = 6, broken: bool = True) -> list[Example]:
    """A cruise across the dateline as a CTD zip, a bottle file, NetCDF and Sea-Bird files, a mooring's series as CSV and
    gzipped; unless `broken` is False also files broken in known ways. The same seed gives the same bytes."""
    rng = np.random.default_rng(seed)
    cruise = [made_station(number, stations, rng) for number in range(1, stations + 1)]
    levels = sum(len(one.pressure) for one in cruise)
    series, hours = water_level_csv(rng)
    good = {
        f"{EXPOCODE}/{EXPOCODE}_ct1.zip": (ctd_zip(cruise), levels),
        f"{EXPOCODE}/{EXPOCODE}_hy1.csv": (bottle_csv(cruise, rng), 12 * stations),
        f"{EXPOCODE}/netcdf/{EXPOCODE}_ctd.nc": (netcdf(cruise), levels),
        f"{EXPOCODE}/seabird/cast_001.cnv": (cnv(cruise[0]), len(cruise[0].pressure)),
        f"{EXPOCODE}/seabird/cast_001.btl": (btl(cruise[0]), 8),
        "mooring_water_level.csv": (series, hours),
        "mooring_water_level_again.csv.gz": (gzip.compress(series.replace(b"Harbour", b"Quay"), mtime=0), hours),
        f"{EXPOCODE}/named_wrongly.nc": (ctd_csv(cruise[1], cast=2), len(cruise[1].pressure)),
    }
    made = [_write(folder, key, data, observations=rows) for key, (data, rows) in good.items()]
    if broken:
        made += [
            _write(folder, f"broken/{name}", data, error_class=error_class)
            for name, (error_class, data) in broken_files(cruise, rng).items()
        ]
    return made


def _write(folder: Path, key: str, data: bytes, *, error_class: str | None = None, observations: int = 0) -> Example:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Example(path, key, error_class, observations)


def made_station(number: int, stations: int, rng: np.random.Generator, *, station: int | None = None) -> Station:
    """A warm surface over cold deep water, with a salinity minimum at 800 dbar. station: its number, if that is another."""
    deep = 400.0 + 200.0 * number
    pressure = np.arange(2.0, deep + 1, 2.0)
    temperature = 2.0 + 16.0 * np.exp(-pressure / 350.0) + 0.002 * rng.standard_normal(len(pressure)).cumsum() / 10
    salinity = 34.7 + 0.6 * np.exp(-pressure / 200.0) - 0.25 * np.exp(-(((pressure - 800.0) / 350.0) ** 2))
    oxygen = 220.0 - 90.0 * np.exp(-(((pressure - 900.0) / 500.0) ** 2)) + rng.normal(0, 0.4, len(pressure))
    longitude = 178.0 + 4.0 * (number - 1) / max(1, stations - 1)
    return Station(
        station or number, -30.0 - 0.5 * number, longitude if longitude <= 180 else longitude - 360, f"202401{5 + number % 26:02d}",
        f"{(3 * number) % 24:02d}15", pressure, temperature, salinity, oxygen,
    )  # fmt: skip


def ctd_csv(one: Station, *, cast: int = 1, end: str = "END_DATA\n") -> bytes:
    """A WHP-Exchange CTD file."""
    header = {
        "NUMBER_HEADERS": "10", "EXPOCODE": EXPOCODE, "SECT_ID": "P99", "STNNBR": str(one.number), "CASTNO": str(cast),
        "DATE": one.date, "TIME": one.time, "LATITUDE": f"{one.latitude:.4f}", "LONGITUDE": f"{one.longitude:.4f}",
        "DEPTH": f"{one.pressure[-1] + 20:.0f}",
    }  # fmt: skip
    lines = [f"CTD,{_STAMP}", "# a made-up cruise", *(f"{key} = {value}" for key, value in header.items())]
    lines.append("CTDPRS,CTDPRS_FLAG_W,CTDTMP,CTDTMP_FLAG_W,CTDSAL,CTDSAL_FLAG_W,CTDOXY,CTDOXY_FLAG_W")
    lines.append("DBAR,,ITS-90,,PSS-78,,UMOL/KG,")
    for row, (p, t, s, o) in enumerate(zip(one.pressure, one.temperature, one.salinity, one.oxygen, strict=True)):
        oxygen = "  -999.0,9" if row % 50 == 7 else f"{o:8.1f},{3 if row % 40 == 3 else 2}"
        lines.append(f"{p:9.1f},2,{t:9.4f},2,{s:9.4f},2,{oxygen}")
    return ("\n".join(lines) + "\n" + end).encode()


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip with these members, the same bytes at any time."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def ctd_zip(cruise: Sequence[Station]) -> bytes:
    """A zip with an Exchange CTD file for each station."""
    return zipped({f"{EXPOCODE}_{one.number:05d}_00001_ct1.csv": ctd_csv(one) for one in cruise})


def bottle_csv(cruise: Sequence[Station], rng: np.random.Generator) -> bytes:
    """A WHP-Exchange bottle file, twelve samples a station; a flag of station 1 is illegal, and one has no value."""
    names = (
        "EXPOCODE,SECT_ID,STNNBR,CASTNO,SAMPNO,BTLNBR,BTLNBR_FLAG_W,DATE,TIME,LATITUDE,LONGITUDE,DEPTH,CTDPRS,CTDTMP,"
        "SALNTY,SALNTY_FLAG_W,OXYGEN,OXYGEN_FLAG_W,NITRAT,NITRAT_FLAG_W"
    )
    lines = [f"BOTTLE,{_STAMP}", "# a made-up cruise", names, ",,,,,,,,,,,METERS,DBAR,ITS-90,PSS-78,,UMOL/KG,,UMOL/KG,"]
    for one in cruise:
        for sample, level in enumerate(np.linspace(len(one.pressure) - 1, 0, 12).astype(int), start=1):
            nitrate = 38.0 - 30.0 * np.exp(-one.pressure[level] / 400.0) + rng.normal(0, 0.05)
            flag = 0 if one.number == 1 and sample == 5 else 2
            salinity = f"{-999:9.4f}" if one.number == 2 and sample == 3 else f"{one.salinity[level]:9.4f}"
            lines.append(
                f"{EXPOCODE},P99,{one.number},1,{sample},{sample},2,{one.date},{one.time},{one.latitude:.4f},"
                f"{one.longitude:.4f},{one.pressure[-1] + 20:.0f},{one.pressure[level]:8.1f},{one.temperature[level]:8.4f},"
                f"{salinity},2,{one.oxygen[level]:7.1f},2,{nitrate:7.2f},{flag}"
            )
    return ("\n".join(lines) + "\nEND_DATA\n").encode()


def cnv(one: Station) -> bytes:
    """A Sea-Bird .cnv with one bad value."""
    columns = (
        "prDM: Pressure, Digiquartz [db]",
        "t090C: Temperature [ITS-90, deg C]",
        "sal00: Salinity, Practical [PSU]",
        "flag: flag",
    )
    lines = [
        "* Sea-Bird SBE 9 Data File:", "* NMEA Latitude = 30 30.00 S", "* NMEA Longitude = 178 00.00 E",
        "* NMEA UTC (Time) = Jan 06 2024  03:15:00", "** Station: 1", f"# nquan = {len(columns)}", f"# nvalues = {len(one.pressure)}",
        *(f"# name {number} = {text}" for number, text in enumerate(columns)), "# bad_flag = -9.990e-29", "# file_type = ascii", "*END*",
    ]  # fmt: skip
    for row, (p, t, s) in enumerate(zip(one.pressure, one.temperature, one.salinity, strict=True)):
        salinity = " -9.990e-29" if row == 3 else f"{s:11.4f}"
        lines.append(f"{p:11.3f}{t:11.4f}{salinity} 0.0000e+00")
    return ("\r\n".join(lines) + "\r\n").encode()


def btl(one: Station) -> bytes:
    """A Sea-Bird .btl: four bottles, each with its mean and standard deviation."""
    lines = [
        "* Sea-Bird SBE 9 Data File:", "* NMEA Latitude = 30 30.00 S", "* NMEA Longitude = 178 00.00 E", "** Station: 1",
        "    Bottle        Date      PrDM      T090C      Sal00", "  Position        Time                                 ",
    ]  # fmt: skip
    for bottle, level in enumerate(np.linspace(len(one.pressure) - 1, 0, 4).astype(int), start=1):
        means = f"{one.pressure[level]:11.3f}{one.temperature[level]:11.4f}{one.salinity[level]:11.4f}"
        lines.append(f"{bottle:7d}    Jan 06 2024{means}  (avg)")
        lines.append(f"              03:{20 + bottle}:00{0.05:11.3f}{0.002:11.4f}{0.0003:11.4f}  (sdev)")
    return ("\r\n".join(lines) + "\r\n").encode()


def netcdf(cruise: Sequence[Station], *, form: Any = "NETCDF3_64BIT_OFFSET") -> bytes:
    """Profiles as a contiguous ragged array by the CF conventions, salinity packed into integers."""
    # Not made in memory: what that gives back is as long as was asked for, with whatever was there before in the rest.
    with TemporaryDirectory() as folder:
        path = Path(folder, "example.nc")
        _write_netcdf(path, cruise, form)
        return path.read_bytes()


def _write_netcdf(path: Path, cruise: Sequence[Station], form: Any) -> None:
    import netCDF4

    sizes = [len(one.pressure) for one in cruise]
    data: Any = netCDF4.Dataset(path, "w", format=form)
    data.Conventions, data.featureType, data.title = "CF-1.8", "profile", "a made-up cruise"
    data.history, data.institution, data.source = "made for Strandline", "none", "made up"
    data.createDimension("profile", len(cruise))
    data.createDimension("obs", sum(sizes))
    data.createDimension("length", 12)

    def put(name: str, kind: str, dimensions: tuple[str, ...], values: object, **attributes: object) -> None:
        variable = data.createVariable(name, kind, dimensions, fill_value=attributes.pop("fill", None))
        variable.setncatts(attributes)
        variable[:] = values

    names = np.array([f"{one.number}" for one in cruise], dtype="S12")
    put("profile", "S1", ("profile", "length"), netCDF4.stringtochar(names), cf_role="profile_id", long_name="station")
    days = [float(one.date[-2:]) - 1 for one in cruise]
    put(
        "time",
        "f8",
        ("profile",),
        days,
        standard_name="time",
        long_name="time",
        units="days since 2024-01-01",
        axis="T",
        calendar="standard",
    )
    for name, unit, axis in (("latitude", "degrees_north", "Y"), ("longitude", "degrees_east", "X")):
        put(
            name,
            "f8",
            ("profile",),
            [getattr(one, name) for one in cruise],
            standard_name=name,
            long_name=name,
            units=unit,
            axis=axis,
        )
    put("row_size", "i4", ("profile",), sizes, sample_dimension="obs", long_name="number of levels")
    together = {
        name: np.concatenate([getattr(one, name) for one in cruise]) for name in ("pressure", "temperature", "salinity")
    }
    put("pressure", "f8", ("obs",), together["pressure"], standard_name="sea_water_pressure", long_name="pressure", units="dbar",
        axis="Z", positive="down")  # fmt: skip
    coordinates = "time latitude longitude pressure"
    put("temperature", "f8", ("obs",), together["temperature"], standard_name="sea_water_temperature", long_name="temperature",
        units="degC", coordinates=coordinates, fill=-999.0)  # fmt: skip
    put("salinity", "i2", ("obs",), together["salinity"], standard_name="sea_water_practical_salinity", long_name="salinity",
        units="1", coordinates=coordinates, fill=np.int16(-32768), scale_factor=0.001, add_offset=34.0)  # fmt: skip
    data.close()


def water_level_csv(rng: np.random.Generator, hours: int = 240) -> tuple[bytes, int]:
    """A tide gauge's hourly series as ERDDAP gives it, with one spike; and its rows."""
    lines = [
        "time,latitude,longitude,station,depth,sea_surface_height_above_sea_level",
        "UTC,degrees_north,degrees_east,,m,m",
    ]
    start = np.datetime64("2024-01-05T00:00:00")
    for hour in range(hours):
        level = 0.8 * np.sin(2 * np.pi * hour / 12.42) + rng.normal(0, 0.01) + (4.0 if hour == 100 else 0.0)
        lines.append(f"{start + np.timedelta64(hour, 'h')}Z,-36.84,174.76,Harbour,0,{level:.4f}")
    return ("\n".join(lines) + "\n").encode(), hours


def broken_files(cruise: Sequence[Station], rng: np.random.Generator) -> dict[str, tuple[str, bytes]]:
    """One file for each way of being broken: name -> error class, bytes."""
    ctd, bottle, profile = ctd_csv(cruise[0]), bottle_csv(cruise[:1], rng), cnv(cruise[0])
    rows = bottle.split(b"\n")
    return {
        "cut_short.csv": ("column_alignment", ctd[: len(ctd) // 2 - 12]),
        "extra_column.csv": ("column_alignment", b"\n".join([*rows[:6], rows[6] + b",7", *rows[7:]])),
        "no_keys.csv": ("no_keys", bottle.replace(b"STNNBR", b"SURVEY").replace(b"CASTNO", b"CASTER")),
        "no_pressure.csv": ("no_pressure", ctd.replace(b"CTDPRS", b"CTDXYZ")),
        "no_rows.csv": ("no_data", b"\n".join([*rows[:4], b"END_DATA", b""])),
        "nul.csv": ("wrong_encoding", ctd[:200] + b"\0" + ctd[200:]),
        "units.csv": ("unit_alignment", ctd.replace(b"DBAR,,ITS-90", b"DBAR,,ITS-90,PSS-78,UMOL/KG,UMOL/KG")),
        "binary.cnv": ("binary_cnv", profile.replace(b"file_type = ascii", b"file_type = binary")),
        "no_pressure.cnv": ("no_pressure", profile.replace(b"prDM: Pressure", b"v0: Voltage 0")),
        "damaged.nc": ("damaged_netcdf", netcdf(cruise[:2])[:300]),
        "damaged.zip": ("damaged_archive", ctd_zip(cruise)[:-40]),
        "nothing_to_read.zip": ("no_cruise_file", zipped({"readme.md": b"nothing here"})),
        "path.zip": ("unsafe_member_name", zipped({"../../etc/passwd": ctd})),
        "one_bad_cast.zip": ("column_alignment", zipped({"a_ct1.csv": ctd, "b_ct1.csv": ctd.replace(b"2,", b"2,,", 3)})),
        "letter.txt": ("unknown_type", b"Dear colleagues; please find the data attached.\n"),
        "empty.csv": ("empty_file", b""),
    }  # fmt: skip
