"""For load balancers and Prometheus."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text
from starlette.responses import PlainTextResponse, Response

from rates_api.errors import Unavailable, documented
from rates_api.models import Health
from rates_api.service import Service
from rates_api.statements import statement

router = APIRouter(tags=["operations"])

_HAS_RATES = statement("has_rates", text("SELECT EXISTS (SELECT FROM daily_rates LIMIT 1)"), tuple)


@router.get("/healthz", response_model=Health)
async def healthz() -> Health:
    """Whether this process lives. Restart it when this does not answer."""
    return Health(status="ok")


@router.get("/readyz", response_model=Health, responses=documented(503))
async def readyz(request: Request) -> Health:
    """Whether to send requests here: not before the serving database answers, nor once asked to end."""
    service = cast(Service, request.app.state.service)
    if service.state.is_leaving:
        raise Unavailable("this process is about to end")
    await service.database.ask((_HAS_RATES, {}))
    return Health(status="ok")


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """For Prometheus: requests by route and status, their time, and the pool of connections."""
    return Response(cast(Service, request.app.state.service).metrics.text(), media_type=CONTENT_TYPE_LATEST)
