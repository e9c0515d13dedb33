"""A chat model that judges each document by itself: does it help to answer the query, yes or no?

Relevance generation: Liang et al., "Holistic evaluation of language models", arXiv 2211.09110, as
reranking in Zhuang et al., arXiv 2310.14122. The score is P(yes) / (P(yes) + P(no)) of the first
token where the server gives log-probabilities, else 1 for yes and 0 for no.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from thought1.chat import Answer, ChatServer, Messages
from thought1.types import Reranked, Thought1Error

MAX_CHARACTERS = 4000
"""Of a document that is shown, and of the question."""
UNDECIDED = 0.5
"""Score where an answer is neither yes nor no."""
FIRST = 20
"""Number of likeliest first tokens requested, the protocol's maximum."""
MOST = 4
"""Tokens of an answer."""


@dataclass
class PointwiseReranker:
    """A chat model that is shown one document at a time."""

    name: str
    server: ChatServer
    pointwise = True
    weights_hash = None

    def rerank(self, query: str, documents: Sequence[str]) -> Reranked:
        """How probable a yes is, for each document; see `contracts.Reranker`.

        Raises:
            Thought1Error: the server fails for each of them, or none of its answers is yes or no.
        """
        prompts = [messages(query, document) for document in documents]
        answers = self.server.answers(prompts, MOST, first=FIRST)
        said = [None if isinstance(one, Thought1Error) else yes(one) for one in answers]
        if all(one is None for one in said):
            errors = [one for one in answers if isinstance(one, Thought1Error)]
            if errors:
                raise errors[0]
            if len(said) > 1:  # a single one is undecided
                raise Thought1Error(f"{self.name} answers neither yes nor no")
        scores = tuple(UNDECIDED if one is None else one for one in said)
        tokens = sum(one.tokens for one in answers if isinstance(one, Answer))
        return Reranked(scores, len(prompts), tokens)


def yes(answer: Answer) -> float | None:
    """How probable a yes is, from 0 to 1; None where the answer is something else."""
    masses = {"yes": 0.0, "no": 0.0}
    for token, logprob in answer.first:
        word = token.strip().lower()
        if word in masses:
            masses[word] += math.exp(logprob)
    total = sum(masses.values())
    if total > 0:
        return masses["yes"] / total
    found = re.search(r"\b(yes|no)\b", answer.text.rpartition("</think>")[2].lower())
    return None if found is None else float(found[1] == "yes")


def messages(query: str, document: str) -> Messages:
    """The messages about one document."""
    prompt = (
        f"Passage: {document.strip()[:MAX_CHARACTERS]}\n\nQuery: {query.strip()[:MAX_CHARACTERS]}"
        "\n\nDoes the passage help to answer the query? Answer with yes or no."
    )
    return [{"role": "user", "content": prompt}]


def open_pointwise(spec: str, model: object) -> PointwiseReranker:
    """The chat model named by `openai-pointwise:URL#MODEL`; no request is sent yet.

    Raises:
        Thought1Error: the name has another form.
    """
    return PointwiseReranker(spec, ChatServer.named(spec))
