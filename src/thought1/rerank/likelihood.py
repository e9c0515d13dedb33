"""T1 itself as a reranker: how well its language model can connect the question and a document.

    mean log P(question | document) + mean log P(document | question) - mean log P(document) / 2

- The first term is query likelihood: Ponte and Croft, "A language modeling approach to information
  retrieval", SIGIR 1998; with a language model that was trained for nothing of the kind: Sachan et
  al., "Improving passage retrieval with zero-shot question generation" (UPR), arXiv 2204.07496.
- The second is our own: the document as a thought about the question, after the prompt that the
  model's thoughts follow.
- The third, after the same prompt without a question, takes back half of what a document gains
  there by being common words. The half was chosen on validation questions (docs/search.md).

All are in nats. It needs no training, and reads each document three times for each query.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from thought1.engines.hf import HFEngine
from thought1.engines.likelihood import BATCH, mean_logprobs
from thought1.engines.padding import Ids
from thought1.search.thought_cache import CachedThinker
from thought1.t1 import T1
from thought1.types import Reranked, Thought1Error

BETWEEN = "\nQuestion:\n"
"""The text between the document and the question, as in the templates of our own models."""
PRIOR_WEIGHT = 0.5
"""Of a document's likelihood without the question."""

MAX_DOCUMENT_TOKENS = 512
"""Of a document; the rest is cut."""
MAX_QUERY_TOKENS = 256
"""Of a question, and at most half of the model's positions; the rest is cut."""


@dataclass
class LikelihoodReranker:
    """Likelihoods of question and document given each other, by a T1's language model."""

    name: str
    model: T1
    engine: HFEngine
    _lock: Lock = field(default_factory=Lock)
    pointwise = True

    @property
    def weights_hash(self) -> str:
        """The T1's."""
        return self.model.weights_hash

    def rerank(self, query: str, documents: Sequence[str]) -> Reranked:
        """The scores; see `contracts.Reranker`. One without words gets the lowest of the others.

        Raises:
            Thought1Error: the question is empty, or the model's positions do not hold its prompt.
        """
        with self._lock:
            read = self.model.renderer.text(documents)
            question = self.model.renderer.text([query])[0][: self._most(MAX_QUERY_TOKENS)]
            if not question:
                raise Thought1Error("an empty question has no likelihood")
            prompt, no_question = self._prompt(query), self._prompt("")
            before, between = self.model.renderer.leading, self.model.renderer.words(BETWEEN)
            around = max(len(prompt), len(before) + len(between) + len(question))
            room = min(MAX_DOCUMENT_TOKENS, self.engine.max_positions - around)
            if room < 1:
                raise Thought1Error(
                    f"the {self.engine.max_positions} positions of {self.model.name} do not hold a "
                    "question with its prompt and a document"
                )
            texts = [ids[:room] for ids in read if ids]
            behind = [[*ids, *between] for ids in texts]
            nothing: list[Ids] = [()] * len(texts)
            forth = mean_logprobs(self.engine, before, behind, [question] * len(texts))
            back = mean_logprobs(self.engine, prompt, nothing, texts)
            prior = mean_logprobs(self.engine, no_question, nothing, texts)
        terms = zip(forth, back, prior, strict=True)
        scores = [a + b - PRIOR_WEIGHT * common for a, b, common in terms]
        least, own = min(scores, default=0.0), iter(scores)
        tokens = len(prompt) + len(no_question) + sum(map(len, behind)) + 2 * sum(map(len, texts))
        return Reranked(
            tuple(next(own) if ids else least for ids in read),
            3 * -(-len(texts) // BATCH),
            tokens + len(question) * len(texts),
        )

    def _most(self, tokens: int) -> int:
        return min(tokens, self.engine.max_positions // 2)

    def _prompt(self, query: str) -> list[int]:
        """What the model reads before it thinks."""
        own = self.model.settings
        most = self._most(own.max_query_tokens)
        rendered = self.model.renderer.render(own.query, [query], most)
        return [*rendered.prefix, *rendered.rows[0]]


def open_likelihood(spec: str, model: object) -> LikelihoodReranker:
    """The language model named by `t1` (the index's own) or `t1:NAME`.

    Raises:
        Thought1Error: it cannot be loaded, or has no language head.
    """
    name = spec.partition(":")[2]
    own = T1.from_pretrained(name) if name else model
    own = own.model if isinstance(own, CachedThinker) else own
    if not isinstance(own, T1):
        raise Thought1Error(
            "the reranker t1 is the language model of the index's own T1, and this index has none: "
            "name one, such as t1:t1-nano"
        )
    if own.checkpoint.random_head:
        raise Thought1Error(f"{own.name} has no language head, so that no text has a likelihood")
    if not isinstance(own.engine, HFEngine):
        raise Thought1Error(f"the engine of {own.name} gives no likelihoods: use transformers'")
    return LikelihoodReranker(spec, own, own.engine)
