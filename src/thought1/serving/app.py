"""The server as an ASGI application. It knows what is served, not where it came from.

shelf = make_shelf({"notes": index}, start)
uvicorn.run(create_app(shelf))
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from thought1 import __version__
from thought1.serving import catalogue, documents, embedding, searching, static_page
from thought1.serving.address import LOOPBACK
from thought1.serving.admission import SITE, Admission
from thought1.serving.context import Context
from thought1.serving.desk import Desk
from thought1.serving.errors import ApiError, answer, not_allowed
from thought1.serving.guard import Guard
from thought1.serving.limits import Limits
from thought1.serving.metrics import Metrics
from thought1.serving.readiness import Readiness
from thought1.serving.shelf import Shelf
from thought1.serving.site import Site
from thought1.serving.tidying import Tidying
from thought1.types import Thought1Error

DESCRIPTION = "Search that thinks before it looks, embeddings and reranking."


def create_app(
    shelf: Shelf,
    *,
    metrics: Metrics | None = None,
    limits: Limits | None = None,
    admission: Admission | None = None,
    site: Site | None = None,
) -> FastAPI:
    """An application that serves the shelf; at its end the shelf's models finish what they have.

    Args:
        metrics: that the shelf's models count into.
        admission: who may ask; by default everybody on this machine.
        site: pages that are served below /docs/.
    """
    limits, metrics, tidying = limits or Limits(), metrics or Metrics(), Tidying()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(tidying.close)
        await asyncio.to_thread(shelf.close)

    app = FastAPI(
        title="Thought 1",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # the pages that FastAPI brings load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    desk = Desk(limits, metrics, shelf.without_paths)
    app.state.context = Context(shelf, desk, limits, metrics, Readiness(shelf), tidying)
    modules = (searching, embedding, documents, catalogue)
    routers = [
        *(module.router for module in modules),
        catalogue.open_router,
        static_page.make_router(),
    ]
    for router in routers:
        app.include_router(router)
    if site is not None:
        app.mount(SITE.rstrip("/"), site)
    app.add_exception_handler(405, not_allowed(routers))
    for kind in (ApiError, Thought1Error, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)
    app.add_middleware(Guard, admission or Admission(LOOPBACK), limits, metrics)
    return app
