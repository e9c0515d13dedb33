"""The systems that can be evaluated, all with one contract (`base.System`).

    t1                  T1 and its index, or the index's own BM25 (`t1_index`)
    bm25                bm25s with its own settings (`bm25`)
    bm25-query          BM25 with a weighted query, as BRIGHT's official one (`bm25`)
    st:FOLDER_OR_ID     a sentence-transformers model (`sentence_transformers`)
    openai:URL#MODEL    a model on a server with OpenAI's embeddings protocol (`openai_server`)

`t1_exact` is T1 without an index: exact search with an instruction, as BRIGHT requires. A new
system is a file here and a row of `SYSTEMS` in `thought1.registry`.

    with open_system("bm25") as system:
        system.rank(documents, {"q1": "why do ice cubes crack"}, depth=100).run
"""

from collections.abc import Iterator
from contextlib import contextmanager

from thought1.evaluation.systems.base import (
    Answers,
    Documents,
    System,
    SystemFacts,
    SystemOptions,
    unknown_system,
)
from thought1.moved import moved_names
from thought1.registry import SYSTEMS, load

__all__ = ["Answers", "Documents", "System", "SystemFacts", "SystemOptions", "open_system"]

__getattr__ = moved_names(__name__)


@contextmanager
def open_system(spec: str, options: SystemOptions | None = None) -> Iterator[System]:
    """The system that `spec` names, in one of the forms above.

    Raises:
        Thought1Error: it has none of these forms, its model or index cannot be used, or a package
            that it needs is not installed.
    """
    kind = spec.partition(":")[0]
    if kind not in SYSTEMS:
        raise unknown_system(spec)
    system: System = load("system", kind, SYSTEMS)(spec, options or SystemOptions())
    try:
        yield system
    finally:
        system.close()
