"""The application, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from rates_api import health, posting, rates
from rates_api.database import Database
from rates_api.door import Door, State
from rates_api.errors import add_handlers
from rates_api.metrics import Metrics
from rates_api.models import Plausible
from rates_api.service import Service
from resources.platform import Platform


class Application(FastAPI):
    """Requests pass the door first, outside of all that FastAPI does; those that come most are answered there."""

    door: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.door(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def others(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)


def create_app(platform: Platform, plausible: Plausible) -> Application:
    """Opens nothing before it is served."""
    settings = platform.settings
    database = Database(platform.serving, settings.api_connections, settings.api_query_seconds)
    metrics = Metrics(lambda: database.stats)
    service = Service(platform, plausible, database, metrics, State())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database.start()
        yield
        await database.close()
        platform.close()

    app = Application(
        title="Strandline rates",
        version="1",
        description="Average prices of moving a container between ports, by day.",
        lifespan=lifespan,
        # Their pages load scripts from elsewhere; the document is at /openapi.json.
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    routers = (rates.router, posting.router, health.router)
    for router in routers:
        app.include_router(router)
    app.state.routes = [route for router in routers for route in router.routes]
    add_handlers(app)
    quick = rates.QuickRates(service)

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        await (quick if quick.wants(scope) else app.others)(scope, receive, send)

    app.door = Door(inside, service.state, metrics, settings.api_rate_limit)
    return app
