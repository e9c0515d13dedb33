"""The events of a stream, field by field. Data alone; what they repeat stands in `bodies`."""

from typing import Literal

from pydantic import BaseModel

from thought1.serving.bodies import ReceiptOut, ResultOut, ThoughtOut


class TokenEvent(BaseModel):
    """Server-sent event "thought": a thought has got a token."""

    type: Literal["thought"] = "thought"
    query: int
    """Place of the question in the request."""
    sample: int
    token_id: int
    text: str
    """What the token adds; empty where it is a part of a character."""


class ThoughtEvent(ThoughtOut):
    """Server-sent event "thought_end": a thought is finished; its text is the whole of it."""

    type: Literal["thought_end"] = "thought_end"
    query: int
    sample: int


class HitsEvent(ResultOut):
    """Server-sent event "hits": the answer to one question."""

    type: Literal["hits"] = "hits"
    index: str
    number: int
    """Place of the question in the request."""


class ReceiptEvent(ReceiptOut):
    """Server-sent event "receipt": the last one."""

    type: Literal["receipt"] = "receipt"
    model: str
