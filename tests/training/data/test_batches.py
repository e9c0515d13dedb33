"""Plans and the collator: what trains together, and the tensors that say so."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from thought1.training.data.batches import (
    Batch,
    Rows,
    Text,
    known_answers,
    plan_pairs,
    plan_stage,
    plan_texts,
    spread,
)
from thought1.training.data.collate import Collator
from thought1.training.data.sources import TrainingData, TrainingPair
from thought1.training.recipe import RepresentStage


def stage(**settings: object) -> RepresentStage:
    return RepresentStage("test", (), **settings)  # type: ignore[arg-type]


def pairs(count: int, positives: int = 2) -> list[TrainingPair]:
    return [
        TrainingPair(f"id{i}", f"query {i}", tuple(f"document {i}.{p}" for p in range(positives)))
        for i in range(count)
    ]


def rows_of(data: TrainingData) -> Rows:
    """Ids whose number tells the text's length, and no teacher."""
    texts: list[Text] = list(data.texts)
    for pair in data.pairs:
        texts += [("query", pair.query), *(("document", text) for text in pair.positives)]
    texts += [("document", text) for text in data.pool]
    ids = {text: list(range(1, len(text[1]) + 1)) for text in texts}
    return Rows(ids, {}, known_answers(data.pairs))


# -- plans ---------------------------------------------------------------------------------


def test_texts_of_one_role_and_similar_length_lie_together() -> None:
    texts: list[Text] = [("query", f"q{i}") for i in range(50)]
    texts += [("document", f"d{i}") for i in range(300)]
    lengths = [5 + i % 60 for i in range(len(texts))]
    batches = plan_texts(texts, lengths, tokens_per_batch=256, seed=0)
    length_of = {text: length for (_, text), length in zip(texts, lengths, strict=True)}
    padding = total = 0
    for batch in batches:
        assert bool(batch.queries) != bool(batch.documents)
        held = [length_of[text] for text in batch.queries + batch.documents]
        padding += max(held) * len(held) - sum(held)
        total += max(held) * len(held)
    assert padding < 0.1 * total
    # Neither the roles nor the lengths come in a row.
    roles = [bool(batch.queries) for batch in batches]
    assert roles != sorted(roles) and roles != sorted(roles, reverse=True)


def test_a_text_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    texts: list[Text] = [("document", "short"), ("document", "long"), ("document", "other")]
    batches = plan_texts(texts, [10, 500, 12], tokens_per_batch=64, seed=0)
    assert sorted(sorted(batch.documents) for batch in batches) == [["long"], ["other", "short"]]


def test_no_texts_no_batches() -> None:
    assert plan_texts([], [], 64, seed=0) == []
    assert plan_pairs([], stage(), seed=0) == []


def test_pairs_share_their_documents() -> None:
    shared = [
        TrainingPair("a", "query a", ("fact", "own")),
        TrainingPair("b", "query b", ("fact",)),
    ]
    (batch,) = plan_pairs(shared, stage(queries_per_batch=2), seed=0)
    assert sorted(batch.documents) == ["fact", "own"]
    of_query = dict(zip(batch.queries, batch.positives, strict=True))
    fact = batch.documents.index("fact")
    assert of_query["query b"] == (fact,)
    assert sorted(of_query["query a"]) == [0, 1]


def test_at_most_so_many_positives_each_epoch_its_own() -> None:
    settings = stage(queries_per_batch=4, positives_per_query=2)
    seen: set[str] = set()
    for seed in range(10):
        (batch,) = plan_pairs(pairs(4, positives=5), settings, seed)
        assert [len(places) for places in batch.positives] == [2] * 4
        seen.update(batch.documents)
    assert len(seen) == 20


def test_hard_negatives_are_drawn_from_the_candidates() -> None:
    candidates = {"id0": [f"hard {i}" for i in range(9)], "id1": ["hard 0"]}
    settings = stage(queries_per_batch=3, negatives_per_query=2)
    (batch,) = plan_pairs(pairs(3), settings, seed=0, negatives=candidates)
    hard = [text for text in batch.documents if text.startswith("hard")]
    assert len(hard) == len(set(hard))
    assert len(hard) in (2, 3)  # two of the first, one of the second, perhaps the same
    assert "hard 0" in hard
    answered = {place for places in batch.positives for place in places}
    assert all(batch.documents.index(text) not in answered for text in hard)


