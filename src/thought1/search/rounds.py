"""Search, read, think, and again: the steps of a thought are searched with for what to read next.

After Kim et al., "REPAIR" (arXiv 2601.04618): a document may have nothing in common with the
question and still be what leads to the answer, and the thought's steps find it. Here T1 itself
reads these bridge documents, in its evidence slot, and thinks again. Knows the contracts of a store
and of what thinks, and no implementation of either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from thought1.contracts import Store
from thought1.search.evidence import shown
from thought1.search.explain import parts
from thought1.search.found import Found, Thinker
from thought1.search.options import SearchOptions
from thought1.search.steps import HYBRID_DEPTH, Think, fuse, stacked
from thought1.types import Hop, Ranking, Round

MAX_STEPS = 16
"""Steps of a thought that are searched with, from the first one on."""


@dataclass(slots=True)
class _Followed:
    """A query that goes on: what its thought's steps find."""

    hops: list[Hop] = field(default_factory=list)
    rankings: list[Ranking] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rounds:
    """Each thought is followed by another, until its steps find nothing else to read.

    A step is searched with by the vector where it ends, the thought cut there, and by its words,
    whatever the mode of the search: at first nothing but a name may be right. What is read next
    are the first documents of the question's words and of the steps in turn, so that each step of a
    chain has its own, the first one, which starts from the question, as well.
    """

    store: Store
    model: Thinker
    options: SearchOptions
    name: str = "rounds"

    def __call__(self, found: Found) -> None:
        """Replaces `thoughts`, `read` and `evidence`, adds to the counts, fills `rounds`."""
        trace: list[list[Round]] = [[] for _ in found.queries]
        asked = found.bm25  # in mode hybrid
        if asked is None:
            where, count = self.options.where, self.options.evidence
            asked = self.store.search_bm25(found.queries, count, where)
        going = list(range(len(found.queries)))
        for _ in range(self.options.rounds - 1):
            part = _part(found, going)
            followed = self._follow(part)
            found.prompt_tokens += part.prompt_tokens
            for place, own in zip(going, followed, strict=True):
                trace[place].append(_round(found, place, own.hops))
            rankings = [
                [asked[place], *own.rankings] if own.hops else []
                for place, own in zip(going, followed, strict=True)
            ]
            going = self._read(found, going, rankings)
            if not going:
                break
            again = _part(found, going)
            Think(self.model, self.options)(again)
            _put(found, going, again)
        for place in going:
            trace[place].append(_round(found, place, []))
        found.rounds = trace

    def _follow(self, part: Found) -> list[_Followed]:
        """What each step of each thought finds."""
        followed = [_Followed() for _ in part.queries]
        steps = [
            (place, own[0].text[:end], own[0].text[start:end])
            for place, own in enumerate(part.thoughts)
            for start, end in parts(own[0].text)[:MAX_STEPS]
        ]
        if not steps:
            return followed
        queries = [part.queries[place] for place, _, _ in steps]
        evidence = None
        if part.evidence is not None:
            evidence = [part.evidence[place] for place, _, _ in steps]
        begun = [text for _, text, _ in steps]
        thoughts = self.model.read_thoughts(queries, begun, evidence=evidence)
        part.prompt_tokens += self.model.count_prompt_tokens(queries, evidence=evidence)
        part.prompt_tokens += sum(len(thought.token_ids) for thought in thoughts)
        where, words = self.options.where, [text for _, _, text in steps]
        dense = self.store.search_dense(stacked(thoughts), HYBRID_DEPTH, where)
        bm25 = self.store.search_bm25(words, HYBRID_DEPTH, where)
        for (place, _, text), near, matching in zip(steps, dense, bm25, strict=True):
            ranking = fuse(near, matching, self.options.fusion)
            first = tuple(id_ for id_, _ in ranking[: self.options.evidence])
            followed[place].hops.append(Hop(text, first))
            followed[place].rankings.append(ranking)
        return followed

    def _read(
        self, found: Found, going: Sequence[int], rankings: Sequence[Sequence[Ranking]]
    ) -> list[int]:
        """Let the queries read on; those that have something else to read than before."""
        count = self.options.evidence
        read = list(found.read)
        evidence = list(found.evidence or [])
        chosen = [in_turn(own, count) for own in rankings]
        queries = [found.queries[place] for place in going]
        new = shown(self.store, self.model, queries, chosen)
        on = []
        for place, ids, texts in zip(going, *new, strict=True):
            if ids and set(ids) != set(read[place]):
                read[place], evidence[place] = ids, texts
                on.append(place)
        found.read, found.evidence = read, evidence
        return on


def in_turn(rankings: Sequence[Ranking], count: int) -> list[str]:
    """The first of each ranking, then the second ones, and so on: `count` ids, each once."""
    places = zip_longest(*([id_ for id_, _ in ranking[:count]] for ranking in rankings))
    ids = (id_ for place in places for id_ in place if id_ is not None)
    return list(dict.fromkeys(ids))[:count]


def _round(found: Found, place: int, hops: Sequence[Hop]) -> Round:
    return Round(tuple(found.read[place]), found.thoughts[place][0].text, tuple(hops))


def _part(found: Found, places: Sequence[int]) -> Found:
    """Some of the queries, without what they have cost."""
    return Found(
        [found.queries[place] for place in places],
        [found.thoughts[place] for place in places],
        [found.read[place] for place in places],
        None if found.evidence is None else [found.evidence[place] for place in places],
    )


def _put(found: Found, places: Sequence[int], again: Found) -> None:
    """The new thoughts of some queries, and what they cost."""
    thoughts = list(found.thoughts)
    for place, own in zip(places, again.thoughts, strict=True):
        thoughts[place] = own
    found.thoughts = thoughts
    found.prompt_tokens += again.prompt_tokens
    found.count([thought for own in again.thoughts for thought in own])
