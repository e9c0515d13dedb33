"""A chat model that orders numbered documents, some at a time: a window that slides from the last
to the first.

Sun et al., "Is ChatGPT good at search? Investigating large language models as re-ranking agents"
(RankGPT), arXiv 2304.09542; the prompt, the window of 20 and the step of 10 are theirs. Departures:
one message instead of one for each document, and the score of a document is the negative of its
last place.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from thought1.chat import ChatServer, Messages
from thought1.types import Reranked, Thought1Error

WINDOW = 20
STEP = 10
MAX_CHARACTERS = 2000
"""Of a document that is shown, and of the question."""
TOKENS_A_DOCUMENT = 8
"""Room for " > [20]" in the answer."""

SYSTEM = (
    "You are RankGPT, an intelligent assistant that can rank passages based on their relevancy to "
    "the query."
)


@dataclass
class ListwiseReranker:
    """A chat model that is shown some documents together and says which order they belong in."""

    name: str
    server: ChatServer
    pointwise = False
    weights_hash = None

    def rerank(self, query: str, documents: Sequence[str]) -> Reranked:
        """The negative of each document's last place; see `contracts.Reranker`.

        What a model leaves out keeps its order, after what it names; what it names twice or invents
        is passed over. A window whose answer names nothing stays as it is.

        Raises:
            Thought1Error: the server fails, or no answer names a document.
        """
        order = list(range(len(documents)))
        calls = tokens = understood = 0
        for start, end in windows(len(order)):
            shown = [documents[place] for place in order[start:end]]
            answer = self.server.answer(messages(query, shown), TOKENS_A_DOCUMENT * len(shown))
            calls, tokens = calls + 1, tokens + answer.tokens
            named = permutation(answer.text, len(shown))
            understood += bool(named)
            kept = order[start:end]
            rest = [place for place in range(len(kept)) if place not in set(named)]
            order[start:end] = [kept[place] for place in (*named, *rest)]
        if not understood:
            raise Thought1Error(f"{self.name} answers without naming a document")
        scores = [0.0] * len(order)
        for place, document in enumerate(order):
            scores[document] = -float(place)
        return Reranked(tuple(scores), calls, tokens)


def windows(count: int) -> list[tuple[int, int]]:
    """From the last documents to the first ones: (start, end)."""
    found, end = [], count
    while True:
        start = max(0, end - WINDOW)
        found.append((start, end))
        if start == 0:
            return found
        end -= STEP


def permutation(answer: str, count: int) -> list[int]:
    """Places from 0 in the order of "[2] > [1]", each once; bare numbers if there is no bracket.

    Only the numbers 1 to `count` are places.
    """
    answer = answer.rpartition("</think>")[2]  # reasoning models may show what they thought
    found = re.findall(r"\[(\d{1,6})\]", answer, re.ASCII)
    found = found or re.findall(r"(?<![\d.])\d{1,6}(?![\d.]*\d)", answer, re.ASCII)
    places = dict.fromkeys(int(number) - 1 for number in found)
    return [place for place in places if 0 <= place < count]


def messages(query: str, documents: Sequence[str]) -> Messages:
    """The messages about the documents of one window."""
    count, question = len(documents), _line(query)
    shown = "\n".join(f"[{n}] {_line(text)}" for n, text in enumerate(documents, start=1))
    prompt = (
        f"I will provide you with {count} passages, each indicated by number identifier []. "
        f"Rank the passages based on their relevance to query: {question}\n\n{shown}\n\n"
        f"Search Query: {question}\nRank the {count} passages above based on their relevance to "
        "the search query. The passages should be listed in descending order using identifiers. "
        "The most relevant passages should be listed first. The output format should be [] > [], "
        "e.g., [1] > [2]. Only respond with the ranking results, do not say any word or explain."
    )
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]


def _line(text: str) -> str:
    return " ".join(text.split())[:MAX_CHARACTERS]


def open_listwise(spec: str, model: object) -> ListwiseReranker:
    """The chat model named by `openai:URL#MODEL`; no request is sent yet.

    Raises:
        Thought1Error: the name has another form.
    """
    return ListwiseReranker(spec, ChatServer.named(spec))
