"""WOCE quality flags: which are legal, which say that a value is good, and which do not go with what stands there.

Source: WHP-Exchange quality codes, https://exchange-format.readthedocs.io/en/latest/quality.html (WHP Office Report
WHPO 90-1, 1994, section 4.5 for CTD and 4.7 for water samples).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.read.cruise_file import NO_FLAG, CruiseFile, Parameter

WOCE = frozenset({"woce_ctd", "woce_sample", "woce_bottle"})
LEGAL = {"woce_ctd": (1, 2, 3, 4, 5, 6, 7, 9), "woce_sample": range(1, 10), "woce_bottle": range(10)}
GOOD = {"woce_ctd": (2, 6, 7), "woce_sample": (2, 6)}
"""Acceptable; mean of replicates (samples) or interpolated (CTD); despiked (CTD)."""
WITHOUT_VALUE = {"woce_ctd": (5, 9), "woce_sample": (1, 5, 9)}
"""Not reported; not sampled; sample drawn and not yet analysed: no value can stand there."""
WITH_VALUE = {"woce_ctd": (2, 3, 4, 6, 7), "woce_sample": (2, 3, 4, 6, 7, 8)}
NETCDF_GOOD = (1, 2)
"""Schemes whose meaning a file does not say in WOCE's words: Argo and SeaDataNet have good and probably good here."""


def among(flags: NDArray[np.int16], some: Iterable[int]) -> NDArray[np.bool_]:
    """Where a flag is one of some. As `np.isin`, which for a handful of them takes many times as long."""
    found = np.zeros(len(flags), dtype=bool)
    for one in some:
        found |= flags == one
    return found


def is_good(parameter: Parameter) -> NDArray[np.bool_]:
    """Which values are there and good by their flags; all that are there where no flag says anything."""
    there = ~np.isnan(parameter.values)
    if parameter.flags is None:
        return there
    good = GOOD.get(parameter.flag_scheme, NETCDF_GOOD)
    flagged = among(parameter.flags, (*good, NO_FLAG))
    if parameter.flag_scheme in WOCE:
        # An illegal flag says nothing, neither good nor bad: such a value is not counted among the good ones.
        flagged &= among(parameter.flags, (*LEGAL[parameter.flag_scheme], NO_FLAG))
    return there & flagged


def check_flags(file: CruiseFile, findings: Findings) -> None:
    """Note illegal flags, flags that deny a value that is there, and flags that judge one that is not."""
    for parameter in file.parameters:
        flags, scheme = parameter.flags, parameter.flag_scheme
        if flags is None or scheme not in LEGAL or not len(flags):
            continue
        seen = np.bincount(flags.astype(np.int64) - NO_FLAG)
        values = np.flatnonzero(seen) + NO_FLAG
        if values[0] == NO_FLAG:
            values = values[1:]
        illegal = [int(value) for value in values if value not in LEGAL[scheme]]
        if illegal:
            findings.add_rows(
                "illegal_flag", "warning",
                f"a flag is none of {', '.join(map(str, LEGAL[scheme]))} (found: {', '.join(map(str, illegal[:8]))})",
                among(flags, illegal), file.where, parameter=parameter.name,
            )  # fmt: skip
        missing = np.isnan(parameter.values)
        if parameter.text is not None:
            missing &= np.array([text is None for text in parameter.text])
        if parameter.present is not None:
            missing &= parameter.present
        if set(values) & set(WITHOUT_VALUE[scheme]):
            findings.add_rows(
                "flag_without_value", "warning", "a flag says that there is no value, and there is one",
                among(flags, WITHOUT_VALUE[scheme]) & ~np.isnan(parameter.values), file.where, parameter=parameter.name,
            )  # fmt: skip
        if missing.any():
            findings.add_rows(
                "flag_of_no_value", "warning", "a flag judges a value, and there is none",
                among(flags, WITH_VALUE[scheme]) & missing, file.where, parameter=parameter.name,
            )  # fmt: skip
