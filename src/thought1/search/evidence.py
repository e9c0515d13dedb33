"""What a query's evidence slot shows: the step of a search that reads before it thinks.

Knows the contracts of a store and of what thinks, and no implementation of either.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from thought1.contracts import Store
from thought1.search.found import Found, Thinker
from thought1.search.options import SearchOptions


@dataclass(frozen=True, slots=True)
class Read:
    """The first documents of each ranking, to be read before thinking."""

    store: Store
    model: Thinker
    options: SearchOptions
    name: str = "read"

    def __call__(self, found: Found) -> None:
        """Fills `read` and `evidence`."""
        first = [ranking[: self.options.evidence] for ranking in found.rankings]
        ids = [[id_ for id_, _ in ranking] for ranking in first]
        found.read, found.evidence = shown(self.store, self.model, found.queries, ids)


def shown(
    store: Store, model: Thinker, queries: Sequence[str], ids: Sequence[Sequence[str]]
) -> tuple[list[list[str]], list[list[str]]]:
    """What each query's prompt has room for of these documents: their ids, and their texts.

    Documents without a word are passed over.
    """
    documents = store.get([id_ for own in ids for id_ in own])
    texts = {id_: document.full_text for id_, document in documents.items()}
    written = [[id_ for id_ in own if texts.get(id_, "").strip()] for own in ids]
    evidence = model.fit_evidence(queries, [[texts[id_] for id_ in own] for own in written])
    read = [own[: len(some)] for own, some in zip(written, evidence, strict=True)]
    return read, evidence
