"""POST /v1/embeddings, as OpenAI has it, and POST /v1/rerank, as Cohere and Jina have it."""

import base64
import uuid

import numpy as np
from fastapi import APIRouter, Depends, Request

from thought1.serving.asking import Asking
from thought1.serving.checks import at_most, check_texts
from thought1.serving.context import BEARER, ERRORS, Server
from thought1.serving.embedding_bodies import (
    ApiVersion,
    Embedding,
    EmbeddingsRequest,
    EmbeddingsResponse,
    Ranked,
    RankedText,
    RerankMeta,
    RerankRequest,
    RerankResponse,
    Usage,
)
from thought1.serving.errors import ApiError
from thought1.serving.jobs import Ticket
from thought1.serving.shelf import ServedModel
from thought1.t1 import T1
from thought1.types import Vectors

router = APIRouter(dependencies=[Depends(BEARER)], responses=ERRORS)


@router.post("/v1/embeddings")
async def embeddings(
    body: EmbeddingsRequest, request: Request, server: Server
) -> EmbeddingsResponse:
    """Vectors of texts, L2-normalised."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    check_texts("input", texts, server.limits.texts, server.limits.characters)
    at_most("think", body.think, server.limits.think)
    model = server.shelf.model(body.model)
    _check(body, model)
    vectors, usage = await server.desk.run(
        request, "model", lambda ticket: _vectors(model, body, texts, ticket)
    )
    return EmbeddingsResponse(
        data=[
            Embedding(index=place, embedding=_encoded(vector, body.encoding_format))
            for place, vector in enumerate(vectors)
        ],
        model=model.name,
        usage=usage,
    )


@router.post("/v1/rerank")
@router.post("/v2/rerank", operation_id="rerank_v2")
async def rerank(body: RerankRequest, request: Request, server: Server) -> RerankResponse:
    """Documents by the cosine of their vectors and the query's, best first."""
    check_texts("query", [body.query], 1, server.limits.characters)
    check_texts("documents", body.texts, server.limits.texts, server.limits.characters)
    at_most("think", body.think, server.limits.think)
    model = server.shelf.model(body.model)
    scores, usage = await server.desk.run(
        request, "model", lambda ticket: _scores(model, body, ticket)
    )
    order = np.argsort(-scores, kind="stable")[: body.top_n]
    texts = body.texts
    version = request.url.path.split("/")[1].removeprefix("v")
    return RerankResponse(
        id=uuid.uuid4().hex,
        model=model.name,
        results=[
            Ranked(
                index=int(place),
                relevance_score=float(scores[place]),
                document=RankedText(text=texts[place]) if body.return_documents else None,
            )
            for place in order
        ],
        meta=RerankMeta(api_version=ApiVersion(version=version)),
        usage=usage,
    )


def check_task(model: ServedModel, task: str | None, think: int | None) -> None:
    """Refuse an instruction that would have no effect.

    Raises:
        ApiError: the model reads bare questions without any.
    """
    loaded = model.batcher.model
    own = isinstance(loaded, T1) and (loaded.companion is None or loaded.settings.beside)
    if task is None or own:
        return
    if not isinstance(loaded, T1) or loaded.queries.tokens(think) == 0:
        raise ApiError(
            400,
            "invalid_value",
            f"{model.name} reads questions without an instruction unless it thinks about them: "
            "leave task out, or give a thinking budget of 1 token or more as think",
            "task",
        )


def _check(body: EmbeddingsRequest, model: ServedModel) -> None:
    dim = model.batcher.model.dim
    if body.dimensions not in (None, dim):
        message = f"{model.name} has vectors of {dim} dimensions, and no others"
        raise ApiError(400, "invalid_value", message, "dimensions")
    if body.input_type == "query":
        check_task(model, body.task, body.think)
        return
    for name in ("task", "think"):
        if getattr(body, name) is not None:
            message = f'{name} is for questions: set input_type to "query", or leave it out'
            raise ApiError(400, "invalid_value", message, name)


def _vectors(
    model: ServedModel, body: EmbeddingsRequest, texts: list[str], ticket: Ticket
) -> tuple[Vectors, Usage]:
    asking = Asking(model.batcher, ticket, None, body.task)
    if body.input_type == "document":
        read = asking.count_document_tokens(texts)
        return asking.encode_document(texts), Usage(prompt_tokens=read, total_tokens=read)
    return _questions(asking, texts, body.think)


def _questions(asking: Asking, texts: list[str], budget: int | None) -> tuple[Vectors, Usage]:
    thoughts = asking.think(texts, budget=budget, sampling=asking.greedy)
    read = asking.count_prompt_tokens(texts)
    written = sum(len(thought.token_ids) for thought in thoughts)
    vectors = [thought.vector for thought in thoughts if thought.vector is not None]
    return np.stack(vectors), Usage(prompt_tokens=read, total_tokens=read + written)


def _scores(model: ServedModel, body: RerankRequest, ticket: Ticket) -> tuple[Vectors, Usage]:
    """Cosines (n,)."""
    asking = Asking(model.batcher, ticket)
    vectors, usage = _questions(asking, [body.query], body.think)
    texts = body.texts
    if body.max_tokens_per_doc is not None:
        texts = asking.first_tokens(texts, body.max_tokens_per_doc)
    read = asking.count_document_tokens(texts)
    usage = Usage(prompt_tokens=usage.prompt_tokens + read, total_tokens=usage.total_tokens + read)
    scores: Vectors = asking.encode_document(texts) @ vectors[0]
    return scores, usage


def _encoded(vector: Vectors, encoding: str) -> list[float] | str:
    if encoding == "float":
        return [float(number) for number in vector]
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
