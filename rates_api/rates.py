"""`GET /rates`: average prices by day, in both dialects."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rates_api.errors import Problem, documented, told
from rates_api.models import DayRate, LaneRates, RatesQuery
from rates_api.service import Service
from rates_api.statements import Given, statement
from resources.serving import queries

PATH = "/rates"
router = APIRouter(tags=["rates"])

_RATES = statement("rates", queries.RATES, queries.RateRow._make)
_SPREAD = statement("spread", queries.SPREAD, queries.SpreadRow._make)
_PERCENTILES = ("p2_5", "p25", "p75", "p97_5")
_PLAIN, _OPERATIONS = ("origin", "destination"), ("orig_code", "dest_code")


@router.get(PATH, response_model=list[DayRate] | LaneRates, responses=documented(400, 422, 429, 503))
async def rates(request: Request, asked: Annotated[RatesQuery, Query()]) -> Response:
    """Average prices by day between two ports, two regions, or one of each; a region is all ports below it.

    With `origin` and `destination`: every day from `date_from` to `date_to`, the average null under 3 prices.
    With `orig_code` and `dest_code` (the operations dialect): `{"rates": [...]}`, only days with prices, newest first.
    """
    return await _answer(cast(Service, request.app.state.service), request.scope["query_string"])


class QuickRates:
    """The same in front of FastAPI, which makes the document of the route above: what it does for each request (routing,
    dependencies, validation, exit stacks) would take more time than the answer."""

    path = PATH

    def __init__(self, service: Service) -> None:
        self._service = service

    def wants(self, scope: Scope) -> bool:
        return scope["path"] == PATH and scope["method"] == "GET"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self
        try:
            response = await _answer(self._service, scope["query_string"])
        except (Problem, RequestValidationError) as error:
            response = told(PATH, error)
        await response(scope, receive, send)


async def _answer(service: Service, query: bytes) -> Response:
    """Raises Problem, RequestValidationError."""
    asked = _asked(query)
    names, places = _places(asked)
    first, last = asked.date_from, asked.date_to
    service.check_span(first, last)
    included = frozenset((asked.include or "").split(",")) - {""}
    given: Given = {"origin": places[0], "destination": places[1], "first": first, "last": last}
    wants_spread = not included.isdisjoint({"median", "percentiles"})
    found = await service.database.ask((_RATES, given), *([(_SPREAD, given)] if wants_spread else []))
    try:
        queries.check_places(found[0], *places)
    except queries.UnknownPlace as error:
        raise Problem(400, error.reason, names[_PLAIN.index(error.field)]) from None
    # The rows are of our own making: a second look at each would cost more than the query.
    if names == _OPERATIONS:
        content = to_json({"rates": _newest_first(found[0])})
    elif included:
        content = to_json(_every_day(found, first, last, included))
    else:
        content = _averages(found[0], first, last)
    return Response(content, media_type="application/json")


def _asked(query: bytes) -> RatesQuery:
    """Raises Problem for a parameter that is there twice, for either could be meant; RequestValidationError."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem(422, "expected once, and it is there several times", twice)
    try:
        return RatesQuery.model_validate(parameters)
    except ValidationError as error:
        raise RequestValidationError(
            [{**one, "loc": ("query", *one["loc"])} for one in error.errors(include_context=False, include_url=False)]
        ) from None


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


def _newest_first(rows: list[queries.RateRow]) -> list[dict[str, Any]]:
    return [{"day": one.day, "count": one.prices, "price": one.average} for one in queries.day_rates_newest_first(rows)]


def _averages(rows: list[queries.RateRow], first: date, last: date) -> bytes:
    """What most ask for, as JSON, without a detour: days have no characters that JSON writes otherwise."""
    found = {
        day: queries.rounded(average)
        for day, prices, average, _, _ in rows
        if average is not None and (prices or 0) >= queries.FEWEST_PRICES
    }
    days = (
        f'{{"day":"{day.isoformat()}","average_price":{found.get(day, "null")}}}'
        for day in queries.days_of(first, last)
    )
    return f"[{','.join(days)}]".encode()


def _every_day(found: list[list[Any]], first: date, last: date, included: frozenset[str]) -> list[dict[str, Any]]:
    days: list[dict[str, Any]] = []
    for one in queries.day_rates(found[0], first, last):
        day: dict[str, Any] = {"day": one.day, "average_price": one.average_price}
        if "count" in included:
            day["count"] = one.prices
        days.append(day)
    for day, spread in zip(days, queries.day_spreads(found[1], first, last) if len(found) > 1 else [], strict=False):
        if "median" in included:
            day["median"] = spread.median
        if "percentiles" in included:
            day |= {name: getattr(spread, name) for name in _PERCENTILES}
    return days
