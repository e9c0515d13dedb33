"""A reranker by the name that users give it. It only knows names; each kind has its own file."""

from typing import cast

from thought1.contracts import Reranker
from thought1.registry import RERANKERS, load


def open_reranker(name: str, model: object = None) -> Reranker:
    """The reranker of that name, loaded.

    Args:
        name: `cross-encoder:NAME` (a folder, hub id or package:NAME/FOLDER), `openai:URL#MODEL`
            (listwise), `openai-pointwise:URL#MODEL`, `t1` (the index's own model) or `t1:NAME`.
        model: the index's own.

    Raises:
        Thought1Error: unknown name, or it cannot be loaded.
    """
    kind = name.partition(":")[0]
    return cast(Reranker, load("reranker", kind, RERANKERS)(name, model))
