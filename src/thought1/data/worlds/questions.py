"""All questions about a world, train and test kept apart.

Knows neither files nor thoughts. How the questions are split:

- Three tenths of the entities of each kind are held out as starting points. Every composed test
  question starts from held-out entities only, every composed training question from the others
  only; so no pair (starting entities, path of relations) is in both. What follows the
  starting entity is common: chains of both splits lead through the same facts.
- Every fact whose value is an entity is a training question of a single hop, with one phrase. The
  test of single hops queries some of these facts with a phrase that training does not use for them.
- Every year that a test comparison needs occurs in a training comparison.
- A fact in an evidence note occurs in one note of one question, and in no document.
- Of indexed entities, where a world has some, documents alone tell: no training question and no
  test of another kind needs one of their facts. Test questions of the kinds indexed1 to indexed3
  need nothing else. Training questions of the kind reading may start anywhere where a fact of
  theirs is invented; without any they start as other training questions do, and have two hops or
  more.

A question names only its starting entities, and no document about the answer mentions one of
these: nothing is found by matching names.
"""

import random

from thought1.data.worlds.compositions import Drawer, Question, ask_phrase
from thought1.data.worlds.facts import Encyclopedia, Fact
from thought1.data.worlds.language import KINDS, RELATIONS, YEAR
from thought1.data.worlds.reading import ReadingDrawer
from thought1.types import Thought1Error

HELD_OUT = 0.3
"""The share of the entities of each kind from which composed test questions start."""

COMPOSED = {
    "hop2": 0.28,
    "hop3": 0.24,
    "hop4": 0.08,
    "comparison": 0.14,
    "counting": 0.10,
    "evidence": 0.16,
}
"""Kinds of composed questions, each with its share of the composed training questions."""

READING = "reading"
"""The kind of training questions that only shown documents answer."""

INDEXED = ("indexed1", "indexed2", "indexed3")
"""Kinds of test questions, of one to three hops, that need the facts of indexed entities."""

_PATIENCE = 2000
"""Draws in a row that give no new question, before the world counts as too small."""


def make_questions(
    world: Encyclopedia,
    train: int,
    test: int,
    seed: int,
    indexed: frozenset[str] = frozenset(),
    reading: int = 0,
) -> list[Question]:
    """The training questions of all kinds, then the test questions.

    Args:
        train: the number of composed training questions; single hops come on top.
        test: the number of test questions of each kind, single hops included.
        indexed: entities whose facts are not to be taught.
        reading: the number of training questions of the kind reading.

    Raises:
        Thought1Error: the world is too small for this many questions.
    """
    trained, tested = _single_hops(world, test, indexed, random.Random(f"{seed} hop1"))
    held_out = sample_entities(world, HELD_OUT, random.Random(f"{seed} split"))
    starts = {kind: [n for n in names if n not in indexed] for kind, names in held_out.items()}
    others = {
        kind: [n for n in world.names(kind) if n not in held_out[kind] and n not in indexed]
        for kind in KINDS
    }
    composer = _Composer(world, indexed)
    for kind, share in COMPOSED.items():
        drawer = Drawer(world, others, random.Random(f"{seed} train {kind}"))
        trained += composer.compose(drawer, "train", kind, round(share * train))
    for kind in COMPOSED:
        drawer = Drawer(world, starts, random.Random(f"{seed} test {kind}"))
        tested += composer.compose(drawer, "test", kind, test)
    reader = ReadingDrawer(world, others, indexed, random.Random(f"{seed} train {READING}"))
    trained += composer.compose(reader, "train", READING, reading)
    untaught = {kind: [n for n in world.names(kind) if n in indexed] for kind in KINDS}
    for kind in INDEXED if indexed else ():
        drawer = Drawer(world, untaught, random.Random(f"{seed} test {kind}"))
        tested += composer.compose(drawer, "test", kind, test)
    return trained + tested


def _single_hops(
    world: Encyclopedia, test: int, indexed: frozenset[str], rng: random.Random
) -> tuple[list[Question], list[Question]]:
    """Every link once for training, and `test` of them once more, in other words."""
    links = [link for name in world.kinds if name not in indexed for link in world.links(name)]
    if test > len(links):
        raise _too_small(world, test, "hop1")
    again = set(rng.sample(range(len(links)), test))
    by_split: tuple[list[Question], list[Question]] = [], []
    for number, link in enumerate(links):
        phrases = rng.sample(RELATIONS[link.relation].phrases, 2)
        for split, questions, phrase in zip(("train", "test"), by_split, phrases, strict=True):
            if split == "train" or number in again:
                id = f"{split}:hop1-{len(questions):04}"
                questions.append(_ask_link(world, id, link, phrase, rng))
    return by_split


def _ask_link(
    world: Encyclopedia, id: str, link: Fact, phrase: str, rng: random.Random
) -> Question:
    text = ask_phrase(world, phrase.format(link.subject), link.value, rng)
    return Question(id, "hop1", text, (link.subject,), (link.relation,), (link,), link.value)


def sample_entities(world: Encyclopedia, share: float, rng: random.Random) -> dict[str, list[str]]:
    """A share of the entities of each kind, at least one of each."""
    found = {}
    for kind in KINDS:
        names = world.names(kind)
        found[kind] = rng.sample(names, max(1, round(share * len(names))))
    return found


class _Composer:
    """Accepts drawn questions, and remembers what must not occur a second time."""

    def __init__(self, world: Encyclopedia, indexed: frozenset[str]) -> None:
        self._world = world
        self._indexed = indexed
        self._used: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
        self._noted: set[Fact] = set()
        self._trained: set[Fact] = set()

    def compose(
        self, drawer: Drawer | ReadingDrawer, split: str, kind: str, wanted: int
    ) -> list[Question]:
        found: list[Question] = []
        in_vain = 0
        while len(found) < wanted:
            question = drawer.draw(f"{split}:{kind}-{len(found):04}", kind)
            if question is not None and self._accept(question):
                found.append(question)
                in_vain = 0
                continue
            in_vain += 1
            if in_vain == _PATIENCE:
                raise _too_small(self._world, wanted, kind)
        if split == "train":
            self._trained.update(step for question in found for step in question.steps)
        return found

    def _accept(self, question: Question) -> bool:
        named = self._world.mentions(question.answer) | {question.answer}
        if not named.isdisjoint(question.starts):
            return False
        if question.kind == READING:  # with other facts it may ask what a test asks
            return True
        untaught = [step.subject in self._indexed for step in question.steps]
        if any(untaught) and not (question.kind in INDEXED and all(untaught)):
            return False
        key = (tuple(sorted(question.starts)), question.path)
        stated = {note.fact for note in question.notes if note.fact is not None}
        if key in self._used or not stated.isdisjoint(self._noted):
            return False
        years = (step for step in question.steps if step.relation == YEAR)
        if question.split == "test" and not self._trained.issuperset(years):
            return False
        self._used.add(key)
        self._noted |= stated
        return True


def _too_small(world: Encyclopedia, wanted: int, kind: str) -> Thought1Error:
    return Thought1Error(
        f"a world of {len(world.kinds)} entities has no {wanted} questions of the kind {kind}: "
        "ask for fewer questions or tests, or for more entities"
    )
