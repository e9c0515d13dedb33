"""The world itself: invented entities of six kinds, and one value for each of their relations.

Knows no document and no question. Values are drawn at random, so nothing follows from anything
else: a teacher may be younger than the pupil.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from thought1.data.worlds.language import (
    FIRST_SYLLABLES,
    KINDS,
    MIDDLE_SYLLABLES,
    RELATIONS,
    SORT,
    YEAR,
)

YEARS = range(100, 1000)


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. `value` is a name; for SORT a word; for YEAR three digits with spaces between."""

    subject: str
    relation: str
    value: str


@dataclass(frozen=True, slots=True)
class Encyclopedia:
    """All entities and their facts.

    kinds: name -> kind, grouped by kind in the order of KINDS.
    facts: name -> relation -> fact; every relation of the name's kind, then SORT and YEAR.
    """

    kinds: Mapping[str, str]
    facts: Mapping[str, Mapping[str, Fact]]

    def names(self, kind: str) -> list[str]:
        """All entities of a kind."""
        return [name for name, found in self.kinds.items() if found == kind]

    def links(self, name: str) -> list[Fact]:
        """The facts of an entity whose value is an entity."""
        return [fact for fact in self.facts[name].values() if fact.value in self.kinds]

    def mentions(self, name: str) -> set[str]:
        """The entities that the documents about `name` mention, `name` aside."""
        return {fact.value for fact in self.links(name)}


def make_encyclopedia(entities: int, rng: random.Random) -> Encyclopedia:
    """A world of exactly `entities` entities.

    No two entities have facts about each other, so that no document about the answer of a
    single hop mentions the entity that the question names.
    """
    kinds = _name_entities(entities, rng)
    groups: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name, kind in kinds.items():
        groups[kind].append(name)
    facts: dict[str, dict[str, Fact]] = {name: {} for name in kinds}
    mentions: dict[str, set[str]] = {name: set() for name in kinds}
    for relation, spec in RELATIONS.items():
        for name in groups[spec.subject]:
            value = name
            while value == name or value in mentions[name] or name in mentions[value]:
                value = rng.choice(groups[spec.value])
            facts[name][relation] = Fact(name, relation, value)
            mentions[name].add(value)
    for name, kind in kinds.items():
        year = " ".join(str(rng.choice(YEARS)))
        facts[name][SORT] = Fact(name, SORT, rng.choice(KINDS[kind].sorts))
        facts[name][YEAR] = Fact(name, YEAR, year)
    return Encyclopedia(kinds, facts)


def _name_entities(entities: int, rng: random.Random) -> dict[str, str]:
    """Name -> kind. Names are unique and have no meaning; their endings show the kind."""
    counts = {kind: round(spec.share * entities) for kind, spec in KINDS.items()}
    counts["person"] += entities - sum(counts.values())
    middles = 1 if entities <= 2000 else 2
    first, middle = FIRST_SYLLABLES.split(), MIDDLE_SYLLABLES.split()
    kinds: dict[str, str] = {}
    for kind, count in counts.items():
        end = len(kinds) + count
        while len(kinds) < end:
            syllables = [rng.choice(first), *(rng.choice(middle) for _ in range(middles))]
            kinds.setdefault("".join(syllables) + rng.choice(KINDS[kind].endings), kind)
    return kinds
