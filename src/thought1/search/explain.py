"""Why a document was found: parts of the thought, its nearest sentence, the words it shares.

The last step of a search that is to be explained. Knows the contracts of a store and of what reads
thoughts and documents.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thought1.contracts import Store
from thought1.search.found import Found, IndexModel, Thinker
from thought1.search.options import SearchOptions
from thought1.search.steps import stacked
from thought1.types import Document, Explanation, Highlight, ThoughtPart, Vectors

Span = tuple[int, int]
"""Offsets of a first character, and after a last one."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])\s*|\s*\n\s*")
_PART_END = re.compile(rf"\s*;\s*|{_SENTENCE_END.pattern}")
_WORD = re.compile(r"\w+")


def sentences(text: str) -> list[Span]:
    """Where the sentences of a document are; a line break ends one."""
    return _spans(text, _SENTENCE_END)


def parts(thought: str) -> list[Span]:
    """Where the parts of a thought are: its sentences, and the statements between semicolons."""
    return _spans(thought, _PART_END)


def query_words(query: str) -> list[str]:
    """The distinct words of a query, in their order."""
    return list(dict.fromkeys(_WORD.findall(query)))


@dataclass(frozen=True, slots=True)
class Explain:
    """Explanations of the hits of each query.

    A part's effect is measured by leaving it out and reading the rest again; BM25 adds up word by
    word, so a word's share is the score of a query with only that word.
    """

    store: Store
    model: Thinker
    options: SearchOptions
    name: str = "explain"

    def __call__(self, found: Found) -> None:
        """Fills `explanations`."""
        ids = [[id_ for id_, _ in ranking] for ranking in found.rankings]
        thinks = self.options.mode != "bm25"
        vectors = self.store.vectors([i for own in ids for i in own]) if thinks else {}
        moved = self._moved(found, ids, vectors) if thinks else [{} for _ in ids]
        shown = self._highlights(found, ids) if thinks else [{} for _ in ids]
        found.explanations = [
            {
                id_: Explanation(parts_of.get(id_, ()), lit.get(id_), words.get(id_, ()))
                for id_ in own
            }
            for own, parts_of, lit, words in zip(
                ids, moved, shown, self._words(found, ids), strict=True
            )
        ]

    def _moved(
        self, found: Found, ids: Sequence[Sequence[str]], vectors: Mapping[str, Vectors]
    ) -> list[dict[str, tuple[ThoughtPart, ...]]]:
        """For each query and document what each part of the thought does."""
        texts = [own[0].text if own else "" for own in found.thoughts]
        spans = [parts(text) for text in texts]
        # Each thought whole, then without each of its parts.
        variants = [
            (query, variant)
            for query, (text, cut) in enumerate(zip(texts, spans, strict=True))
            if cut
            for variant in (text, *(_without(text, cut, part) for part in range(len(cut))))
        ]
        if not variants:
            return [{} for _ in texts]
        evidence = found.evidence and [found.evidence[query] for query, _ in variants]
        read = self.model.read_thoughts(
            [found.queries[query] for query, _ in variants],
            [text for _, text in variants],
            evidence=evidence,
        )
        rows = iter(stacked(read))
        effects = []
        for text, cut, own in zip(texts, spans, ids, strict=True):
            vectors_PD = np.stack([next(rows) for _ in range(len(cut) + 1)]) if cut else None
            effects.append(
                {}
                if vectors_PD is None
                else {i: _effects(text, cut, vectors_PD @ vectors[i]) for i in own if i in vectors}
            )
        return effects

    def _highlights(self, found: Found, ids: Sequence[Sequence[str]]) -> list[dict[str, Highlight]]:
        """For each query and document the sentence nearest to the query."""
        if not isinstance(self.model, IndexModel):
            raise ValueError("explaining needs a model that encodes documents")
        texts = {
            id_: found.documents[id_].text for own in ids for id_ in own if id_ in found.documents
        }
        spans = {id_: sentences(text) for id_, text in texts.items()}
        pieces = [
            Document(id_, texts[id_][start:end]) for id_, own in spans.items() for start, end in own
        ]
        encoded = [vectors for _, vectors in self.model.encode_document_stream(pieces)]
        vectors_ND = np.concatenate(encoded) if encoded else np.zeros((0, 1), np.float32)
        starts = np.cumsum([0, *map(len, spans.values())])
        at = {id_: slice(*starts[n : n + 2]) for n, id_ in enumerate(spans)}
        queries_QD = stacked([own[0] for own in found.thoughts])
        return [
            {
                id_: _nearest(spans[id_], vectors_ND[at[id_]] @ vector_D)
                for id_ in own
                if spans.get(id_)
            }
            for own, vector_D in zip(ids, queries_QD, strict=True)
        ]

    def _words(
        self, found: Found, ids: Sequence[Sequence[str]]
    ) -> list[dict[str, tuple[tuple[str, float], ...]]]:
        """For each query and document what each shared word adds to BM25."""
        answers = []
        for query, own in zip(found.queries, ids, strict=True):
            shared: dict[str, list[tuple[str, float]]] = {}
            words = query_words(query) if own else []
            rankings = self.store.search_bm25(words, max(1, len(own)), among=own) if words else []
            for word, ranking in zip(words, rankings, strict=True):
                for id_, score in ranking:
                    shared.setdefault(id_, []).append((word, score))
            answers.append(
                {id_: tuple(sorted(some, key=lambda one: -one[1])) for id_, some in shared.items()}
            )
        return answers


def _spans(text: str, end: re.Pattern[str]) -> list[Span]:
    found, start = [], len(text) - len(text.lstrip())
    for match in end.finditer(text):
        if text[start : match.start()].strip():
            found.append((start, match.start()))
        start = match.end()
    stop = len(text.rstrip())
    if start < stop:
        found.append((start, stop))
    return found


def _without(text: str, spans: Sequence[Span], part: int) -> str:
    """The text without a part, and without what separates it from the next one."""
    if part + 1 < len(spans):
        return text[: spans[part][0]] + text[spans[part + 1][0] :]
    return text[: spans[part - 1][1]] if part else ""


def _effects(text: str, cut: Sequence[Span], scores_P: Vectors) -> tuple[ThoughtPart, ...]:
    pairs = zip(cut, scores_P[1:], strict=True)
    return tuple(
        ThoughtPart(text[start:end], float(scores_P[0] - rest)) for (start, end), rest in pairs
    )


def _nearest(spans: Sequence[Span], scores_S: Vectors) -> Highlight:
    best = int(np.argmax(scores_S))
    return Highlight(*spans[best], float(scores_S[best]))
