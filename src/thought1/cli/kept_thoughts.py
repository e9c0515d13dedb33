"""The option of `t1 search` and `t1 serve` that keeps thoughts on disk. Knows no file."""

from typing import TYPE_CHECKING, Annotated

import typer

from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.cli.models import Encoder
    from thought1.index import Index

ThoughtCache = Annotated[
    bool,
    typer.Option(
        "--thought-cache",
        help="Keep thoughts on disk, and take those that are there: the same question, model and "
        "settings are thought about once. Of questions only hashes are stored. At most 256 MB in "
        "the user's cache folder.",
    ),
]


def with_cache(index: "Index", model: "Encoder | None") -> "Index":
    """The same index, whose model keeps its thoughts.

    Raises:
        Thought1Error: the model does not think, or there is no place to keep them.
    """
    from thought1.search.thought_cache import CachedThinker, default_file
    from thought1.t1 import T1

    if not isinstance(model, T1):
        raise Thought1Error("--thought-cache is for searches that think, with a T1")
    identity = model.checkpoint.thinking_identity
    return index.with_model(CachedThinker(model, identity, default_file()))
