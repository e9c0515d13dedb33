"""Questions that are asked with documents shown, of invented facts.

Most need what is shown: they teach to read, where other questions teach to recall. Beside it stand
documents that do not answer, among them rivals, in which another entity has the relation that is
asked for: to copy a name of the right kind is not enough. Some questions need nothing of what is
shown, so that what says nothing spoils no thought. Knows neither splits nor which questions exist
already.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from thought1.data.worlds.compositions import Note, Question, follow
from thought1.data.worlds.documents import fact_wordings
from thought1.data.worlds.facts import YEARS, Encyclopedia, Fact
from thought1.data.worlds.language import DISTRACTORS, KINDS, RELATIONS, SORT, YEAR

HOPS = {1: 1, 2: 2, 3: 2}
"""Number of hops, and how often."""

RECALLED = 0.2
"""The share of questions that need nothing of what is shown, but for facts of indexed entities."""

RIVALS = 0.5
"""The share of rivals among the documents that do not answer."""


@dataclass(frozen=True, slots=True)
class ReadingDrawer:
    """Draws questions with documents that state the first facts of their chains, or none.

    Attributes:
        starts: kind of entity -> the names from which a chain may start whose first facts are not
            shown.
        indexed: entities about which the world's documents alone tell: of these every fact is
            invented, so that no training question gives a true one away.
    """

    world: Encyclopedia
    starts: Mapping[str, Sequence[str]]
    indexed: frozenset[str]
    rng: random.Random

    def draw(self, id: str, kind: str) -> Question | None:
        """One question; None if the chain meets an entity twice."""
        if self.rng.random() < RECALLED:  # of one hop, it might be a test in the same words
            start = self.rng.choice([name for names in self.starts.values() for name in names])
            return self._ask(id, kind, start, self.rng.choice((2, 3)), 0)
        (hops,) = self.rng.choices(list(HOPS), list(HOPS.values()))
        shown = self.rng.randint(1, hops)
        return self._ask(id, kind, self.rng.choice(list(self.world.kinds)), hops, shown)

    def _ask(self, id: str, kind: str, start: str, hops: int, shown: int) -> Question | None:
        """A chain of which the first facts are invented, and those of indexed entities."""
        name = start
        steps: list[Fact] = []
        invented: list[Fact] = []
        for hop in range(hops):
            step = self.rng.choice(self.world.links(name))
            if hop < shown or name in self.indexed:
                step = self._invent(name, step.relation)
                invented.append(step)
            steps.append(step)
            name = step.value
        names = [start, *(step.value for step in steps)]
        if len(set(names)) < len(names):
            return None
        question = follow(self.world, id, kind, steps, self.rng)
        return replace(question, notes=self._documents(steps, invented, names))

    def _documents(
        self, steps: Sequence[Fact], invented: Sequence[Fact], names: Sequence[str]
    ) -> tuple[Note, ...]:
        """One for each invented fact, and up to three that do not answer."""
        notes = [Note(fact, self._article(fact)) for fact in invented]
        for _ in range(self.rng.choice((1, 2, 3))):
            if self.rng.random() < RIVALS:
                notes.append(self._rival(self.rng.choice(steps), set(names)))
            else:
                notes.append(self._beside(self.rng.choice(names), set(names)))
        self.rng.shuffle(notes)
        return tuple(notes)

    def _rival(self, step: Fact, chain: set[str]) -> Note:
        """A document in which an entity that is not of the chain has the relation of a step."""
        names = self.world.names(self.world.kinds[step.subject])
        other = self.rng.choice([name for name in names if name not in chain])
        fact = self._invent(other, step.relation)
        return Note(fact, self._article(fact))

    def _beside(self, name: str, chain: set[str]) -> Note:
        """A document that mentions an entity of the chain and says nothing of it."""
        others = [other for other in self.world.kinds if other not in chain]
        kind = self.world.kinds[name]
        about = [
            link
            for other in self.rng.sample(others, min(20, len(others)))
            for link in self.world.links(other)
            if self.world.kinds[link.value] == kind and link.value != name
        ]
        if not about or self.rng.random() < 0.3:
            pattern = self.rng.choice(DISTRACTORS)
            mentioned = [name, *self.rng.sample(others, pattern.count("{}") - 1)]
            self.rng.shuffle(mentioned)
            return Note(None, pattern.format(*mentioned))
        fact = replace(self.rng.choice(about), value=name)
        return Note(fact, self._article(fact))

    def _article(self, fact: Fact) -> str:
        """A document with this fact and one or two more about its subject, all invented."""
        others = [name for name in self.world.facts[fact.subject] if name != fact.relation]
        more = self.rng.sample(others, self.rng.choice((1, 2)))
        facts = [fact, *(self._invent(fact.subject, relation) for relation in more)]
        self.rng.shuffle(facts)
        return " ".join(self.rng.choice(fact_wordings(self.world, one)) for one in facts)

    def _invent(self, name: str, relation: str) -> Fact:
        """A fact of an entity with a random value, not the true one."""
        values: Sequence[str]
        if relation == SORT:
            values = KINDS[self.world.kinds[name]].sorts
        elif relation == YEAR:
            values = [" ".join(str(year)) for year in YEARS]
        else:
            values = self.world.names(RELATIONS[relation].value)
        not_these = name, self.world.facts[name][relation].value
        value = self.rng.choice([value for value in values if value not in not_these])
        return Fact(name, relation, value)
