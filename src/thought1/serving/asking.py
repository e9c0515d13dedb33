"""A model as one request sees it: the verbs of an index's model, done by the model's thread.

So that the one search pipeline and the one writer serve here too. It knows no HTTP.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from thought1.model.encoder import windows
from thought1.model.queries import Plan, PromptedQueries, checked_checkpoints
from thought1.serving.batching import Batcher
from thought1.serving.jobs import Listener, Ticket
from thought1.t1 import T1
from thought1.types import (
    Checkpoints,
    Document,
    Sampling,
    Snapshot,
    Thought,
    Thought1Error,
    Vectors,
    Watched,
)

WINDOW = 256
"""Documents that one request has in the queue at a time."""
BEHIND = 32
"""Thoughts of a person that are read together; other requests have their turn in between."""


@dataclass(frozen=True, slots=True)
class Asking:
    """An `IndexModel` for one request: where its ticket is cancelled, its work ends."""

    batcher: Batcher
    ticket: Ticket
    listener: Listener | None = None
    instruction: str | None = None
    """Replaces the model's own instruction for queries."""

    @property
    def dim(self) -> int:
        """Dimension d of the vectors."""
        return self.batcher.model.dim

    @property
    def name(self) -> str:
        """The name under which the model was loaded."""
        return self.batcher.model.name

    def identities(self, index_format: int, created: str) -> Sequence[Mapping[str, str | int]]:
        """What decides a document's vector; see `index.IndexModel`."""
        return self.batcher.model.identities(index_format, created)

    @property
    def greedy(self) -> Sampling:
        """Always the likeliest token."""
        return self.batcher.model.greedy

    @property
    def sampled(self) -> Sampling:
        """How several thoughts are sampled."""
        return self.batcher.model.sampled

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
        """A thought with its vector (d,) for each query; see `search.steps.Thinker`."""
        model = self.batcher.model
        if not isinstance(model, T1):
            return list(
                self._call(
                    lambda: model.think(
                        queries,
                        budget=budget,
                        samples=samples,
                        evidence=evidence,
                        checkpoints=checkpoints,
                    )
                )
            )
        plan = self._plan(model, budget, sampling, samples, checkpoints)
        prompts = self._prompts(model, queries, evidence)
        if plan.budget:
            return self.batcher.think(prompts, plan, self.ticket, self.listener)
        start = time.perf_counter()
        vectors = self.batcher.bare(prompts, self.ticket)
        seconds = time.perf_counter() - start
        return [
            Thought("", (), "none", v, tuple(Snapshot(n, v, seconds) for n in plan.checkpoints))
            for v in vectors
        ]

    def _plan(
        self,
        model: T1,
        budget: int | None,
        sampling: Sampling | None,
        samples: int,
        checkpoints: Checkpoints,
    ) -> Plan:
        """How the library would write these thoughts."""
        if isinstance(checkpoints, Watched):
            read_at, until = checkpoints.tokens, checkpoints.until
        else:
            read_at, until = checkpoints, None
        budget = max(read_at) if read_at and budget is None else budget
        places = checked_checkpoints(read_at, budget)
        tokens = model.queries.tokens(budget, samples)
        return Plan(tokens, model.queries.sampling(sampling, samples), samples, places, until)

    def read_thoughts(
        self,
        queries: Sequence[str],
        thoughts: Sequence[str],
        *,
        evidence: Sequence[Sequence[str]] | None = None,
    ) -> list[Thought]:
        """Thoughts that a person wrote, as `think` gives those of the model.

        Raises:
            Thought1Error: the model reads no thoughts.
        """
        model = self.batcher.model
        if not isinstance(model, T1):
            raise Thought1Error(f"{model.name} cannot think, and reads no thoughts")
        prompts = self._prompts(model, queries, evidence)
        with self.batcher.text_lock:
            ids = model.renderer.text(thoughts)
        vectors: list[Vectors] = []
        for start in range(0, len(thoughts), BEHIND):
            part = slice(start, start + BEHIND)
            some = PromptedQueries(prompts.texts[part], prompts.prefix, prompts.rows[part])
            given = thoughts[part]
            vectors += list(self._call(partial(model.queries.behind, some, given, BEHIND, None)))
        return [
            Thought(text, tuple(own), "edited", vector)
            for text, own, vector in zip(thoughts, ids, vectors, strict=True)
        ]

    def _prompts(
        self, model: T1, queries: Sequence[str], evidence: Sequence[Sequence[str]] | None
    ) -> PromptedQueries:
        with self.batcher.text_lock:
            return model.queries.prompts(list(queries), self.instruction, evidence)

    def _call(self, call: object) -> Vectors:
        found: Vectors = self.batcher.call(call, self.ticket)  # type: ignore[arg-type]
        return found

    def check_evidence(self, budget: int | None = None) -> None:
        """Raises Thought1Error where it cannot read evidence and think under `budget`."""
        self.batcher.model.check_evidence(budget)

    def fit_evidence(
        self, queries: Sequence[str], evidence: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """As much of each query's texts, from the first one on, as can be read."""
        with self.batcher.text_lock:
            return self.batcher.model.fit_evidence(queries, evidence)

    def count_prompt_tokens(
        self, queries: Sequence[str], *, evidence: Sequence[Sequence[str]] | None = None
    ) -> int:
        """Tokens of the prompts of these queries together."""
        model = self.batcher.model
        with self.batcher.text_lock:
            if isinstance(model, T1):
                return model.count_prompt_tokens(
                    queries, instruction=self.instruction, evidence=evidence
                )
            return model.count_prompt_tokens(queries, evidence=evidence)

    def count_document_tokens(self, texts: Sequence[str]) -> int:
        """Tokens of these documents that are read, without the template around them."""
        model = self.batcher.model
        room = model.document_room
        with self.batcher.text_lock:
            return sum(min(room, len(model.spans(text))) for text in texts)

    def first_tokens(self, texts: Sequence[str], most: int) -> list[str]:
        """Each text as far as its first tokens go."""
        cut = []
        with self.batcher.text_lock:
            for text in texts:
                spans = self.batcher.model.spans(text)
                cut.append(text[: spans[most - 1][1]] if len(spans) > most else text)
        return cut

    def encode_document(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d) of texts, which wait in the queue of documents."""
        return np.asarray(self.batcher.documents(texts, self.ticket))

    def encode_document_stream(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[list[Document], Vectors]]:
        """Chunks of the documents, in their order, with their vectors (n, d)."""
        for window in windows(documents, WINDOW):
            yield window, self.encode_document([document.full_text for document in window])
