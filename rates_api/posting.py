"""`POST /rates`: a price for a range of days becomes a file in the landing store, and goes the way of every file.

So it is checked, counted, kept in lake and serving database alike, explained, withdrawn and erased like any other.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import tempfile
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Text, bindparam, text
from starlette.responses import Response

from rates_api.errors import Problem, Unavailable, documented
from rates_api.models import IdempotencyKey, NewPrice, Posted, RequestId
from rates_api.service import Service
from rates_api.statements import statement
from resources.landing.store import FileChanged, FileGone, LandingStore, ReadOnlyStore, StoreError
from resources.ledger.queries import newest_of_key

router = APIRouter(tags=["posting"])

FOLDER = "rates/posted/"
_bearer = HTTPBearer(auto_error=False, description="STRANDLINE_API_TOKEN")
_KNOWN = statement(
    "known_ports",
    text(
        "SELECT code FROM ports WHERE code IN (:origin_code, :destination_code) AND region_slug IS NOT NULL"
    ).bindparams(bindparam("origin_code", type_=Text), bindparam("destination_code", type_=Text)),
    lambda row: str(row[0]),
)


async def has_token(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
    """Raises Problem without the token."""
    token = cast(Service, request.app.state.service).platform.settings.api_token
    if token is None:
        raise Problem(403, "nobody can post here: STRANDLINE_API_TOKEN is not set")
    said = given.credentials if given is not None else ""
    if not hmac.compare_digest(said.encode(), token.get_secret_value().encode()):
        raise Problem(
            401, "expected the header Authorization: Bearer TOKEN", "Authorization", WWW_Authenticate="Bearer"
        )


@router.post(
    "/rates",
    status_code=202,
    response_model=Posted,
    dependencies=[Depends(has_token)],
    responses=documented(400, 401, 403, 409, 411, 413, 422, 429, 503),
)
async def post_price(
    request: Request,
    response: Response,
    price: NewPrice,
    idempotency_key: Annotated[
        IdempotencyKey | None, Header(description="sent again with the same key, a price counts once")
    ] = None,
) -> Posted:
    """Land a price for each day of a range. It is in the averages once its state is `committed`, seconds later."""
    service = cast(Service, request.app.state.service)
    await _check(service, price)
    request_id = (
        uuid.uuid4().hex if idempotency_key is None else hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]
    )
    posted = await asyncio.to_thread(_land, service, request_id, _lines(price, request_id))
    response.headers["Location"] = f"/rates/posted/{request_id}"
    return posted


@router.get(
    "/rates/posted/{request_id}",
    response_model=Posted,
    dependencies=[Depends(has_token)],
    responses=documented(401, 403, 404, 422, 429, 503),
)
async def posted_price(request: Request, request_id: RequestId) -> Posted:
    """What became of a posted price."""
    return await asyncio.to_thread(_posted, cast(Service, request.app.state.service), request_id)


async def _check(service: Service, price: NewPrice) -> None:
    """Raises Problem for what the pipeline would refuse."""
    service.check_span(price.date_from, price.date_to)
    limits = service.plausible
    for field, day in (("date_from", price.date_from), ("date_to", price.date_to)):
        if not limits.day_first <= day <= limits.day_last:
            raise Problem(400, f"expected a day from {limits.day_first} to {limits.day_last}", field)
    if not limits.price_min <= price.price <= limits.price_max:
        raise Problem(400, f"expected a price from {limits.price_min:g} to {limits.price_max:g}", "price")
    codes = {"origin_code": price.origin_code, "destination_code": price.destination_code}
    (known,) = await service.database.ask((_KNOWN, codes))
    for field, code in codes.items():
        if code not in known:
            raise Problem(400, f"{code} is no known port's code", field)


def _lines(price: NewPrice, request_id: str) -> bytes:
    """A file of the rates source. The request is in it, so that equal prices of two requests are two deliveries."""
    days = ((price.date_from + timedelta(days=n)) for n in range((price.date_to - price.date_from).days + 1))
    rows = (
        {
            "orig_code": price.origin_code, "dest_code": price.destination_code, "day": str(day), "price": price.price,
            "request": request_id,
        }
        for day in days
    )  # fmt: skip
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def _land(service: Service, request_id: str, content: bytes) -> Posted:
    landing, key = service.platform.landing, f"{FOLDER}{request_id}.jsonl"
    try:
        there = _content(landing, key)
        if there is not None and there != content:
            raise Problem(409, "this key came with another price before; use a new one", "Idempotency-Key")
        with tempfile.TemporaryDirectory(prefix="strandline-posted-") as folder:
            path = Path(folder) / "price.jsonl"
            path.write_bytes(content)
            landing.put(path, key)
    except ReadOnlyStore as error:
        raise Problem(403, "prices cannot be posted: the landing store is read only here") from error
    except OSError as error:
        raise _away(error) from error
    return _posted(service, request_id)


def _content(landing: LandingStore, key: str) -> bytes | None:
    """What is landed under a key; None for nothing."""
    try:
        look = landing.look(key)
        if look is None:
            return None
        fetcher = landing.fetcher()
        content = fetcher.fetch(key, landing.version_of(look), look.size_bytes)
        try:
            return content if isinstance(content, bytes) else content.read_bytes()
        finally:
            fetcher.done(content)
    except FileGone:
        return None
    except FileChanged as error:
        raise Unavailable("another request with this Idempotency-Key is just being done; ask again") from error


def _posted(service: Service, request_id: str) -> Posted:
    landing, key = service.platform.landing, f"{FOLDER}{request_id}.jsonl"
    try:
        file = newest_of_key(service.platform.ledger, landing.name, key)
        if file is None and landing.look(key) is None:
            raise Problem(404, "no price was posted under this id", "request_id")
    except StoreError as error:
        raise _away(error) from error
    if file is None:
        return Posted(request_id=request_id, key=key, state="landed")
    return Posted(request_id=request_id, key=key, state=file.state, error_class=file.error_class, error=file.error)


def _away(error: OSError) -> Unavailable:
    return Unavailable(f"the landing store does not take the price ({type(error).__name__}); post it again")
