"""Thoughts of any chat model on an OpenAI-compatible server.

The query is rewritten into what an answer would say, as in Wang et al., "Query2doc: Query expansion
with large language models", arXiv 2303.07678; the prompt is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from thought1.chat import Answer, ChatServer, Messages
from thought1.types import LeftOut, Thought

PROMPT = (
    "A search engine looks for documents that help to answer a question. Think about the question "
    "and write down, in a few sentences, the facts and terms that such documents would hold. Do "
    "not ask back, and do not repeat the question.\n\nQuestion: {query}"
)
BUDGET = 128
"""Tokens of an answer where a search names no budget."""
MAX_CHARACTERS = 4000
"""Of a thought; what a server writes beyond it is cut."""


@dataclass
class ChatWriter:
    """A chat model that gets one request for each query, several at a time."""

    name: str
    server: ChatServer

    def think(
        self, queries: Sequence[str], *, budget: int | None = None
    ) -> list[str | Thought | LeftOut]:
        """Its answers, greedily; see `contracts.ThoughtWriter`."""
        prompts = [messages(query) for query in queries]
        answers = self.server.answers(prompts, BUDGET if budget is None else budget)
        return [self._thought(answer) for answer in answers]

    def _thought(self, answer: Answer | Exception) -> str | LeftOut:
        if not isinstance(answer, Answer):
            return LeftOut("think", str(answer))
        text = cleaned(answer.text)
        return text or LeftOut("think", f"{self.name} answers with an empty text")


def messages(query: str) -> Messages:
    """The messages about one query."""
    return [{"role": "user", "content": PROMPT.format(query=query)}]


def cleaned(text: str) -> str:
    """An answer as a thought: on one line, without control characters, not too long.

    Of a reasoning model that shows what it thought before the answer, the answer is taken.
    """
    opened, _, said = text.rpartition("</think>")
    shown = said if opened else text.replace("<think>", " ")
    plain = "".join(c if c.isprintable() else " " for c in shown)
    return " ".join(plain.split())[:MAX_CHARACTERS].strip()


def open_chat_writer(spec: str) -> ChatWriter:
    """The chat model named by `openai:URL#MODEL`; no request is sent yet.

    Raises:
        Thought1Error: the name has another form.
    """
    return ChatWriter(spec, ChatServer.named(spec))
