"""The options of `t1 search` and `t1 evaluate` that name a reranker. Knows no reranker."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.evaluation.request import Request
    from thought1.search.options import SearchOptions

T = TypeVar("T", "SearchOptions", "Request")

Rerank = Annotated[
    str | None,
    typer.Option(
        "--rerank",
        metavar="NAME",
        help="Let a model that reads question and document together reorder the first "
        "documents: cross-encoder:NAME (folder, hub id or package:), openai:URL#MODEL (a chat "
        "model, listwise), openai-pointwise:URL#MODEL (yes or no), t1 or t1:NAME (how likely "
        "a T1 finds the question after the document).",
    ),
]
RerankDepth = Annotated[
    int | None,
    typer.Option(
        "--rerank-depth", min=1, metavar="N", help="How many documents it reads; by default 50."
    ),
]
RerankWeight = Annotated[
    float | None,
    typer.Option(
        "--rerank-weight",
        min=0.0,
        max=1.0,
        metavar="W",
        help="What the reranker's scores weigh beside those of the search, both scaled to 0 to 1; "
        "by default 0.5, and 1 is the reranker alone.",
    ),
]
RerankGuided = Annotated[
    bool,
    typer.Option(
        "--rerank-guided",
        help="Read neighbours of what the reranker has found best so far, instead of the first "
        "documents only.",
    ),
]


def with_reranker(
    options: T,
    name: str | None,
    depth: int | None,
    weight: float | None,
    guided: bool,
) -> T:
    """Options of a search, or a request of an evaluation, with what the flags say.

    Raises:
        Thought1Error: settings of no reranker.
    """
    if name is None and (depth is not None or weight is not None or guided):
        raise Thought1Error("--rerank-depth, --rerank-weight and --rerank-guided are of --rerank")
    return replace(
        options,
        rerank=name,
        rerank_depth=options.rerank_depth if depth is None else depth,
        rerank_weight=options.rerank_weight if weight is None else weight,
        rerank_guided=guided,
    )
