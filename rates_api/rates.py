"""`GET /rates`: average prices by day, in both dialects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from rates_api.database import for_psycopg
from rates_api.errors import Problem, documented
from rates_api.models import DayRate, LaneRates, RatesQuery
from rates_api.service import Service
from resources.serving import queries

router = APIRouter(tags=["rates"])

_RATES = for_psycopg(queries.RATES)
_SPREAD = for_psycopg(queries.SPREAD)
_PERCENTILES = ("p2_5", "p25", "p75", "p97_5")
_PLAIN, _OPERATIONS = ("origin", "destination"), ("orig_code", "dest_code")


async def once(request: Request) -> None:
    """Raises Problem for a parameter that is there twice: either could be meant."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if names.count(name) > 1:
            raise Problem(422, "expected once, and it is there several times", name)


@router.get(
    "/rates",
    response_model=list[DayRate] | LaneRates,
    dependencies=[Depends(once)],
    responses=documented(400, 422, 429, 503),
)
async def rates(request: Request, asked: Annotated[RatesQuery, Query()]) -> Response:
    """Average prices by day between two ports, two regions, or one of each; a region is all ports below it.

    With `origin` and `destination`: every day from `date_from` to `date_to`, the average null under 3 prices.
    With `orig_code` and `dest_code` (the operations dialect): `{"rates": [...]}`, only days with prices, newest first.
    """
    service = cast(Service, request.app.state.service)
    names, places = _places(asked)
    service.check_span(asked.date_from, asked.date_to)
    included = frozenset((asked.include or "").split(","))
    wants_spread = not included.isdisjoint({"median", "percentiles"})
    given = {"origin": places[0], "destination": places[1], "first": asked.date_from, "last": asked.date_to}
    found = await service.database.ask((_RATES, given), *([(_SPREAD, given)] if wants_spread else []))
    try:
        queries.check_places(found[0], *places)
    except queries.UnknownPlace as error:
        raise Problem(400, error.reason, names[_PLAIN.index(error.field)]) from None
    if names == _OPERATIONS:
        return _json({"rates": _newest_first(found[0])})
    return _json(_every_day(found, included))


def _places(asked: RatesQuery) -> tuple[tuple[str, str], tuple[str, str]]:
    """The names of the dialect's two parameters, and what they say. Raises Problem."""
    is_operations = asked.orig_code is not None or asked.dest_code is not None
    names, others = (_OPERATIONS, _PLAIN) if is_operations else (_PLAIN, _OPERATIONS)
    for name in names:
        if getattr(asked, name) is None:
            raise Problem(422, "Field required", name)
    for name in (*others, *(["include"] if is_operations else [])):
        if getattr(asked, name) is not None:
            raise Problem(422, f"not together with {names[0]}", name)
    return names, (getattr(asked, names[0]), getattr(asked, names[1]))


def _newest_first(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"day": one.day, "count": one.prices, "price": one.average} for one in queries.day_rates_newest_first(rows)]


def _every_day(found: list[list[Any]], included: frozenset[str]) -> list[dict[str, Any]]:
    days: list[dict[str, Any]] = []
    for one in queries.day_rates(found[0]):
        day: dict[str, Any] = {"day": one.day, "average_price": one.average_price}
        if "count" in included:
            day["count"] = one.prices
        days.append(day)
    for day, spread in zip(days, queries.day_spreads(found[1]) if len(found) > 1 else [], strict=False):
        if "median" in included:
            day["median"] = spread.median
        if "percentiles" in included:
            day |= {name: getattr(spread, name) for name in _PERCENTILES}
    return days


def _json(content: Any) -> Response:
    # The rows are of our own making: a second look at each would cost more than the query.
    return Response(to_json(content), media_type="application/json")
