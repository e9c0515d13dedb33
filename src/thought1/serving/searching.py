"""POST /v1/think and POST /v1/search: the one search pipeline, whole or as a stream."""

import time
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from thought1.serving.answers import (
    HitsEvent,
    ReceiptEvent,
    ReceiptOut,
    ResultOut,
    SearchResponse,
    ThinkResponse,
    ThoughtOut,
    ThoughtsOut,
)
from thought1.serving.asking import Asking
from thought1.serving.bodies import SearchRequest, ThinkRequest
from thought1.serving.checks import check_asking, check_search
from thought1.serving.context import BEARER, ERRORS, Server
from thought1.serving.desk import Emit
from thought1.serving.embedding import check_task
from thought1.serving.jobs import Listener, Ticket
from thought1.serving.metrics import Metrics
from thought1.serving.shelf import Helpers, ServedIndex, ServedModel
from thought1.serving.streaming import Reporter, sent_events
from thought1.t1 import T1
from thought1.types import Receipt, SearchResult, Thought

router = APIRouter(dependencies=[Depends(BEARER)], responses=ERRORS)

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One JSON object; or with stream server-sent events: thought, thought_end, "
        "hits (where it searches), receipt, error",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.post("/v1/search", response_model=SearchResponse, responses=STREAMED)
async def search(
    body: SearchRequest, request: Request, server: Server
) -> SearchResponse | Response:
    """Search an index by meaning, by words, or both."""
    check_search(body, server.limits)
    served = server.shelf.index(body.index)
    helpers = server.shelf.helpers(body.rerank, body.thinker)
    if not body.stream:
        results, receipt = await server.desk.run(
            request, "model", lambda ticket: _search(served, body, helpers, ticket)
        )
        server.metrics.searched(receipt, served.model.name)
        return SearchResponse(
            index=served.name,
            model=served.model.name,
            results=[ResultOut.of(result) for result in results],
            receipt=ReceiptOut.of(receipt),
        )

    def work(ticket: Ticket, emit: Emit) -> None:
        listener = _reporter(served.model, emit, server.metrics)
        results, receipt = _search(served, body, helpers, ticket, listener)
        server.metrics.searched(receipt, served.model.name)
        for number, result in enumerate(results):
            _report_cached(listener, number, result.thoughts)
            shown = dict(ResultOut.of(result))
            emit(HitsEvent(number=number, index=served.name, **shown))
        _emit_receipt(receipt, served.model, emit)

    return sent_events(await server.desk.stream(request, work))


@router.post("/v1/think", response_model=ThinkResponse, responses=STREAMED)
async def think(body: ThinkRequest, request: Request, server: Server) -> ThinkResponse | Response:
    """Think about questions, without searching."""
    check_asking(body, server.limits)
    model = server.shelf.model(body.model)
    check_task(model, body.task, body.think)
    if not body.stream:
        thoughts, receipt = await server.desk.run(
            request, "model", lambda ticket: _think(model, body, ticket)
        )
        server.metrics.searched(receipt, model.name)
        starts = range(0, len(thoughts), body.samples)
        return ThinkResponse(
            model=model.name,
            results=[
                ThoughtsOut(
                    query=query,
                    thoughts=[
                        ThoughtOut.of(thought)
                        for thought in thoughts[start : start + body.samples]
                        if thought.finish_reason != "none"
                    ],
                )
                for query, start in zip(body.queries, starts, strict=True)
            ],
            receipt=ReceiptOut.of(receipt),
        )

    def work(ticket: Ticket, emit: Emit) -> None:
        listener = _reporter(model, emit, server.metrics)
        thoughts, receipt = _think(model, body, ticket, listener)
        server.metrics.searched(receipt, model.name)
        for number in range(len(body.queries)):
            own = thoughts[number * body.samples : (number + 1) * body.samples]
            _report_cached(listener, number, own)
        _emit_receipt(receipt, model, emit)

    return sent_events(await server.desk.stream(request, work))


def _search(
    served: ServedIndex,
    body: SearchRequest,
    helpers: Helpers,
    ticket: Ticket,
    listener: Listener | None = None,
) -> tuple[list[SearchResult], Receipt]:
    asking = Asking(served.model.batcher, ticket, listener)
    options = body.options(asking.greedy if body.samples == 1 else asking.sampled)
    index = served.searching.with_model(served.model.thinker(asking, len(body.queries)))
    if helpers.reranker is not None:
        index.rerankers = {helpers.reranker.name: helpers.reranker.of(asking)}
    if helpers.writer is not None:
        return index.search_many(body.queries, options, writer=helpers.writer)
    return index.search_many(body.queries, options, body.thoughts)


def _think(
    model: ServedModel, body: ThinkRequest, ticket: Ticket, listener: Listener | None = None
) -> tuple[list[Thought], Receipt]:
    asking = Asking(model.batcher, ticket, listener, body.task)
    usual = asking.greedy if body.samples == 1 else asking.sampled
    start = time.perf_counter()
    thoughts = model.thinker(asking, len(body.queries)).think(
        body.queries,
        budget=body.think,
        sampling=usual if body.sampling is None else body.sampling.over(usual),
        samples=body.samples,
    )
    new = [thought for thought in thoughts if not thought.cached]
    receipt = Receipt(
        queries=len(body.queries),
        prompt_tokens=asking.count_prompt_tokens(body.queries),
        thought_tokens=sum(len(thought.token_ids) for thought in new),
        forced=sum(thought.forced for thought in new),
        milliseconds={"think": 1000 * (time.perf_counter() - start)},
        cached=len(thoughts) - len(new),
    )
    return thoughts, receipt


def _reporter(model: ServedModel, emit: Emit, metrics: Metrics) -> Listener | None:
    loaded = model.batcher.model
    if not isinstance(loaded, T1):
        return None
    return Reporter(emit, loaded.queries.decode, metrics.first_token.observe)


def _report_cached(listener: Listener | None, query: int, thoughts: Sequence[Thought]) -> None:
    """Thoughts that were there are shown as a whole."""
    if listener is None:
        return
    for sample, thought in enumerate(thoughts):
        if thought.cached:
            listener.thought(query, sample, thought)


def _emit_receipt(receipt: Receipt, model: ServedModel, emit: Emit) -> None:
    shown = dict(ReceiptOut.of(receipt))
    emit(ReceiptEvent(model=model.name, **shown))
