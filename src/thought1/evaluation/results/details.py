"""What a system did with each judged query, as records: thoughts, and the first hits with texts."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from thought1.evaluation.results.models import DetailRecord, HitRecord
from thought1.types import Document, Thought

if TYPE_CHECKING:
    from thought1.evaluation.measure import Measured

SNIPPET = 300
"""Characters of a hit's text."""

SHOWN_HITS = 10
"""Hits of a query."""


def details(measured: "Measured") -> Iterator[DetailRecord]:
    """One record for each judged query; reads the documents once more, for the texts of hits."""
    task, answers = measured.task, measured.answers
    queries = task.judged
    shown = {query.id: list(measured.run[query.id].items())[:SHOWN_HITS] for query in queries}
    snippets = _snippets(measured, {document for hits in shown.values() for document, _ in hits})
    for query in queries:
        thoughts = answers.thoughts.get(query.id, ())
        evidence = answers.evidence.get(query.id, ())
        fields: dict[str, Any] = {"id": query.id, "query": query.text}
        if task.rewritten:
            fields["rewritten"] = task.rewritten[query.id]
        fields |= _thought(thoughts)
        if evidence:
            fields["evidence"] = list(evidence)
        yield DetailRecord(
            **fields,
            relevant=[doc for doc, grade in task.qrels[query.id].items() if grade > 0],
            hits=[
                HitRecord(id=document, score=score, text=snippets.get(document, ""))
                for document, score in shown[query.id]
            ],
        )


def thought_tokens(thoughts: Sequence[Thought]) -> int:
    """Written in all thoughts on a query."""
    return sum(thought.written for thought in thoughts)


def _thought(thoughts: Sequence[Thought]) -> dict[str, Any]:
    first = thoughts[0] if thoughts else None
    return {
        "thought": first and first.text,
        "thought_tokens": thought_tokens(thoughts),
        "finish_reason": first and first.finish_reason,
        **({"thoughts": [each.to_json() for each in thoughts]} if len(thoughts) > 1 else {}),
    }


def _snippets(measured: "Measured", wanted: set[str]) -> dict[str, str]:
    return {one.id: _snippet(one) for one in measured.documents if one.id in wanted}


def _snippet(document: Document) -> str:
    title, text = document.title, document.text
    return (f"{title}\n{text}" if title else text)[:SNIPPET]
