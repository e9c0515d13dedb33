"""A model without a network: vectors from the words of a text, thoughts from a table.

It satisfies `IndexModel` in plain numpy, so that everything around a model is tested in seconds.
Texts that share words have similar vectors, and a thought adds its words to its query.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice

import numpy as np

from thought1.types import (
    Checkpoints,
    Document,
    Sampling,
    Snapshot,
    Thought,
    Thought1Error,
    Until,
    Vectors,
    Watched,
)


class FakeModel:
    def __init__(
        self,
        dim: int = 64,
        name: str = "fake",
        weights_hash: str = "weights-1",
        templates_hash: str = "templates-1",
        knowledge: Mapping[str, str] | None = None,
        own_budget: int = 8,
    ) -> None:
        self.dim = dim
        self.name = name
        self.weights_hash = weights_hash
        self.templates_hash = templates_hash
        self.knowledge = knowledge or {}  # query -> what the model thinks about it
        self.own_budget = own_budget
        self.encoded: list[str] = []  # ids of all documents that were encoded
        self.thinkings = 0  # calls of `think`
        self.samplings: list[Sampling | None] = []  # how each of them was to sample
        self.read: list[Sequence[Sequence[str]] | None] = []  # and what it read before
        self.evidence_room = 10  # documents that fit a prompt

    def identities(self, index_format: int, created: str) -> list[dict[str, str]]:
        rest = "document template" if index_format > 1 else "templates"
        return [{"weights": self.weights_hash, rest: self.templates_hash}]

    def encode_document_stream(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[list[Document], Vectors]]:
        stream = iter(documents)
        while chunk := list(islice(stream, 100)):
            self.encoded += [document.id for document in chunk]
            yield chunk, np.stack([self.vector(f"{d.title} {d.text}") for d in chunk])

    greedy = Sampling(no_repeat_ngram=3)
    sampled = Sampling(0.7, no_repeat_ngram=3)

    def think(
        self,
        queries: Sequence[str],
        *,
        budget: int | None = None,
        sampling: Sampling | None = None,
        samples: int = 1,
        evidence: Sequence[Sequence[str]] | None = None,
        checkpoints: Checkpoints = (),
    ) -> list[Thought]:
        self.thinkings += 1
        self.read.append(evidence)
        self.samplings.append(sampling)
        until = checkpoints.until if isinstance(checkpoints, Watched) else None
        checkpoints = checkpoints.tokens if isinstance(checkpoints, Watched) else checkpoints
        if budget is None:
            budget = max(checkpoints) if checkpoints else self.own_budget
        if until is not None:
            return self._settling(queries, budget, checkpoints, until)
        # Each sample has a token less than the one before.
        return [
            self._thought(query, budget - i, checkpoints)
            for query in queries
            for i in range(samples)
        ]

    def check_evidence(self, budget: int | None = None) -> None:
        if not (self.own_budget if budget is None else budget):
            raise Thought1Error("it would not think")

    def fit_evidence(
        self, queries: Sequence[str], evidence: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        return [list(documents[: self.evidence_room]) for documents in evidence]

    def count_prompt_tokens(
        self, queries: Sequence[str], *, evidence: Sequence[Sequence[str]] | None = None
    ) -> int:
        texts = [*queries, *(text for documents in evidence or () for text in documents)]
        return sum(len(text.split()) for text in texts)

    def _settling(
        self, queries: Sequence[str], budget: int, checkpoints: Sequence[int], until: Until
    ) -> list[Thought]:
        done: dict[int, Thought] = {}
        for tokens in checkpoints:
            now = {i: self._thought(query, tokens) for i, query in enumerate(queries)}
            on = {i: t for i, t in now.items() if i not in done and t.finish_reason != "emb_token"}
            for i in until(tokens, {i: t.vector for i, t in on.items()}):
                done[i] = replace(on[i], finish_reason="settled")
        return [done.get(i) or self._thought(query, budget) for i, query in enumerate(queries)]

    def _thought(self, query: str, budget: int, checkpoints: Sequence[int] = ()) -> Thought:
        if checkpoints:
            read = [(n, self._thought(query, min(n, budget)).vector) for n in sorted(checkpoints)]
            shots = tuple(Snapshot(n, vector, n / 1000) for n, vector in read)
            return replace(self._thought(query, budget), checkpoints=shots)
        if budget == 0:
            return Thought("", (), "none", self.vector(query))
        words = self.knowledge.get(query, "").split()
        reason = "budget" if len(words) > budget else "emb_token"
        text = " ".join(words[:budget])
        ids = tuple(_seed(word) % 1000 for word in words[:budget])
        return Thought(text, ids, reason, self.vector(f"{query} {text}"))

    def vector(self, text: str) -> Vectors:
        """The normalised sum of one random direction per word, shape (d,)."""
        words = re.findall(r"\w+", text.lower()) or [""]
        total = np.sum([_direction(word, self.dim) for word in words], axis=0)
        return (total / np.linalg.norm(total)).astype(np.float32)


@cache
def _direction(word: str, dim: int) -> Vectors:
    return np.random.default_rng(_seed(word)).standard_normal(dim, dtype=np.float32)


def _seed(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode("utf-8", "replace")).digest()[:4], "big")
