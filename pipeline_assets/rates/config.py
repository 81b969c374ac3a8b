"""What can be set about batches of prices: which prices and days are plausible, how long a report may be."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict, Field


class RatesConfig(BaseModel):
    """Settings of the rates source. All limits are Strandline's own: they catch slips of units and of columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    price_min: float = Field(0.01, gt=0, description="lowest price of a batch that is no slip, in the batch's currency")
    price_max: float = Field(1e7, gt=0, description="highest price that is no slip, in the batch's currency")
    day_first: date = Field(date(1990, 1, 1), description="earliest day that a price may be for")
    day_last: date = Field(date(2100, 12, 31), description="latest day that a price may be for")
    report_rows: int = Field(100, ge=1, le=10_000, description="wrong rows that the report of a refused file names")


class ReadingConfig(RatesConfig):
    """The same with what reading knows of the ports."""

    known_ports: frozenset[str]
