"""The tables that ports and regions become: the one place where a column is defined."""

from __future__ import annotations

import numpy as np
import pandera.pandas as pa
from pandera.typing.pandas import Series

CODE = r"^[A-Z]{2}[A-Z0-9]{3}$"
"""A UN/LOCODE: https://unece.org/trade/uncefact/unlocode"""


class Regions(pa.DataFrameModel):
    """The tree of regions: one row for each region, of any depth."""

    slug: Series[str] = pa.Field(unique=True, description="name of the region in queries")
    name: Series[str] = pa.Field(description="name of the region for people")
    parent_slug: Series[str] = pa.Field(nullable=True, description="region it is a part of; missing for a root")
    depth: Series[np.int32] = pa.Field(ge=0, description="regions above it", metadata={"unit": "1"})

    class Config:
        strict = True


class Ports(pa.DataFrameModel):
    """One row for each port."""

    code: Series[str] = pa.Field(
        unique=True, str_matches=CODE, description="UN/LOCODE of the port", metadata={"from": ["file"]}
    )
    name: Series[str] = pa.Field(description="name of the port", metadata={"from": ["file"]})
    region_slug: Series[str] = pa.Field(
        description="region that the port is in", metadata={"from": ["file", "regions.slug"]}
    )

    class Config:
        strict = True


class Closure(pa.DataFrameModel):
    """Every port of each region and of all regions below it: one row for each region and port."""

    region_slug: Series[str] = pa.Field(description="region", metadata={"from": ["regions.slug"]})
    port_code: Series[str] = pa.Field(description="port that is in it", metadata={"from": ["ports.code"]})
    depth: Series[np.int32] = pa.Field(
        ge=0,
        description="regions between: 0 for the port's own region",
        metadata={"unit": "1", "from": ["regions.parent_slug", "ports.region_slug"]},
    )

    class Config:
        strict = True
