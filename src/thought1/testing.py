"""A model without a network, for the tests of whatever stands around a model.

`FakeModel` satisfies `IndexModel` (what `Index` needs) in plain numpy: vectors come from the words
of a text, thoughts from a table. Texts that share words have similar vectors, and a thought adds
its words to its query's. It loads neither torch nor a checkpoint, and is the same on every machine.

An example is in docs/testing.md.
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
    FinishReason,
    Sampling,
    Snapshot,
    Thought,
    Thought1Error,
    Until,
    Vectors,
    Watched,
)


class FakeModel:
    """A stand-in for `T1` that embeds words and writes the thoughts it is given.

    Attributes:
        encoded: ids of all documents that were encoded, in their order.
        think_calls: how often `think` was called.
        samplings: the `sampling` of each call of `think`.
        evidence_read: the `evidence` of each call of `think`.
        evidence_limit: how many documents fit a prompt; `fit_evidence` drops the rest.
    """

    greedy = Sampling(no_repeat_ngram=3)
    sampled = Sampling(0.7, no_repeat_ngram=3)

    def __init__(
        self,
        dim: int = 64,
        name: str = "fake",
        weights_hash: str = "weights-1",
        templates_hash: str = "templates-1",
        knowledge: Mapping[str, str] | None = None,
        own_budget: int = 8,
    ) -> None:
        """A model of `dim` dimensions.

        Args:
            weights_hash: stands for the weights in an index; another one is another model.
            templates_hash: stands for the document template, likewise.
            knowledge: query -> the thought that is written about it; nothing for other queries.
            own_budget: the most words of a thought where a call names no budget.
        """
        self.dim = dim
        self.name = name
        self.weights_hash = weights_hash
        self.templates_hash = templates_hash
        self.knowledge = knowledge or {}
        self.own_budget = own_budget
        self.encoded: list[str] = []
        self.think_calls = 0
        self.samplings: list[Sampling | None] = []
        self.evidence_read: list[Sequence[Sequence[str]] | None] = []
        self.evidence_limit = 10

    def identities(self, index_format: int, created: str) -> list[dict[str, str]]:
        """What an index of `index_format` keeps of this model: its two hashes."""
        rest = "document template" if index_format > 1 else "templates"
        return [{"weights": self.weights_hash, rest: self.templates_hash}]

    def encode_document_stream(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[list[Document], Vectors]]:
        """Documents by hundreds, each with its vectors (n, d); notes their ids in `encoded`."""
        stream = iter(documents)
        while chunk := list(islice(stream, 100)):
            self.encoded += [document.id for document in chunk]
            yield chunk, np.stack([self.vector(f"{d.title} {d.text}") for d in chunk])

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
        """The first `budget` words of what `knowledge` says about each query; a token is a word.

        The samples of a query follow one another; each has a token less than the one before.
        """
        self.think_calls += 1
        self.evidence_read.append(evidence)
        self.samplings.append(sampling)
        until = checkpoints.until if isinstance(checkpoints, Watched) else None
        tokens = checkpoints.tokens if isinstance(checkpoints, Watched) else checkpoints
        if budget is None:
            budget = max(tokens) if tokens else self.own_budget
        if until is not None:
            return self._settling(queries, budget, tokens, until)
        return [
            self._thought(query, budget - i, tokens) for query in queries for i in range(samples)
        ]

    def read_thoughts(self, queries: Sequence[str], thoughts: Sequence[str]) -> list[Thought]:
        """Thoughts that were written elsewhere, behind their queries; a token is a word."""
        return [
            Thought(text, tuple(map(_seed, text.split())), "edited", self._behind(query, text))
            for query, text in zip(queries, thoughts, strict=True)
        ]

    def check_evidence(self, budget: int | None = None) -> None:
        """Raises:
        Thought1Error: the budget is 0, so that nothing would read the evidence.
        """
        if not (self.own_budget if budget is None else budget):
            raise Thought1Error("it would not think")

    def fit_evidence(
        self, queries: Sequence[str], evidence: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """The first `evidence_limit` documents of each query."""
        return [list(documents[: self.evidence_limit]) for documents in evidence]

    def count_prompt_tokens(
        self, queries: Sequence[str], *, evidence: Sequence[Sequence[str]] | None = None
    ) -> int:
        """Words of the queries and their evidence."""
        texts = [*queries, *(text for documents in evidence or () for text in documents)]
        return sum(len(text.split()) for text in texts)

    def _settling(
        self, queries: Sequence[str], budget: int, checkpoints: Sequence[int], until: Until
    ) -> list[Thought]:
        done: dict[int, Thought] = {}
        for tokens in checkpoints:
            now = {i: self._thought(query, tokens) for i, query in enumerate(queries)}
            on = {i: t for i, t in now.items() if i not in done and t.finish_reason != "emb_token"}
            vectors = {i: self._behind(queries[i], thought.text) for i, thought in on.items()}
            for i in until(tokens, vectors):
                done[i] = replace(on[i], finish_reason="settled")
        return [done.get(i) or self._thought(query, budget) for i, query in enumerate(queries)]

    def _behind(self, query: str, thought: str) -> Vectors:
        return self.vector(f"{query} {thought}" if thought else query)

    def _thought(self, query: str, budget: int, checkpoints: Sequence[int] = ()) -> Thought:
        if checkpoints:
            read = [(n, self._thought(query, min(n, budget)).text) for n in sorted(checkpoints)]
            shots = tuple(Snapshot(n, self._behind(query, text), n / 1000) for n, text in read)
            return replace(self._thought(query, budget), checkpoints=shots)
        if budget == 0:
            return Thought("", (), "none", self.vector(query))
        words = self.knowledge.get(query, "").split()
        reason: FinishReason = "budget" if len(words) > budget else "emb_token"
        text = " ".join(words[:budget])
        ids = tuple(_seed(word) % 1000 for word in words[:budget])
        return Thought(text, ids, reason, self.vector(f"{query} {text}"))

    def vector(self, text: str) -> Vectors:
        """The normalised sum of one random direction per word, shape (d,)."""
        words = re.findall(r"\w+", text.lower()) or [""]
        total = np.sum([_direction(word, self.dim) for word in words], axis=0)
        normalised: Vectors = (total / np.linalg.norm(total)).astype(np.float32)
        return normalised


@cache
def _direction(word: str, dim: int) -> Vectors:
    return np.random.default_rng(_seed(word)).standard_normal(dim, dtype=np.float32)


def _seed(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode("utf-8", "replace")).digest()[:4], "big")
