"""What the tools answer, as agents see it: the fields and their descriptions are the schema.

Plain data; it knows neither an index nor the protocol.
"""

from collections.abc import Mapping

from pydantic import BaseModel, Field

from thought1.types import Document, Hit, MetadataValue, Receipt, Thought


class FoundDocument(BaseModel):
    """A document that a search found."""

    id: str = Field(description="Give it to `fetch` to read the whole document.")
    title: str
    text: str = Field(description="The beginning of the document.")
    truncated: bool = Field(description="Whether the document continues after `text`.")
    score: float = Field(description="Comparable within one search only.")
    metadata: dict[str, MetadataValue]

    @classmethod
    def of(cls, hit: Hit, chars: int) -> "FoundDocument":
        """A hit with at most this many characters of its text."""
        return cls(
            id=hit.id,
            title=hit.title,
            text=hit.text[:chars],
            truncated=len(hit.text) > chars,
            score=hit.score,
            metadata=dict(hit.metadata),
        )


class Written(BaseModel):
    """A thought that the model wrote about a question."""

    text: str
    tokens: int
    finish_reason: str = Field(
        description="`emb_token`: the model ended it; `eos` or `budget`: it was cut; `none`: "
        "nothing was thought."
    )

    @classmethod
    def of(cls, thought: Thought) -> "Written":
        """A thought as it is shown."""
        return cls(
            text=thought.text, tokens=len(thought.token_ids), finish_reason=thought.finish_reason
        )


class SearchAnswer(BaseModel):
    """The answer of `search`."""

    results: list[FoundDocument] = Field(description="Best first; empty where nothing was found.")
    thought: Written | None = Field(description="What the model thought before it searched.")
    milliseconds: dict[str, float] = Field(description="Wall time of each step.")

    @classmethod
    def of(
        cls, hits: tuple[Hit, ...], thought: Thought | None, receipt: Receipt, chars: int
    ) -> "SearchAnswer":
        """The result of one query."""
        return cls(
            results=[FoundDocument.of(hit, chars) for hit in hits],
            thought=None if thought is None else Written.of(thought),
            milliseconds=_rounded(receipt.milliseconds),
        )


class Fetched(BaseModel):
    """The answer of `fetch`: a document, or a part of a long one."""

    id: str
    title: str
    text: str
    start: int = Field(description="Where `text` begins, in characters of the whole text.")
    total_chars: int = Field(
        description="Length of the whole text. Where `start` and the length of `text` do not "
        "reach it, fetch again with a larger `start`."
    )
    metadata: dict[str, MetadataValue]

    @classmethod
    def of(cls, document: Document, start: int, chars: int) -> "Fetched":
        """At most this many characters of a document, from `start` on."""
        return cls(
            id=document.id,
            title=document.title,
            text=document.text[start : start + chars],
            start=start,
            total_chars=len(document.text),
            metadata=dict(document.metadata),
        )


def _rounded(milliseconds: Mapping[str, float]) -> dict[str, float]:
    return {step: round(spent, 2) for step, spent in milliseconds.items()}
