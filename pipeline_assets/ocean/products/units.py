"""Units and names as the CF conventions have them: from those of oceanographers' files.

CF: https://cfconventions.org/Data/cf-conventions/cf-conventions-1.8; names and units of the standard name table, version 93.
"""

from __future__ import annotations

import re

_AMOUNT = ("mol kg-1", "mmol kg-1", "umol kg-1", "nmol kg-1", "pmol kg-1", "fmol kg-1")
_TEMPERATURE = ("degree_Celsius", "K")

UNITS_OF: dict[str, tuple[str, ...]] = {
    "sea_water_pressure": ("dbar",),
    "sea_water_temperature": _TEMPERATURE,
    "sea_water_potential_temperature": _TEMPERATURE,
    "sea_water_practical_salinity": ("1",),
    "sea_water_sigma_theta": ("kg m-3",),
    "sea_water_electrical_conductivity": ("S m-1", "mS cm-1"),
    "sea_water_ph_reported_on_total_scale": ("1",),
    "sea_floor_depth_below_sea_surface": ("m",),
    "depth": ("m",),
    "speed_of_sound_in_sea_water": ("m s-1",),
    "mass_concentration_of_chlorophyll_in_sea_water": ("mg m-3", "ug L-1"),
    "mole_concentration_of_dissolved_molecular_oxygen_in_sea_water": ("mmol m-3", "umol L-1"),
    "volume_fraction_of_oxygen_in_sea_water": ("mL L-1",),
    "volume_beam_attenuation_coefficient_of_radiative_flux_in_sea_water": ("m-1",),
    "volume_beam_attenuation_coefficient_of_radiative_flux_in_sea_water_corrected_for_pure_water_attenuance": ("m-1",),
    "partial_pressure_of_carbon_dioxide_in_sea_water": ("Pa", "uatm"),
    **{
        f"moles_of_{substance}_per_unit_mass_in_sea_water": _AMOUNT
        for substance in (
            "oxygen", "silicate", "nitrate", "nitrite", "nitrate_and_nitrite", "phosphate", "ammonium", "cfc11",
            "sulfur_hexafluoride", "dissolved_inorganic_carbon", "dissolved_organic_carbon",
        )
    },
}  # fmt: skip
"""Standard names that are in the table, each with the units that its values come in and that are of its kind."""

_UDUNITS: dict[str, str] = {
    "DBAR": "dbar", "DB": "dbar", "DECIBAR": "dbar", "DECIBARS": "dbar",
    "ITS-90": "degree_Celsius", "ITS90": "degree_Celsius", "IPTS-68": "degree_Celsius", "IPTS68": "degree_Celsius",
    "DEG C": "degree_Celsius", "DEGC": "degree_Celsius", "DEG_C": "degree_Celsius", "C": "degree_Celsius",
    "DEGREE_CELSIUS": "degree_Celsius", "DEGREES_CELSIUS": "degree_Celsius", "CELSIUS": "degree_Celsius",
    "PSS-78": "1", "PSS78": "1", "PSU": "1", "1": "1", "NONE": "1", "UNITLESS": "1",
    "MOL/KG": "mol kg-1", "UMOL/KG": "umol kg-1", "NMOL/KG": "nmol kg-1", "PMOL/KG": "pmol kg-1", "FMOL/KG": "fmol kg-1",
    "MMOL/M^3": "mmol m-3", "MMOL/M3": "mmol m-3", "UMOL/L": "umol L-1", "ML/L": "mL L-1",
    "MG/M^3": "mg m-3", "MG/M3": "mg m-3", "UG/L": "ug L-1", "UG/KG": "ug kg-1", "KG/M^3": "kg m-3", "KG/M3": "kg m-3",
    "M": "m", "METERS": "m", "METRES": "m", "1/M": "m-1", "/METER": "m-1", "/METRE": "m-1", "M^-1": "m-1",
    "M/S": "m s-1", "CM/S": "cm s-1", "S/M": "S m-1", "MS/CM": "mS cm-1", "VOLTS": "V", "VOLT": "V", "V": "V",
    "%": "percent", "PERCENT": "percent", "UATM": "uatm", "PA": "Pa", "SECONDS": "s", "SEC": "s",
    "0/00": "0.001", "/MILLE": "0.001", "O/OO": "0.001", "DEGREES": "degree", "DEG": "degree",
}  # fmt: skip
_LETTERS = re.compile(r"[^A-Za-z0-9_]+")


def udunits(unit: str) -> str | None:
    """A unit of a file as UDUNITS writes it; None for one that is not known, and where the file gives none."""
    text = " ".join(unit.upper().replace("[", "").replace("]", "").split())
    return _UDUNITS.get(text) or _UDUNITS.get(text.partition(",")[0].strip())


def standard_name(name: str | None, unit: str | None) -> str | None:
    """A standard name that is one of CF's and whose values these units can be; else None."""
    return name if name and unit in UNITS_OF.get(name, ()) else None


def variable_name(parameter: str, taken: set[str]) -> str:
    """A name that NetCDF takes, and that none of the others has, in lower or upper case. It is added to `taken`."""
    plain = _LETTERS.sub("_", parameter).strip("_") or "parameter"
    plain = plain if plain[0].isalpha() else f"p_{plain}"
    name, number = plain, 2
    while any(other in taken for other in (name.lower(), f"{name.lower()}_flag", f"{name.lower()}_qartod")):
        name, number = f"{plain}_{number}", number + 1
    taken |= {name.lower(), f"{name.lower()}_flag", f"{name.lower()}_qartod"}
    return name
