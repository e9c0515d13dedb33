"""A writer of thoughts by the name that users give it. It only knows names."""

from typing import cast

from thought1.contracts import ThoughtWriter
from thought1.registry import THOUGHT_WRITERS, load


def open_writer(name: str) -> ThoughtWriter:
    """The writer of that name: `openai:URL#MODEL` or `file:PATH`.

    Raises:
        Thought1Error: unknown name, or it cannot be opened.
    """
    kind = name.partition(":")[0]
    return cast(ThoughtWriter, load("writer of thoughts", kind, THOUGHT_WRITERS)(name))
