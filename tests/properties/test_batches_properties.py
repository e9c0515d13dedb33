"""What holds for every plan: each example once, within the budget, and no answer as a negative."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from thought1.training.data.batches import (
    Rows,
    Text,
    known_answers,
    plan_pairs,
    plan_stage,
    plan_streamed,
    plan_texts,
)
from thought1.training.data.collate import Collator
from thought1.training.data.sources import Role, TrainingData, TrainingPair
from thought1.training.recipe import RepresentStage
from thought1.training.teacher import mine_negatives

roles: st.SearchStrategy[Role] = st.sampled_from(["query", "document", "thought"])
lengths = st.lists(st.tuples(roles, st.integers(1, 90)), max_size=60)

FACTS = [f"fact {i}" for i in range(12)]
# Few questions and few facts: the same question comes twice, and facts answer many questions.
pairs = st.lists(
    st.tuples(
        st.sampled_from([f"question {i}" for i in range(6)]),
        st.lists(st.sampled_from(FACTS), min_size=1, max_size=5, unique=True),
    ),
    min_size=1,
    max_size=20,
).map(
    lambda rows: [
        TrainingPair(f"id{i}", query, tuple(facts)) for i, (query, facts) in enumerate(rows)
    ]
)


@given(rows=lengths, budget=st.integers(1, 300), seed=st.integers(0, 99))
def test_every_text_once_within_the_budget(
    rows: list[tuple[Role, int]], budget: int, seed: int
) -> None:
    texts: list[Text] = [(role, f"{role} {i}") for i, (role, _) in enumerate(rows)]
    sizes = [size for _, size in rows]
    size_of = {text: size for (_, text), size in zip(texts, sizes, strict=True)}
    batches = plan_texts(texts, sizes, budget, seed)
    planned = Counter(("query", text) for batch in batches for text in batch.queries)
    planned += Counter(("document", text) for batch in batches for text in batch.documents)
    planned += Counter(("thought", text) for batch in batches for text in batch.thoughts)
    assert planned == Counter(texts)
    for batch in batches:
        sides = (batch.queries, batch.documents, batch.thoughts)
        assert sum(map(bool, sides)) == 1
        held = [size_of[text] for side in sides for text in side]
        assert len(held) == 1 or len(held) * max(held) <= budget
    assert batches == plan_texts(texts, sizes, budget, seed)


@given(
    sizes=st.lists(st.integers(1, 90), max_size=60),
    budget=st.integers(1, 300),
    seed=st.integers(0, 99),
)
def test_every_streamed_text_once_within_the_budget(
    sizes: list[int], budget: int, seed: int
) -> None:
    batches = plan_streamed(sizes, budget, seed)
    places = [place for batch in batches for place in batch.streamed]
    assert sorted(places) == list(range(len(sizes)))
    for batch in batches:
        held = [sizes[place] for place in batch.streamed]
        assert len(held) == 1 or len(held) * max(held) <= budget
        assert not (batch.queries or batch.documents or batch.thoughts)


@given(
    pairs=pairs,
    size=st.integers(1, 8),
    most=st.integers(1, 4),
    negatives=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_no_known_answer_is_ever_a_negative(
    pairs: list[TrainingPair], size: int, most: int, negatives: int, seed: int
) -> None:
    stage = RepresentStage(
        "test",
        (),
        queries_per_batch=size,
        positives_per_query=most,
        negatives_per_query=negatives,
    )
    answers = known_answers(pairs)
    generator = np.random.default_rng(seed)
    teacher = {text: generator.standard_normal(4).astype(np.float16) for text in [*FACTS, *answers]}
    mined = mine_negatives({p.query_id: p.query for p in pairs}, answers, FACTS, teacher, depth=5)
    for pair in pairs:
        assert not set(mined[pair.query_id]) & answers[pair.query]
    ids: dict[Text, list[int]] = {("query", query): [1] for query in answers}
    ids |= {("document", fact): [1] for fact in FACTS}
    collate = Collator(Rows(ids, teacher, answers))
    by_query = {pair.query: set[str]() for pair in pairs}
    for pair in pairs:
        by_query[pair.query].update(pair.positives)
    for batch in plan_pairs(pairs, stage, seed, mined):
        tensors = collate([batch])
        assert len(set(batch.documents)) == len(batch.documents)
        positives, ignored = tensors["positives"].tolist(), tensors["answers"].tolist()
        for query, is_positive, is_answer in zip(batch.queries, positives, ignored, strict=True):
            assert 1 <= sum(is_positive) <= most
            for place, text in enumerate(batch.documents):
                known = text in by_query[query]
                assert known or not is_positive[place]
                counts_as_negative = not (is_positive[place] or is_answer[place])
                assert counts_as_negative == (not known)


@given(
    pairs=pairs,
    size=st.integers(1, 8),
    epochs=st.floats(0.01, 3.0),
    seed=st.integers(0, 99),
)
def test_no_query_twice_in_an_epoch_and_few_left_out(
    pairs: list[TrainingPair], size: int, epochs: float, seed: int
) -> None:
    batches = plan_pairs(pairs, RepresentStage("test", (), queries_per_batch=size), seed)
    planned = Counter(query for batch in batches for query in batch.queries)
    assert planned <= Counter(pair.query for pair in pairs)
    assert len(pairs) - planned.total() < size
    assert {len(batch.queries) for batch in batches} == {min(size, len(pairs))}
    stage = RepresentStage("test", (), queries_per_batch=size, epochs=epochs)
    plan = plan_stage(TrainingData(list(pairs)), Rows({}, {}, {}), stage, seed)
    assert abs(len(plan) - epochs * len(batches)) <= 1
