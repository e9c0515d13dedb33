"""One random question at a time, from given starting entities; None if the draw gives no question.

Knows neither splits nor which questions exist already: questions.py keeps them apart.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from thought1.data.worlds.facts import Encyclopedia, Fact
from thought1.data.worlds.language import (
    CHAIN_QUESTIONS,
    COMPARED_KINDS,
    COMPARISON_QUESTIONS,
    COUNTING_QUESTIONS,
    EVIDENCE_RELATIONS,
    PERSON_QUESTIONS,
    RELATIONS,
    YEAR,
)

_COMPARED = [name for name, relation in RELATIONS.items() if relation.value in COMPARED_KINDS]


@dataclass(frozen=True, slots=True)
class Note:
    """A text that is shown with a question, and the fact that it states, if it states one."""

    fact: Fact | None
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question with all that is known about it.

    Attributes:
        id: begins with "train:" or "test:".
        kind: hop1, hop2, hop3, hop4, comparison, counting, evidence, reading or
            indexed1 to indexed3.
        starts: the entities that the question names.
        path: the relations in the order in which they are followed, from each start.
        steps: the facts that lead to the answer, in the order of thinking.
        answer: the entity whose two documents are relevant.
        notes: the evidence, in the order in which it is shown.
    """

    id: str
    kind: str
    text: str
    starts: tuple[str, ...]
    path: tuple[str, ...]
    steps: tuple[Fact, ...]
    answer: str
    notes: tuple[Note, ...] = ()

    @property
    def split(self) -> str:
        """train or test."""
        return self.id.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Drawer:
    """Draws questions that start from `starts` (kind of entity -> names)."""

    world: Encyclopedia
    starts: Mapping[str, Sequence[str]]
    rng: random.Random

    def draw(self, id: str, kind: str) -> Question | None:
        """One question of a composed kind."""
        if kind == "comparison":
            return self._comparison(id)
        if kind == "counting":
            return self._counting(id)
        if kind == "evidence":
            return self._evidence(id)
        return self._chain(id, kind)

    def _chain(self, id: str, kind: str) -> Question | None:
        start = self.rng.choice([name for names in self.starts.values() for name in names])
        steps = self._walk(start, int(kind[-1]), {start})
        return None if steps is None else follow(self.world, id, kind, steps, self.rng)

    def _evidence(self, id: str) -> Question | None:
        relation = self.rng.choice(list(EVIDENCE_RELATIONS))
        subjects = self.starts[EVIDENCE_RELATIONS[relation].subject]
        others = self.rng.choice((1, 2))
        if len(subjects) <= others:
            return None
        stated = [self._invent(name, relation) for name in self.rng.sample(subjects, 1 + others)]
        first = stated[0]
        rest = self._walk(first.value, self.rng.choice((1, 2)), {first.subject, first.value})
        if rest is None:
            return None
        self.rng.shuffle(stated)
        notes = tuple(map(self._note, stated))
        question = follow(self.world, id, "evidence", [first, *rest], self.rng)
        return replace(question, notes=notes)

    def _invent(self, name: str, relation: str) -> Fact:
        """A fact that no document states."""
        values = self.world.names(EVIDENCE_RELATIONS[relation].value)
        known = {name} | self.world.mentions(name)
        return Fact(name, relation, self.rng.choice([v for v in values if v not in known]))

    def _note(self, fact: Fact) -> Note:
        pattern = self.rng.choice(EVIDENCE_RELATIONS[fact.relation].documents)
        return Note(fact, pattern.format(s=fact.subject, v=fact.value))

    def _walk(self, start: str, hops: int, seen: set[str]) -> list[Fact] | None:
        """A random chain of facts, unless it meets an entity of `seen`, or one twice."""
        steps: list[Fact] = []
        for _ in range(hops):
            step = self.rng.choice(self.world.links(steps[-1].value if steps else start))
            if step.value in seen:
                return None
            steps.append(step)
            seen.add(step.value)
        return steps

    def _comparison(self, id: str) -> Question | None:
        relation = self.rng.choice(_COMPARED)
        names = self.starts[RELATIONS[relation].subject]
        if len(names) < 2:
            return None
        links = [self.world.facts[name][relation] for name in self.rng.sample(names, 2)]
        years = [self.world.facts[link.value][YEAR] for link in links]
        if years[0].value == years[1].value:
            return None
        phrase = self.rng.choice(RELATIONS[relation].phrases)
        text = self.rng.choice(COMPARISON_QUESTIONS).format(
            *(phrase.format(link.subject) for link in links)
        )
        starts = tuple(link.subject for link in links)
        steps = (links[0], years[0], links[1], years[1])
        answer = min(years, key=lambda year: year.value).subject
        return Question(id, "comparison", text, starts, (relation, YEAR), steps, answer)

    def _counting(self, id: str) -> Question | None:
        relation = self.rng.choice(list(RELATIONS))
        names = self.starts[RELATIONS[relation].subject]
        links = [self.world.facts[name][relation] for name in names]
        counts = Counter(link.value for link in links)
        common = [value for value, count in counts.items() if count > 1]
        num_others = self.rng.choice((1, 2))
        if not common or len(links) - max(counts.values()) < num_others:
            return None
        answer = self.rng.choice(common)
        steps = self.rng.sample([link for link in links if link.value == answer], 2)
        others = self.rng.sample([link for link in links if link.value != answer], num_others)
        if len({link.value for link in others}) < num_others:
            return None  # two against two
        steps += others
        self.rng.shuffle(steps)
        starts = tuple(step.subject for step in steps)
        phrase = self.rng.choice(RELATIONS[relation].phrases)
        listed = f"{' , '.join(starts[:-1])} and {starts[-1]}"
        text = self.rng.choice(COUNTING_QUESTIONS).format(phrase.format(listed))
        return Question(id, "counting", text, starts, (relation,), tuple(steps), answer)


def follow(
    world: Encyclopedia, id: str, kind: str, steps: Sequence[Fact], rng: random.Random
) -> Question:
    """The question for the last value of a chain, with nothing shown."""
    text = ask_chain(world, steps, rng)
    path = tuple(step.relation for step in steps)
    start, answer = steps[0].subject, steps[-1].value
    return Question(id, kind, text, (start,), path, tuple(steps), answer)


def ask_chain(world: Encyclopedia, steps: Sequence[Fact], rng: random.Random) -> str:
    """A question for the last value of a chain: a phrase for each relation, one in the other."""
    relations = RELATIONS | EVIDENCE_RELATIONS
    phrase = steps[0].subject
    for step in steps:
        phrase = rng.choice(relations[step.relation].phrases).format(phrase)
    return ask_phrase(world, phrase, steps[-1].value, rng)


def ask_phrase(world: Encyclopedia, phrase: str, answer: str, rng: random.Random) -> str:
    """A question for what a phrase names."""
    person = world.kinds[answer] == "person"
    return rng.choice(PERSON_QUESTIONS if person else CHAIN_QUESTIONS).format(phrase)
