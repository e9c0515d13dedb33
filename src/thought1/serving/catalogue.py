"""What a server has, and whether it is well."""

from asyncio import to_thread
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from thought1.serving.context import BEARER, ERRORS, Server
from thought1.serving.embedding_bodies import (
    Health,
    IndexesResponse,
    IndexOut,
    ModelOut,
    ModelsResponse,
)
from thought1.serving.errors import ApiError
from thought1.serving.shelf import ServedIndex, ServedModel
from thought1.t1 import T1

router = APIRouter(dependencies=[Depends(BEARER)], responses=ERRORS)
open_router = APIRouter(responses=ERRORS)


@router.get("/v1/models")
async def models(server: Server) -> ModelsResponse:
    """The models that embed, think and rerank."""
    return ModelsResponse(data=[_model(model) for model in server.shelf.models.values()])


@router.get("/v1/models/{model:path}")
async def model(model: Annotated[str, Path(min_length=1)], server: Server) -> ModelOut:
    """One of them."""
    return _model(server.shelf.model(model))


@router.get("/v1/indexes")
async def indexes(request: Request, server: Server) -> IndexesResponse:
    """The indexes that can be searched."""
    served = server.shelf.indexes.values()
    return IndexesResponse(
        indexes=await to_thread(lambda: [_index(one) for one in served]),
        rerankers=list(server.shelf.rerankers),
        thinkers=list(server.shelf.writers),
        writable=request.state.writable,
    )


@router.get("/metrics", response_class=Response)
async def metrics(server: Server) -> Response:
    """Counters and times, for Prometheus."""
    return Response(server.metrics.text(), media_type=server.metrics.content_type)


@open_router.get("/health")
async def health() -> Health:
    """The process answers."""
    return Health()


@open_router.get("/ready")
async def ready(server: Server) -> Health:
    """Models take work and indexes can be read; else 503. `degraded`: a disk is nearly full."""
    problem = await to_thread(server.readiness.problem)
    if problem is not None:
        raise ApiError(503, "not_ready", problem)
    full = await to_thread(server.readiness.nearly_full)
    return Health(status="degraded" if full else "ok", problems=full)


def _model(served: ServedModel) -> ModelOut:
    model = served.batcher.model
    budget = 0
    if isinstance(model, T1) and not model.checkpoint.random_head:
        budget = model.settings.thought.max_new_tokens
    return ModelOut(id=served.name, created=served.created, dimensions=model.dim, think=budget)


def _index(served: ServedIndex) -> IndexOut:
    return IndexOut(
        name=served.name,
        model=served.model.name,
        documents=len(served.index),
        dimensions=served.index.info.dim,
        created=served.index.info.created,
    )
