"""Thought 1: retrieval with a language model that thinks before it embeds the query.

The public names are found on first use, so that `import thought1` itself stays light: it loads
no torch and no store. What belongs here is a name and its module, no logic. Modules that have moved
are found by their old names (`moved`).
"""

from importlib import import_module
from typing import TYPE_CHECKING

from thought1.moved import install

if TYPE_CHECKING:
    from thought1.index import Index
    from thought1.t1 import T1
    from thought1.types import (
        Document,
        Hit,
        Query,
        Receipt,
        Sampling,
        SearchResult,
        Thought,
        Thought1Error,
    )

__version__ = "0.1.0"

__all__ = [
    "T1",
    "Document",
    "Hit",
    "Index",
    "Query",
    "Receipt",
    "Sampling",
    "SearchResult",
    "Thought",
    "Thought1Error",
    "__version__",
]

install()

_HOME = {"T1": "thought1.t1", "Index": "thought1.index"}  # the rest live in thought1.types


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'thought1' has no attribute {name!r}")
    value: object = getattr(import_module(_HOME.get(name, "thought1.types")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
