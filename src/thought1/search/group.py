"""Passages as parts of documents: one hit for each document, and the neighbours of a passage.

Two steps of a search. Which passages belong together is said by a field of their metadata; a
passage's neighbours are those of its text file with the numbers before and after its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thought1.contracts import Store
from thought1.search.found import Found
from thought1.search.options import SearchOptions
from thought1.types import Document, Ranking

Members = dict[str, Ranking]
"""By the id of a document's best passage: its best passages with their scores, best first."""


def group_ranking(
    ranking: Ranking, group_of: Mapping[str, object], best: int
) -> tuple[Ranking, Members]:
    """One entry for each group, under the id of its best passage.

    The score is the mean of its `best` best passages' scores; a group that has fewer of them in
    the ranking gets the ranking's last score for the rest. So 1 is the maximum. Equal scores keep
    the order of their best passages.

    Args:
        group_of: by id; a passage that has none is a group of its own.
    """
    groups: dict[object, Ranking] = {}
    for id_, score in ranking:
        own = groups.setdefault(group_of.get(id_, (id_,)), [])
        if len(own) < best:
            own.append((id_, score))
    last = ranking[-1][1] if ranking else 0.0
    scored = [
        (own[0][0], (sum(s for _, s in own) + (best - len(own)) * last) / best)
        for own in groups.values()
    ]
    members = {own[0][0]: own for own in groups.values()}
    return sorted(scored, key=lambda one: -one[1]), members


@dataclass(frozen=True, slots=True)
class Group:
    """One hit for each document."""

    store: Store
    options: SearchOptions
    name: str = "group"

    def __call__(self, found: Found) -> None:
        """Groups `rankings` and fills `members`."""
        documents = self.store.get([id_ for ranking in found.rankings for id_, _ in ranking])
        field = self.options.group_by
        group_of = {
            id_: (type(document.metadata[field]), document.metadata[field])
            for id_, document in documents.items()
            if field in document.metadata
        }
        pairs = [group_ranking(r, group_of, self.options.group_best) for r in found.rankings]
        found.rankings = [ranking for ranking, _ in pairs]
        found.members = [members for _, members in pairs]


@dataclass(frozen=True, slots=True)
class Surround:
    """The passages before and after each hit in its text."""

    store: Store
    options: SearchOptions
    name: str = "neighbours"

    def __call__(self, found: Found) -> None:
        """Fills `neighbours`."""
        wanted = {id_: neighbour_ids(id_, self.options.neighbours) for id_ in found.documents}
        near = self.store.get([n for before, after in wanted.values() for n in (*before, *after)])
        found.neighbours = {
            id_: (_of_text(passage, wanted[id_][0], near), _of_text(passage, wanted[id_][1], near))
            for id_, passage in found.documents.items()
        }


def _of_text(
    passage: Document, ids: Sequence[str], near: Mapping[str, Document]
) -> tuple[Document, ...]:
    source = passage.metadata.get("source")
    return tuple(
        near[id_] for id_ in ids if id_ in near and near[id_].metadata.get("source") == source
    )


def neighbour_ids(id_: str, count: int) -> tuple[list[str], list[str]]:
    """The ids of the passages before and after one of a text folder ("notes/ice.md#3")."""
    text, mark, number = id_.rpartition("#")
    if not mark or not number.isascii() or not number.isdigit():
        return [], []
    place = int(number)
    before = [f"{text}#{n}" for n in range(max(0, place - count), place)]
    return before, [f"{text}#{n}" for n in range(place + 1, place + 1 + count)]
