"""Trajectories: one sentence for each step, what follows from them, and the answer's name.

Knows neither files nor the wording of questions. `short` states the steps only; `long` restates
irrelevant facts along the way, until it is more than twice as long.
"""

import random
from collections import Counter
from typing import Literal

from thought1.data.worlds.compositions import Question
from thought1.data.worlds.facts import Encyclopedia, Fact
from thought1.data.worlds.language import (
    COMPARISON_THOUGHT,
    COUNTING_THOUGHT,
    EVIDENCE_RELATIONS,
    RELATIONS,
    SORT,
    SORT_THOUGHT,
    YEAR,
    YEAR_THOUGHT,
)

Style = Literal["short", "long"]

LONG = 2.0
"""A long thought has at least this many times the words of the short one, and at most 3 times."""


def think(question: Question, world: Encyclopedia, style: Style, seed: int) -> str:
    """The trajectory that leads from a question to its answer."""
    sentences = [statement(step) for step in question.steps]
    end = [*_conclusion(question), question.answer]
    if style == "long":
        wanted = LONG * len(" ".join(sentences + end).split()) - len(" ".join(end).split())
        rng = random.Random(f"{seed} long {question.id}")
        sentences = _digress(question, world, wanted, rng)
    return " ".join(sentences + end)


def statement(fact: Fact) -> str:
    """A fact as thoughts state it."""
    if fact.relation == SORT:
        pattern = SORT_THOUGHT
    elif fact.relation == YEAR:
        pattern = YEAR_THOUGHT
    else:
        pattern = (RELATIONS | EVIDENCE_RELATIONS)[fact.relation].thought
    return pattern.format(s=fact.subject, v=fact.value)


def _conclusion(question: Question) -> list[str]:
    if question.kind == "comparison":
        years = sorted(step.value for step in question.steps if step.relation == YEAR)
        return [COMPARISON_THOUGHT.format(*years)]
    if question.kind == "counting":
        counts = Counter(step.value for step in question.steps)
        return [" , ".join(COUNTING_THOUGHT.format(*item) for item in counts.items()) + " ."]
    return []


def _digress(
    question: Question, world: Encyclopedia, wanted: float, rng: random.Random
) -> list[str]:
    """The steps, each followed by other facts about its entities, of at least `wanted` words."""
    stated = set(question.steps)
    places: list[list[Fact]] = []
    for step in question.steps:
        names = [name for name in (step.subject, step.value) if name in world.kinds]
        asides = [fact for name in names for fact in world.facts[name].values()]
        places.append([fact for fact in dict.fromkeys(asides) if fact not in stated])
        stated.update(places[-1])
    chosen: list[list[str]] = [[statement(step)] for step in question.steps]
    spare = [(place, fact) for place, facts in enumerate(places) for fact in facts]
    for place, fact in rng.sample(spare, len(spare)):
        if sum(len(text.split()) for texts in chosen for text in texts) >= wanted:
            break
        chosen[place].append(statement(fact))
    return [text for texts in chosen for text in texts]
