"""What holds for every plan: each example once, within the budget, and no answer as a negative."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from thought1.config import StageConfig
from thought1.training.batches import Collator, Rows, Text, plan_pairs, plan_stage, plan_texts
from thought1.training.run import tokenize
from thought1.training.sources import Pair, TrainingData
from thought1.training.teacher import mine_negatives

roles = st.sampled_from(["query", "document"])
lengths = st.lists(st.tuples(roles, st.integers(1, 90)), max_size=60)


@given(rows=lengths, budget=st.integers(1, 300), seed=st.integers(0, 99))
def test_every_text_once_within_the_budget(
    rows: list[tuple[str, int]], budget: int, seed: int
) -> None:
    texts: list[Text] = [(role, f"{role} {i}") for i, (role, _) in enumerate(rows)]  # type: ignore[misc]
    sizes = [size for _, size in rows]
    size_of = {text: size for (_, text), size in zip(texts, sizes, strict=True)}
    batches = plan_texts(texts, sizes, budget, seed)
    planned = Counter(("query", text) for batch in batches for text in batch.queries)
    planned += Counter(("document", text) for batch in batches for text in batch.documents)
    assert planned == Counter(texts)
    for batch in batches:
        held = [size_of[text] for text in batch.queries + batch.documents]
        assert held
        assert len(held) == 1 or len(held) * max(held) <= budget
    assert batches == plan_texts(texts, sizes, budget, seed)