@pytest.mark.parametrize(
    ("count", "size", "expected"), [(10, 4, [4, 4]), (8, 4, [4, 4]), (3, 4, [3]), (1, 1, [1])]
)
def test_batches_of_pairs_are_full(count: int, size: int, expected: list[int]) -> None:
    batches = plan_pairs(pairs(count), stage(queries_per_batch=size), seed=0)
    assert [len(batch.queries) for batch in batches] == expected


def test_spread_mixes_evenly_and_keeps_the_orders() -> None:
    first = [Batch(queries=(f"a{i}",)) for i in range(2)]
    second = [Batch(queries=(f"b{i}",)) for i in range(6)]
    mixed = [batch.queries[0] for batch in spread(first, second)]
    assert mixed == ["a0", "b0", "b1", "b2", "a1", "b3", "b4", "b5"]
    assert spread([], second) == second


# -- stages --------------------------------------------------------------------------------


def mixed_data() -> TrainingData:
    data = TrainingData(pairs(12))
    data.texts = [("document", f"text {'x' * (i % 30)} {i}") for i in range(200)]
    return data


def planned(
    data: TrainingData, settings: RepresentStage, seed: int = 0, processes: int = 1
) -> list[Batch]:
    plan = plan_stage(data, rows_of(data), settings, seed, processes=processes)
    return list(plan.batches)


def test_an_epoch_holds_every_text_once_and_every_query_once() -> None:
    data = mixed_data()
    batches = planned(data, stage(queries_per_batch=4, tokens_per_batch=256))
    singles = Counter(text for batch in batches if not batch.positives for text in batch.documents)
    assert singles == Counter(text for _, text in data.texts)
    queries = Counter(query for batch in batches for query in batch.queries)
    assert queries == Counter(pair.query for pair in data.pairs)


def test_an_epoch_holds_every_rationale_and_every_streamed_text_once() -> None:
    data = mixed_data()
    rows = rows_of(data)
    ids = {**rows.ids, **{("thought", str(n)): [n] * 20 for n in range(50)}}
    starts = {str(n): 1 for n in range(50)}
    rows = replace(rows, ids=ids, starts=starts, streamed_lengths=[9] * 300)
    batches = plan_stage(data, rows, stage(queries_per_batch=4, tokens_per_batch=256), 0).batches
    assert Counter(key for batch in batches for key in batch.thoughts) == Counter(starts)
    assert Counter(n for batch in batches for n in batch.streamed) == Counter(range(300))
    # All kinds are spread over the whole epoch.
    for kind in ("positives", "documents", "thoughts", "streamed"):
        places = [i for i, batch in enumerate(batches) if getattr(batch, kind)]
        assert places[0] < len(batches) / 3 and places[-1] > len(batches) * 2 / 3


def test_streamed_texts_alone_are_planned() -> None:
    rows = Rows({}, {}, {}, streamed_lengths=[9] * 30)
    batches = plan_stage(TrainingData(), rows, stage(tokens_per_batch=90, epochs=2.0), 0).batches
    assert Counter(n for batch in batches for n in batch.streamed) == Counter([*range(30)] * 2)
    assert batches[:3] != batches[3:]


def test_epochs_follow_one_another_and_differ() -> None:
    data = mixed_data()
    settings = stage(queries_per_batch=4, tokens_per_batch=256)
    once = planned(data, settings)
    twice = planned(data, stage(queries_per_batch=4, tokens_per_batch=256, epochs=2.0))
    assert twice[: len(once)] == once
    second = twice[len(once) :]
    assert second != once
    counts = Counter(text for batch in second if not batch.positives for text in batch.documents)
    assert counts == Counter(text for _, text in data.texts)


def test_a_query_left_over_in_one_epoch_is_met_in_another() -> None:
    data = TrainingData(pairs(10))
    batches = planned(data, stage(queries_per_batch=4, epochs=5.0))
    assert {query for batch in batches for query in batch.queries} == {
        pair.query for pair in data.pairs
    }


