"""A world as one value: settings in, everything that its folder holds out.

Knows no files.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from thought1.data.worlds.compositions import Question
from thought1.data.worlds.documents import make_documents
from thought1.data.worlds.facts import Encyclopedia, make_encyclopedia
from thought1.data.worlds.questions import COMPOSED, INDEXED, make_questions, sample_entities
from thought1.data.worlds.thoughts import Style, think
from thought1.types import Document, Thought1Error

MIN_ENTITIES, MAX_ENTITIES = 50, 50_000

MAX_INDEXED = 0.6
"""Most of the entities whose facts are not taught: the others must be enough to learn from."""


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """What determines a world; the defaults are the standard world.

    Attributes:
        seed: one seed, one world.
        entities: their number, from 50 to 50,000; each has two documents.
        distractors: documents about no entity.
        questions: composed training questions; single hops come on top, about 2.5 for an entity.
        tests: test questions of each kind.
        thoughts: short, or needlessly long.
        share_thoughts: the share of the composed training questions of each kind that keep their
            thought. Single hops and test questions always do: the facts stay teachable in
            thoughts, and the bound can be measured. A smaller share is part of a larger one.
        share_indexed: the share of the entities of each kind whose facts only documents state: they
            are in no training question and not in facts.jsonl. Tests of the kinds indexed1 to
            indexed3 need them.
        reading: training questions of the kind reading: what they are shown answers them, and
            nothing else.

    Raises:
        Thought1Error: a value that makes no world.
    """

    seed: int = 0
    entities: int = 500
    distractors: int = 200
    questions: int = 2500
    tests: int = 200
    thoughts: Style = "short"
    share_thoughts: float = 1.0
    share_indexed: float = 0.0
    reading: int = 0

    def __post_init__(self) -> None:
        if not MIN_ENTITIES <= self.entities <= MAX_ENTITIES:
            raise Thought1Error(
                f"a world has {MIN_ENTITIES} to {MAX_ENTITIES} entities, not {self.entities}"
            )
        if self.distractors < 0:
            raise Thought1Error(f"distractors cannot be fewer than 0, as {self.distractors} is")
        if self.questions < 100 or self.tests < 1:
            raise Thought1Error(
                "a world has at least 100 composed training questions and 1 test question of each "
                f"kind, not {self.questions} and {self.tests}"
            )
        if not 0 <= self.share_thoughts <= 1:
            raise Thought1Error(
                f"the share of thoughts must be between 0 and 1, not {self.share_thoughts}"
            )
        if not 0 <= self.share_indexed <= MAX_INDEXED:
            raise Thought1Error(
                f"the share of indexed entities is a number from 0 to {MAX_INDEXED}, not "
                f"{self.share_indexed}"
            )
        if self.reading < 0:
            raise Thought1Error(f"reading questions cannot be fewer than 0, as {self.reading} is")


@dataclass(frozen=True, slots=True)
class World:
    """A generated world.

    Attributes:
        encyclopedia: the facts.
        documents: two for each entity, then the distractors.
        questions: training first, then test.
        thoughts: question id -> trajectory, for the questions that keep theirs.
        indexed: the entities whose facts only documents state.
    """

    settings: WorldSettings
    encyclopedia: Encyclopedia
    documents: list[Document]
    questions: list[Question]
    thoughts: Mapping[str, str]
    indexed: frozenset[str] = frozenset()

    def splits(self) -> dict[str, list[Question]]:
        """train, test (all composed kinds together), and test-KIND for hop1, each of them, and
        where there are indexed entities for indexed1 to indexed3."""
        train = [q for q in self.questions if q.split == "train"]
        tests = [q for q in self.questions if q.split == "test"]
        splits = {"train": train, "test": [q for q in tests if q.kind in COMPOSED]}
        for kind in ("hop1", *COMPOSED, *(INDEXED if self.indexed else ())):
            splits[f"test-{kind}"] = [q for q in tests if q.kind == kind]
        return splits

    def counts(self) -> dict[str, int]:
        """What there is of everything."""
        facts = sum(len(facts) for facts in self.encyclopedia.facts.values())
        return {
            "entities": len(self.encyclopedia.kinds),
            "facts": facts,
            "documents": len(self.documents),
            "thoughts": len(self.thoughts),
            "words": len(self.vocabulary()),
            **{split: len(questions) for split, questions in self.splits().items()},
        }

    def vocabulary(self) -> set[str]:
        """Every word of documents, questions, evidence and thoughts."""
        texts = [document.text for document in self.documents] + list(self.thoughts.values())
        for question in self.questions:
            texts += [question.text, *(note.text for note in question.notes)]
        return {word for text in texts for word in text.split()}


def make_world(settings: WorldSettings) -> World:
    """Generate the world that `settings` determine.

    Raises:
        Thought1Error: too few entities for this many questions.
    """
    seed = settings.seed
    encyclopedia = make_encyclopedia(settings.entities, random.Random(f"{seed} facts"))
    documents = make_documents(
        encyclopedia, settings.distractors, random.Random(f"{seed} documents")
    )
    indexed: frozenset[str] = frozenset()
    if settings.share_indexed:
        rng = random.Random(f"{seed} indexed")
        sampled = sample_entities(encyclopedia, settings.share_indexed, rng)
        indexed = frozenset(name for names in sampled.values() for name in names)
    questions = make_questions(
        encyclopedia, settings.questions, settings.tests, seed, indexed, settings.reading
    )
    kept = _thinkers(questions, settings)
    thoughts = {q.id: think(q, encyclopedia, settings.thoughts, seed) for q in kept}
    return World(settings, encyclopedia, documents, questions, thoughts, indexed)


def _thinkers(questions: list[Question], settings: WorldSettings) -> list[Question]:
    """The questions that keep their thought."""
    dropped: set[str] = set()
    for kind in COMPOSED:
        ids = [q.id for q in questions if q.kind == kind and q.split == "train"]
        random.Random(f"{settings.seed} share {kind}").shuffle(ids)
        dropped.update(ids[round(settings.share_thoughts * len(ids)) :])
    return [question for question in questions if question.id not in dropped]
