"""The texts of worlds: two documents about each entity, and distractors about none.

An article states most facts of its entity; a note states the others, and one again in other words.
Knows no question.
"""

import random

from thought1.data.worlds.facts import Encyclopedia, Fact
from thought1.data.worlds.language import (
    DISTRACTORS,
    KINDS,
    RELATIONS,
    SORT,
    SORT_DOCUMENTS,
    YEAR,
)
from thought1.types import Document

ARTICLE_FACTS = 3
"""Facts in an article; the note states the others, and one again."""


def relevant(name: str) -> tuple[str, str]:
    """The ids of the two documents about an entity."""
    return f"{name}:article", f"{name}:note"


def make_documents(world: Encyclopedia, distractors: int, rng: random.Random) -> list[Document]:
    """All documents of a world: two for each entity, in their order, then the distractors."""
    documents = []
    for name in world.kinds:
        facts = list(world.facts[name].values())
        rng.shuffle(facts)
        stated, left = facts[:ARTICLE_FACTS], facts[ARTICLE_FACTS:]
        again = stated[: max(1, 2 - len(left))]
        wordings = {fact: rng.sample(fact_wordings(world, fact), 2) for fact in facts}
        for id, texts in zip(
            relevant(name),
            ([wordings[fact][0] for fact in stated], [wordings[fact][1] for fact in left + again]),
            strict=True,
        ):
            documents.append(Document(id, " ".join(texts)))
    names = list(world.kinds)
    for number in range(distractors):
        pattern = rng.choice(DISTRACTORS)
        text = pattern.format(*rng.sample(names, pattern.count("{}")))
        documents.append(Document(f"distractor:{number:04}", text))
    return documents


def fact_wordings(world: Encyclopedia, fact: Fact) -> list[str]:
    """The sentences in which documents state a fact."""
    patterns = {
        SORT: SORT_DOCUMENTS,
        YEAR: KINDS[world.kinds[fact.subject]].years,
        **{relation: spec.documents for relation, spec in RELATIONS.items()},
    }
    return [pattern.format(s=fact.subject, v=fact.value) for pattern in patterns[fact.relation]]