def test_plans_depend_on_the_seed_alone() -> None:
    data = mixed_data()
    settings = stage(queries_per_batch=4, epochs=2.0)
    assert planned(data, settings, seed=3) == planned(data, settings, seed=3)
    assert planned(data, settings, seed=3) != planned(data, settings, seed=4)


@pytest.mark.parametrize(("epochs", "share"), [(0.5, 0.5), (1.5, 1.5), (0.0001, 0.0)])
def test_fractions_of_epochs(epochs: float, share: float) -> None:
    data = TrainingData(pairs(40))
    one = len(planned(data, stage(queries_per_batch=2)))
    assert one == 20
    batches = planned(data, stage(queries_per_batch=2, epochs=epochs))
    assert len(batches) == max(1, share * one)


def test_max_steps_overrides_epochs() -> None:
    data = TrainingData(pairs(8))
    for steps in (1, 3, 9):
        batches = planned(data, stage(queries_per_batch=4, epochs=1.0, max_steps=steps))
        assert len(batches) == steps


def test_max_steps_counts_optimizer_steps() -> None:
    data = TrainingData(pairs(8))
    settings = stage(queries_per_batch=4, max_steps=3, accumulation=2)
    assert len(planned(data, settings)) == 6
    assert len(planned(data, settings, processes=2)) == 12


def test_nothing_to_train_on_does_not_loop_for_ever() -> None:
    with pytest.raises(ValueError, match="no example"):
        planned(TrainingData(), stage(max_steps=3))


# -- collator ------------------------------------------------------------------------------


def collate(batch: Batch, rows: Rows) -> dict[str, torch.Tensor]:
    return Collator(rows)([batch])


def test_rows_are_padded_on_the_right_with_zero() -> None:
    rows = Rows({("document", "a"): [7, 8, 9], ("document", "b"): [5]}, {}, {})
    tensors = collate(Batch(documents=("a", "b")), rows)
    assert set(tensors) == {"document_ids", "document_segments"}
    assert tensors["document_ids"].tolist() == [[7, 8, 9], [5, 0, 0]]
    assert tensors["document_segments"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert tensors["document_ids"].dtype == tensors["document_segments"].dtype == torch.long


def test_a_text_has_other_ids_in_another_role() -> None:
    rows = Rows({("query", "a"): [1, 2], ("document", "a"): [3]}, {}, {})
    assert collate(Batch(queries=("a",)), rows)["query_ids"].tolist() == [[1, 2]]
    assert collate(Batch(documents=("a",)), rows)["document_ids"].tolist() == [[3]]


def test_masks_of_positives_and_of_all_known_answers() -> None:
    data = TrainingData(
        [
            TrainingPair("1", "q1", ("d1", "d2")),
            TrainingPair("2", "q2", ("d3",)),
            TrainingPair("3", "q1", ("d3",)),  # the same question once more, with another answer
        ]
    )
    batch = Batch(("q1", "q2"), ("d1", "d2", "d3"), ((0,), (2,)))
    tensors = collate(batch, rows_of(data))
    assert tensors["positives"].tolist() == [[True, False, False], [False, False, True]]
    # d2 was not sampled and d3 is an answer of the other pair: neither is a negative of q1.
    assert tensors["answers"].tolist() == [[True, True, True], [False, False, True]]


def test_teacher_vectors_in_the_order_of_the_texts() -> None:
    teacher = {text: np.full(3, i, np.float16) for i, text in enumerate(("q", "d1", "d2"))}
    ids: dict[Text, list[int]] = {("query", "q"): [1], ("document", "d1"): [2]}
    ids["document", "d2"] = [3]
    rows = Rows(ids, teacher, {"q": frozenset({"d1"})})
    tensors = collate(Batch(("q",), ("d2", "d1"), ((1,),)), rows)
    assert tensors["query_teacher"].tolist() == [[0.0] * 3]
    assert tensors["document_teacher"].tolist() == [[2.0] * 3, [1.0] * 3]
    assert tensors["document_teacher"].dtype == torch.float32
