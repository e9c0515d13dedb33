"""Searches with thoughts that others have written: a chat model, or a file.

Knows the contracts of a writer and of what reads thoughts. A query whose thought is missing is
searched without one, and the answer says so.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from thought1.contracts import ThoughtWriter
from thought1.search.found import Thinker
from thought1.search.options import SearchOptions
from thought1.types import LeftOut, Receipt, SearchResult, Thought, Thought1Error

logger = logging.getLogger(__name__)

_NONE = Thought("", (), "none")

BATCH = 32
"""Queries that a writer gets at a time where progress is to be seen."""


@dataclass(slots=True)
class WrittenThoughts:
    """Thoughts with their vectors, one for each query; empty ones where there was none."""

    thoughts: list[Thought]
    left_out: dict[int, LeftOut] = field(default_factory=dict)
    """Place of a query -> why it has no thought."""
    milliseconds: dict[str, float] = field(default_factory=dict)

    def noted(
        self, results: Sequence[SearchResult], receipt: Receipt
    ) -> tuple[list[SearchResult], Receipt]:
        """The answer of a search with these thoughts, and what had to be left out of it."""
        told = [
            replace(result, left_out=(self.left_out[place], *result.left_out))
            if place in self.left_out
            else result
            for place, result in enumerate(results)
        ]
        count = sum(bool(result.left_out) for result in told)
        spent = {**self.milliseconds, **receipt.milliseconds}
        return told, replace(receipt, milliseconds=spent, left_out=count)


def check_elsewhere(options: SearchOptions) -> None:
    """Refuse a search that would think itself.

    Raises:
        Thought1Error: it does, or there is nothing that a thought would change.
    """
    if options.mode == "bm25":
        raise Thought1Error("bm25 reads no thoughts; use the mode hybrid or dense")
    own = options.samples > 1 or options.evidence or options.checkpoints or options.adaptive
    if own or options.sampling is not None or options.think == 0:
        raise Thought1Error(
            "thoughts from elsewhere are searched with as they are: leave samples, sampling, "
            "evidence, checkpoints, adaptive and a budget of 0 out"
        )


def write_thoughts(
    writer: ThoughtWriter,
    model: Thinker,
    queries: Sequence[str],
    budget: int | None = None,
    on_progress: Callable[[int], object] | None = None,
) -> WrittenThoughts:
    """Let a writer think about queries, and the model read what it wrote.

    Args:
        model: reads the thoughts.

    Raises:
        Thought1Error: the model reads no thoughts, or the writer cannot work at all.
    """
    model.read_thoughts([], [])  # one that reads none says so before anything is written
    start = time.perf_counter()
    given = writer.think(queries, budget=budget)
    if len(given) != len(queries):
        raise Thought1Error(f"{len(queries)} questions but {len(given)} thoughts were written")
    wrote = time.perf_counter()
    texts = [one if isinstance(one, LeftOut) else _text(one) for one in given]
    written = WrittenThoughts([_NONE] * len(queries))
    for first in range(0, len(queries), BATCH):
        places = range(first, min(first + BATCH, len(queries)))
        _read(model, queries, texts, places, written)
        if on_progress:
            on_progress(len(places))
    bare = list(written.left_out)
    for place, one in zip(bare, _bare(model, [queries[i] for i in bare]), strict=True):
        written.thoughts[place] = one
    ended = time.perf_counter()
    written.milliseconds = {"write": 1000 * (wrote - start), "embed": 1000 * (ended - wrote)}
    for left_out in dict.fromkeys(written.left_out.values()):
        logger.warning("without a thought: %s", left_out.reason)
    return written


def _bare(model: Thinker, queries: Sequence[str]) -> list[Thought]:
    return model.think(queries, budget=0) if queries else []


def _text(thought: str | Thought) -> str | LeftOut:
    text = thought if isinstance(thought, str) else thought.text
    return text.strip() or LeftOut("think", "the thought is empty")


def _read(
    model: Thinker,
    queries: Sequence[str],
    texts: Sequence[str | LeftOut],
    places: Sequence[int],
    written: WrittenThoughts,
) -> None:
    """Those that cannot be read are left out, whatever the others are."""
    known = {place: text for place in places if isinstance(text := texts[place], str)}
    for place in places:
        text = texts[place]
        if isinstance(text, LeftOut):
            written.left_out[place] = text
    if not known:
        return
    try:
        found = model.read_thoughts([queries[place] for place in known], list(known.values()))
    except Thought1Error as error:
        if len(known) == 1:
            written.left_out[next(iter(known))] = LeftOut("think", str(error))
            return
        for place in known:
            _read(model, queries, texts, [place], written)
        return
    for place, thought in zip(known, found, strict=True):
        written.thoughts[place] = thought
