"""Names of measured quantities: WHP-Exchange and Sea-Bird -> CF standard names.

Exchange names: CCHDO parameters, https://cchdo.ucsd.edu/formats; standard names: CF Standard Name Table, version 86;
Sea-Bird short names: SBE Data Processing manual (2017), Appendix III.
"""

from __future__ import annotations

import re

PRESSURE = "sea_water_pressure"
TEMPERATURE = "sea_water_temperature"
SALINITY = "sea_water_practical_salinity"
OXYGEN_MASS = "moles_of_oxygen_per_unit_mass_in_sea_water"
OXYGEN_VOLUME = "volume_fraction_of_oxygen_in_sea_water"

STANDARD_NAMES: dict[str, tuple[str, ...]] = {
    PRESSURE: ("CTDPRS", "REVPRS", "PRES", "PRESSURE", "CTDPRES", "PRS"),
    TEMPERATURE: ("CTDTMP", "REVTMP", "THETA_INSITU", "TEMP", "TEMPERATURE", "CTDTMP68", "CTDTEMP"),
    SALINITY: ("CTDSAL", "SALNTY", "SALINITY", "PSAL", "BTLSAL"),
    "sea_water_potential_temperature": ("THETA", "POTTMP"),
    OXYGEN_MASS: ("CTDOXY", "OXYGEN", "OXY", "BTLOXY", "DOXY"),
    "mole_concentration_of_dissolved_molecular_oxygen_in_sea_water": ("CTDOXYV",),
    "moles_of_silicate_per_unit_mass_in_sea_water": ("SILCAT", "SILICATE", "SIO3", "SLCA"),
    "moles_of_nitrate_per_unit_mass_in_sea_water": ("NITRAT", "NITRATE", "NTRA"),
    "moles_of_nitrite_per_unit_mass_in_sea_water": ("NITRIT", "NITRITE", "NTRI"),
    "moles_of_nitrate_and_nitrite_per_unit_mass_in_sea_water": ("NO2+NO3", "NO3+NO2", "NITRAT+NITRIT"),
    "moles_of_phosphate_per_unit_mass_in_sea_water": ("PHSPHT", "PHOSPHATE", "PO4", "PHOS"),
    "moles_of_ammonium_per_unit_mass_in_sea_water": ("NH4", "AMMONI", "AMMONIUM"),
    "moles_of_cfc11_per_unit_mass_in_sea_water": ("CFC-11", "CFC11", "F11"),
    "moles_of_cfc12_per_unit_mass_in_sea_water": ("CFC-12", "CFC12", "F12"),
    "moles_of_cfc113_per_unit_mass_in_sea_water": ("CFC113", "CFC-113"),
    "moles_of_sulfur_hexafluoride_per_unit_mass_in_sea_water": ("SF6",),
    "moles_of_dissolved_inorganic_carbon_per_unit_mass_in_sea_water": ("TCARBN", "DIC", "TCO2"),
    "sea_water_alkalinity_per_unit_mass": ("ALKALI", "TALK", "ALKALINITY"),
    "sea_water_ph_reported_on_total_scale": ("PH_TOT", "PH_TS", "PH"),
    "sea_water_ph_reported_on_seawater_scale": ("PH_SWS",),
    "partial_pressure_of_carbon_dioxide_in_sea_water": ("PCO2", "PCO2TMP"),
    "moles_of_dissolved_organic_carbon_per_unit_mass_in_sea_water": ("DOC",),
    "mass_concentration_of_chlorophyll_in_sea_water": ("CHLORA", "CTDFLUOR_TSG", "CPHL"),
    "sea_water_fluorescence": ("CTDFLUOR", "FLUORC", "FLUOR"),
    "volume_beam_attenuation_coefficient_of_radiative_flux_in_sea_water_corrected_for_pure_water_attenuance": (
        "CTDBEAMCP",
    ),
    "volume_beam_attenuation_coefficient_of_radiative_flux_in_sea_water": ("CTDXMISS", "XMISS", "TRANSM", "TRANS"),
    "sea_floor_depth_below_sea_surface": ("DEPTH",),
    "sea_water_electrical_conductivity": ("CTDCOND", "COND", "CNDC"),
    "sea_water_sigma_theta": ("SIGMA0", "SIG0", "SIGTHETA"),
    "sea_surface_height_above_sea_level": ("WATER_LEVEL", "SSH"),
    "latitude": ("LATITUDE", "BTL_LAT"),
    "longitude": ("LONGITUDE", "BTL_LON"),
    "depth": ("CTDDEP", "CTDDEPTH"),
}
_BY_NAME = {name: standard for standard, names in STANDARD_NAMES.items() for name in names}
_ALTERNATE = re.compile(r"(_ALT_[0-9]+|_[0-9]+)$")
_KNOWN = frozenset(STANDARD_NAMES)

_SEABIRD: tuple[tuple[str, str], ...] = (
    (r"pr(DM|dM|SM|M|50M[0-9]?|E|DE|SE|dE)?$", PRESSURE),
    (r"(depSM|depFM|depS|depF)$", "depth"),
    (
        r"(t[0-9]?(090|068|190|168|90|68)C?m?|t[vn]?[0-9]?(90|68)C|t(090|190)|tv[0-9](90|68)C|t[0-9]{2,3}C)$",
        TEMPERATURE,
    ),
    (r"potemp[0-9]*C$", "sea_water_potential_temperature"),
    (r"sal[0-9]{2}$", SALINITY),
    (r"(sbeox|sbox)[0-9]?mm/kg$", OXYGEN_MASS),
    (r"(sbeox|sbox)[0-9]?ml/l$", OXYGEN_VOLUME),
    (r"c[0-9]?(s/m|ms/cm|us/cm)$", "sea_water_electrical_conductivity"),
    (r"sigma-.[0-9]{2}$", "sea_water_sigma_theta"),
    (r"(latitude|lat)$", "latitude"),
    (r"(longitude|lon)$", "longitude"),
    (r"ph$", "sea_water_ph_reported_on_total_scale"),
    (r"fl(?!ag).*$", "sea_water_fluorescence"),
    (r"turb.*$", "sea_water_turbidity"),
    (r"par[0-9]?$", "downwelling_photosynthetic_photon_flux_in_sea_water"),
    (r"svc[mcw]$", "speed_of_sound_in_sea_water"),
)
_SEABIRD_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), name) for pattern, name in _SEABIRD)


def standard_name_of(name: str) -> str | None:
    """The CF standard name of an Exchange name or one like it; None for one that is not known."""
    if name.lower() in _KNOWN:
        return name.lower()
    upper = name.upper()
    return _BY_NAME.get(upper) or _BY_NAME.get(_ALTERNATE.sub("", upper))


def seabird_standard_name(name: str) -> str | None:
    """The CF standard name of a Sea-Bird short name, such as t090C; None for one that is not known."""
    plain = re.sub(r"_[0-9]+$", "", name)
    return next((standard for pattern, standard in _SEABIRD_PATTERNS if pattern.match(plain)), None)
