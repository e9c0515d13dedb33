"""Reference thoughts and shown evidence from files, by query id.

It knows JSON lines and words, no model. A thought may be cut to its key terms as in LREM (arXiv
2510.14321, section on data: rules remove repeated words and words of the query).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from thought1.data.rows import BadRow, Line, parse_id
from thought1.training.data.jsonl_templates import filled, objects
from thought1.training.recipe import SourceConfig
from thought1.types import Thought1Error

T = TypeVar("T")

_WORDS = """
a an the of to in on at by for with from as into onto over under between through during and or but
nor not no if then than so that which who whom whose what when where why how is are was were be been
being am do does did done has have had having can could may might must shall should will would it
its this these those there their they them he she his her we our you your i one some any each every
all both more most less least very also only kind because while about same other another such use
used uses using
"""
FUNCTION_WORDS = frozenset(_WORDS.split())
"""English words that carry no topic; our own list."""


def read_thoughts(source: SourceConfig, data: Path, queries: Mapping[str, str]) -> dict[str, str]:
    """Query id -> its first reference thought, by the source's pattern, on one line.

    With `thought_terms` a thought is cut to its key terms.

    Args:
        queries: id -> text; the thoughts of other queries are left out.

    Raises:
        Thought1Error: no such file, a broken line, or an `_id` missing.
    """
    if not source.thoughts:
        return {}
    found: dict[str, str] = {}
    for line, fields, text in filled(_existing(data / source.thoughts), source.thought, "; "):
        # Patterns leave punctuation where a list is empty.
        _add(found, line, fields, " ".join(text.split()).strip("; "))
    known = {q: found[q] for q in queries if q in found}
    if not source.thought_terms:
        return known
    return {q: key_terms(text, queries[q], source.thought_terms) for q, text in known.items()}


def read_evidence(path: Path) -> dict[str, tuple[str, ...]]:
    """Query id -> texts that are shown with it (`documents` of a JSON line).

    Raises:
        Thought1Error: no such file, a broken line, an `_id` missing, or `documents` is not a list
            of texts.
    """
    found: dict[str, tuple[str, ...]] = {}
    for line, fields in objects(_existing(path)):
        documents = fields.get("documents")
        if not isinstance(documents, list) or not all(isinstance(d, str) for d in documents):
            raise Thought1Error(f"{line.location}: 'documents' must be a list of texts")
        _add(found, line, fields, tuple(documents))
    return found


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise Thought1Error(f"{path} does not exist: name a file below the recipe's `data`")
    return path


def _add(found: dict[str, T], line: Line, fields: dict[str, object], value: T) -> None:
    try:
        found.setdefault(parse_id(fields), value)
    except BadRow as error:
        raise error.at(line.location) from None


def key_terms(thought: str, query: str, most: int) -> str:
    """The first `most` content words of a thought that its query lacks, each once, in order."""
    known = set(_words(query))
    terms: dict[str, None] = {}
    for word in _words(thought):
        if word not in known and word not in FUNCTION_WORDS and len(word) > 1:
            terms.setdefault(word)
    return " ".join(list(terms)[:most])


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:[-'][^\W_]+)*", text.lower())
