"""What can be set about ocean files: limits, columns of plain CSV files, and the limits of the quality tests."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pipeline_assets.ocean.limits import DEFAULT_LIMITS, Climatology, Limits


def _none_from_text(value: Any) -> Any:
    """'' and 'none' -> None; anything else is left to pydantic."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


class CsvColumns(BaseModel):
    """Which columns of a plain CSV file are what. Names are compared without regard to case.

    parameters: the columns to keep, each with its unit; empty: all that are numbers. flags: the column of flags of one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: tuple[str, ...] = ("time", "datetime", "date_time", "timestamp", "utc", "date")
    latitude: tuple[str, ...] = ("latitude", "lat")
    longitude: tuple[str, ...] = ("longitude", "lon", "long")
    pressure: tuple[str, ...] = ("pressure", "pres", "prs", "ctdprs", "sea_water_pressure", "pressure_dbar")
    depth: tuple[str, ...] = ("depth", "z", "depth_m")
    station: tuple[str, ...] = ("station", "stnnbr", "station_id", "site", "station_name")
    cast: tuple[str, ...] = ("cast", "castno", "profile", "profile_id")
    expocode: tuple[str, ...] = ("expocode", "cruise", "cruise_id")
    parameters: dict[str, str] = Field(default_factory=dict)
    flags: dict[str, str] = Field(default_factory=dict)


class OceanConfig(BaseModel):
    """Settings of the ocean source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_unpacked_mb: float = Field(
        512.0, gt=0, description="size that an archive or packed file may unpack to, MB (10^6 bytes)"
    )
    max_members: int = Field(
        5_000, ge=1, description="most files of an archive; the largest cruises have some hundreds"
    )
    max_values: int = Field(
        50_000_000, ge=1, description="most values that a NetCDF file may declare; guards against sizes nobody can hold"
    )
    exchange_at_once: Annotated[int | None, BeforeValidator(_none_from_text)] = Field(
        None, ge=1, description="most WHP-Exchange files that a run reads at once; none: as many as it has readers"
    )
    archive_at_once: Annotated[int | None, BeforeValidator(_none_from_text)] = Field(
        None, ge=1, description="the same for zips and packed files"
    )
    seabird_at_once: Annotated[int | None, BeforeValidator(_none_from_text)] = Field(
        None, ge=1, description="the same for Sea-Bird files"
    )
    netcdf_at_once: Annotated[int | None, BeforeValidator(_none_from_text)] = Field(
        None, ge=1, description="the same for NetCDF files"
    )
    csv_at_once: Annotated[int | None, BeforeValidator(_none_from_text)] = Field(
        None, ge=1, description="the same for plain CSV files"
    )
    csv_columns: CsvColumns = Field(
        default_factory=CsvColumns, description="which columns of a plain CSV file are what"
    )
    compliance: bool = Field(True, description="whether NetCDF files that land are scored against the CF conventions")
    qartod: dict[str, Limits] = Field(
        default_factory=dict,
        description="limits of the QARTOD tests by CF standard name or parameter; each named here replaces the default",
    )
    climatology: tuple[Climatology, ...] = Field(
        (), description="ranges that values are expected in, by parameter, month and pressure; none by default"
    )
    neighbour_max_dbar: float = Field(
        25.0,
        gt=0,
        description="most distance of two levels that the tests of neighbours (spike, rate of change) compare, dbar; "
        "Strandline's own: bottles lie further apart, and water changes between them",
    )
    density_suspect_kg_m3: float = Field(
        0.03,
        ge=0,
        description="decrease of potential density downwards that is suspect, kg/m3. Source: Argo Quality Control Manual "
        "for CTD and Trajectory Data 3.7 (2023), test 14, https://doi.org/10.13155/33951",
    )
    density_fail_kg_m3: float = Field(
        0.3,
        ge=0,
        description="the same above which the levels fail, kg/m3; the value is Strandline's own: ten times it",
    )
    speed_max_m_s: float = Field(
        15.0, gt=0, description="most speed between two casts, m/s; no research vessel is faster. Strandline's own"
    )
    time_from: str = Field(
        "1872-12-07",
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        description="day before which no cast can be; the Challenger expedition sailed then",
    )

    qartod_fail_share_max: float = Field(
        0.01, ge=0, le=1, description="share of values that may fail QARTOD's tests before the check of a batch warns"
    )
    cf_score_min: float = Field(
        0.9, ge=0, le=1, description="share of the CF points below which the check of a batch warns"
    )
    dynamodb_table: str = Field(
        "", description="DynamoDB table that gets the statistics of each cruise's parameters; none when empty"
    )
    dynamodb_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/@\s]+$",
        description="address of a server that speaks DynamoDB's protocol; AWS itself when not set",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.density_fail_kg_m3 < self.density_suspect_kg_m3:
            raise ValueError("density_fail_kg_m3 is less than density_suspect_kg_m3")
        return self

    def limits_of(self, standard_name: str | None, parameter: str) -> Limits | None:
        """The limits that hold for a parameter: by its own name first, then by its standard name."""
        for name in (parameter, standard_name or ""):
            if name in self.qartod:
                return self.qartod[name]
        return DEFAULT_LIMITS.get(standard_name or "")
