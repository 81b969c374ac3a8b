"""Limits of the QARTOD tests, with their defaults by CF standard name.

Tests: U.S. IOOS QARTOD, Manual for Real-Time Quality Control of In-situ Temperature and Salinity Data 2.1 (2020),
https://doi.org/10.25923/x02m-m555. Ranges: Argo Quality Control Manual for CTD and Trajectory Data 3.7 (2023), test 7,
https://doi.org/10.13155/33951; and for Biogeochemical Data, https://doi.org/10.13155/40879. Suspect ranges, spikes and rates
without a source of their own are Strandline's: wide enough that the GO-SHIP sections at hand hardly show any.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Span = tuple[float, float]


class Limits(BaseModel):
    """Limits of one parameter, in its own unit. What is None is not tested.

    gross_fail, gross_suspect: ranges (least, most). spike: difference from the mean of both neighbours that is suspect,
    that fails. rate_per_dbar, rate_per_s: change that is suspect, along pressure and along time.
    flat_tolerance: a run that varies by less is flat; flat_dbar, flat_s: lengths of a run that are suspect, that fail.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gross_fail: Span | None = None
    gross_suspect: Span | None = None
    spike: Span | None = None
    rate_per_dbar: Annotated[float | None, Field(gt=0)] = None
    rate_per_s: Annotated[float | None, Field(gt=0)] = None
    flat_tolerance: Annotated[float, Field(gt=0)] = 1e-6
    flat_dbar: Span | None = None
    flat_s: Span | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("gross_fail", "gross_suspect", "spike", "flat_dbar", "flat_s"):
            span = getattr(self, name)
            if span is not None and span[0] > span[1]:
                raise ValueError(f"{name} is {span}; the first number is the lower one")
        if self.gross_fail and self.gross_suspect:
            (low, high), (suspect_low, suspect_high) = self.gross_fail, self.gross_suspect
            if suspect_low < low or suspect_high > high:
                raise ValueError("gross_suspect reaches beyond gross_fail")
        return self


class Climatology(BaseModel):
    """A range in which a parameter is expected. parameter: its name or CF standard name. months: 1 to 12; empty: all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameter: str = Field(min_length=1)
    low: float
    high: float
    months: tuple[int, ...] = ()
    pressure_dbar: Span = (-10.0, 12_000.0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high or self.pressure_dbar[0] > self.pressure_dbar[1]:
            raise ValueError(f"climatology of {self.parameter}: a range begins above its end")
        if not set(self.months) <= set(range(1, 13)):
            raise ValueError(f"climatology of {self.parameter}: months are 1 to 12")
        return self


DEFAULT_LIMITS: dict[str, Limits] = {
    "sea_water_pressure": Limits(gross_fail=(-5.0, 12_000.0), gross_suspect=(-2.4, 11_000.0)),
    "sea_water_temperature": Limits(
        gross_fail=(-2.5, 40.0), gross_suspect=(-2.2, 36.0), spike=(2.0, 6.0), rate_per_dbar=2.0, rate_per_s=0.05,
        flat_tolerance=1e-5, flat_dbar=(200.0, 400.0), flat_s=(21_600.0, 43_200.0),
    ),
    "sea_water_practical_salinity": Limits(
        gross_fail=(2.0, 41.0), gross_suspect=(5.0, 40.0), spike=(0.3, 0.9), rate_per_dbar=1.0, rate_per_s=0.05,
        flat_tolerance=1e-5, flat_dbar=(300.0, 600.0), flat_s=(21_600.0, 43_200.0),
    ),
    "moles_of_oxygen_per_unit_mass_in_sea_water": Limits(
        gross_fail=(-5.0, 600.0), gross_suspect=(0.0, 500.0), spike=(50.0, 100.0), rate_per_dbar=50.0,
    ),
    "moles_of_silicate_per_unit_mass_in_sea_water": Limits(gross_fail=(-5.0, 300.0), gross_suspect=(-0.5, 250.0)),
    "moles_of_nitrate_per_unit_mass_in_sea_water": Limits(gross_fail=(-2.0, 60.0), gross_suspect=(-0.5, 50.0)),
    "moles_of_nitrite_per_unit_mass_in_sea_water": Limits(gross_fail=(-1.0, 25.0), gross_suspect=(-0.1, 15.0)),
    "moles_of_phosphate_per_unit_mass_in_sea_water": Limits(gross_fail=(-0.5, 6.0), gross_suspect=(-0.1, 4.5)),
    "moles_of_dissolved_inorganic_carbon_per_unit_mass_in_sea_water": Limits(
        gross_fail=(500.0, 4000.0), gross_suspect=(1500.0, 2600.0)
    ),
    "sea_water_alkalinity_per_unit_mass": Limits(gross_fail=(500.0, 4000.0), gross_suspect=(1800.0, 2800.0)),
    "sea_water_ph_reported_on_total_scale": Limits(gross_fail=(7.0, 8.8), gross_suspect=(7.3, 8.5)),
    "sea_water_ph_reported_on_seawater_scale": Limits(gross_fail=(7.0, 8.8), gross_suspect=(7.3, 8.5)),
    # ioos_qc's example for hourly water levels.
    "sea_surface_height_above_sea_level": Limits(
        gross_fail=(-10.0, 10.0), gross_suspect=(-2.0, 3.0), spike=(0.8, 3.0), rate_per_s=0.001, flat_tolerance=0.001,
        flat_s=(10_800.0, 21_600.0),
    ),
}  # fmt: skip
