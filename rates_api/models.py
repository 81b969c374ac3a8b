"""What goes into the API and comes out of it. The OpenAPI document follows from these."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def _day(value: Any) -> Any:
    # Pydantic would also take seconds since 1970 and times of day.
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("expected a day such as 2016-01-31")
    return value


Day = Annotated[date, BeforeValidator(_day)]
Place = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
PortCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}[A-Z0-9]{3}$")]
RequestId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]

STATISTICS = ("count", "median", "percentiles")
_ONE = "(" + "|".join(STATISTICS) + ")"


class RatesQuery(BaseModel):
    """What rates are asked for: `origin` with `destination`, or `orig_code` with `dest_code`."""

    model_config = ConfigDict(extra="forbid")

    date_from: Day = Field(description="first day", examples=["2016-01-01"])
    date_to: Day = Field(description="last day; it is one of the days asked for", examples=["2016-01-05"])
    origin: Place | None = Field(
        default=None, description="port code or region slug that the goods leave", examples=["CNSGH"]
    )
    destination: Place | None = Field(
        default=None, description="port code or region slug that they go to", examples=["north_europe_main"]
    )
    orig_code: Place | None = Field(
        default=None, description="the same as `origin`, for the answer of the operations dialect"
    )
    dest_code: Place | None = Field(default=None, description="the same as `destination`, likewise")
    include: Annotated[str, StringConstraints(pattern=rf"^{_ONE}(,{_ONE})*$")] | None = Field(
        default=None,
        description=f"more of each day, with commas between: {', '.join(STATISTICS)}. Not with `orig_code`",
    )


class DayRate(BaseModel):
    """One day between two places. Figures are null where fewer than 3 prices stand behind them."""

    day: date
    average_price: int | None = Field(description="mean of all prices of the day, rounded, halves up")
    count: int | None = Field(default=None, description="prices of the day; with `include=count`")
    median: float | None = Field(default=None, description="with `include=median`")
    p2_5: float | None = Field(default=None, description="2.5th percentile, interpolated; with `include=percentiles`")
    p25: float | None = Field(default=None, description="25th percentile")
    p75: float | None = Field(default=None, description="75th percentile")
    p97_5: float | None = Field(default=None, description="97.5th percentile")


class LaneDay(BaseModel):
    """One day that has prices."""

    day: date
    count: int = Field(ge=1, description="prices of the day")
    price: float = Field(description="mean of them, however few they are")


class LaneRates(BaseModel):
    """The days that have prices, newest first: the operations dialect."""

    rates: list[LaneDay]


class NewPrice(BaseModel):
    """A price for every day from `date_from` to `date_to`, both of them included."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "date_from": "2016-01-03", "date_to": "2016-01-04", "origin_code": "CNSGH", "destination_code": "NLRTM",
                "price": 1100,
            }
        },
    )  # fmt: skip

    date_from: Day
    date_to: Day
    origin_code: PortCode = Field(description="code of the port that the goods leave")
    destination_code: PortCode = Field(description="code of the port that they go to")
    price: float = Field(gt=0, allow_inf_nan=False, strict=True, description="in the currency of the batches")


class Posted(BaseModel):
    """What became of a posted price."""

    request_id: str = Field(description="ask for it at /rates/posted/{request_id}")
    key: str = Field(description="key of its file in the landing store: strandline explain KEY")
    state: str = Field(
        description="`landed`: written, not looked at yet; then as for any file: pending, running, committed "
        "(its prices are in the averages), quarantined (refused), duplicate, held, ..."
    )
    error_class: str | None = Field(default=None, description="why it was refused, in a word")
    error: str | None = Field(default=None, description="why it was refused")


class Health(BaseModel):
    status: Literal["ok"]


@dataclass(frozen=True)
class Plausible:
    """What the pipeline takes for a price and for its day, so that what it would refuse is told at once."""

    price_min: float
    price_max: float
    day_first: date
    day_last: date
