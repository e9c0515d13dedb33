"""The gauge sees a model that ignores its thoughts, and one that lives by them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_checkpoint

from thought1.evaluation.thoughts.faithfulness import (
    Faithfulness,
    JudgedQuestions,
    ThoughtFigures,
    derangement,
    measure_faithfulness,
)
from thought1.t1 import T1
from thought1.types import Generation, Sampling, Thought1Error, Vectors

D = 64
Ids = tuple[int, ...]


def direction(key: object) -> Vectors:
    """One random unit vector (D,) for each key."""
    seed = int.from_bytes(repr(key).encode(), "big")
    vector = np.random.default_rng(seed).standard_normal(D)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class ScriptedEngine:
    """Thinks what it is told, and makes vectors from (number of the question, thought)."""

    dim = D

    def __init__(
        self, prompts: list[Ids], thoughts: list[Ids], vector: Callable[[int, Ids], Vectors]
    ) -> None:
        self.prompts, self.thoughts, self.vector = prompts, thoughts, vector
        self.embedded: list[tuple[int, Ids]] = []

    def embed(self, prefix: Sequence[int], rows: Sequence[Sequence[int]]) -> Vectors:
        found = [self.split((*prefix, *row)) for row in rows]
        self.embedded += found
        return np.stack([self.vector(*one) for one in found])

    def split(self, sequence: Ids) -> tuple[int, Ids]:
        for i, prompt in enumerate(self.prompts):
            if sequence[: len(prompt)] == prompt:
                return i, sequence[len(prompt) : -1]
        raise AssertionError("no known prompt")

    def generate(
        self,
        prefix: Sequence[int],
        rows: Sequence[Sequence[int]],
        budgets: Sequence[int],
        sampling: Sampling,
        **_: Any,
    ) -> list[Generation]:
        done = []
        for row, budget in zip(rows, budgets, strict=True):
            i = self.prompts.index((*prefix, *row))
            ids = self.thoughts[i][:budget]
            reason = "budget" if len(ids) == budget else "emb_token"
            done.append(Generation(ids, reason, self.vector(i, ids)))
        return done


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> T1:
    folder = make_checkpoint(tmp_path_factory.mktemp("faithfulness") / "qwen3")
    return T1.from_pretrained(folder, device="cpu")


def questions(n: int) -> dict[str, str]:
    return {f"q{i:03}": f"question {i:03} about water?" for i in range(n)}


def script(
    tiny: T1, n: int, thoughts: list[Ids], vector: Callable[[int, Ids], Vectors]
) -> tuple[T1, ScriptedEngine]:
    """A T1 with the tiny model's tokenizer and templates, whose engine follows a script."""
    own = tiny.settings
    rendered = tiny.renderer.render(own.query, list(questions(n).values()), own.max_query_tokens)
    prompts = [(*rendered.prefix, *row) for row in rendered.rows]
    engine = ScriptedEngine(prompts, thoughts, vector)
    return T1(tiny.checkpoint, engine), engine  # type: ignore[arg-type]


def judged(vectors: Sequence[Vectors], **others: object) -> JudgedQuestions:
    """Question i is answered by document i alone."""
    n = len(vectors)
    ids = [f"d{i}" for i in range(n)]
    qrels = {query: {ids[i]: 1} for i, query in enumerate(questions(n))}
    return JudgedQuestions(questions(n), qrels, ids, np.stack(vectors), **others)


def by_prompt(i: int, thought: Ids) -> Vectors:
    return direction(("prompt", i))


@cache
def by_thought(i: int, thought: Ids) -> Vectors:
    return direction(("thought", thought))


def plan(tiny: T1, n: int) -> list[Ids]:
    """A thought of its own for each question, which differs from the others early on."""
    return [
        tuple(ids) for ids in tiny.renderer.text([f"{i:03}" + " salt" * (i % 4) for i in range(n)])
    ]


# -- provoked cases ------------------------------------------------------------------------------


def test_a_model_that_ignores_its_thoughts_is_called_out(tiny: T1) -> None:
    model, _ = script(tiny, 40, plan(tiny, 40), by_prompt)
    found = measure_faithfulness(model, judged([by_prompt(i, ()) for i in range(40)]), 32)
    assert {name: row.ndcg for name, row in found.rows.items()} == dict.fromkeys(found.rows, 1.0)
    assert found.rows["swapped"].cosine == pytest.approx(1)
    assert found.ignores_thoughts
    assert found.warning.startswith("the model ignores its thoughts")
    assert "the vectors hardly depend on the thoughts" in found.warning
    assert found.table()[-1] == f"WARNING: {found.warning}"


def test_a_model_that_lives_by_its_thoughts_is_not(tiny: T1) -> None:
    thoughts = plan(tiny, 40)
    model, _ = script(tiny, 40, thoughts, by_thought)
    found = measure_faithfulness(model, judged([by_thought(0, t) for t in thoughts]), 32)
    assert found.rows["own"].ndcg == 1
    for other in ("empty", "random", "swapped", "repeated"):
        assert found.rows[other].ndcg < 0.4
        assert abs(found.rows[other].cosine) < 0.3
    assert not found.ignores_thoughts
    assert found.warning == ""
    assert "WARNING" not in "\n".join(found.table())


def test_few_questions_prove_nothing(tiny: T1) -> None:
    model, _ = script(tiny, 5, plan(tiny, 5), by_prompt)
    found = measure_faithfulness(model, judged([by_prompt(i, ()) for i in range(5)]), 32)
    assert not found.ignores_thoughts
    assert found.warning.startswith("it is not shown that own thoughts retrieve better")
    assert "5 questions" in found.warning


def test_without_thoughts_there_is_nothing_to_ignore(tiny: T1) -> None:
    documents = judged([by_prompt(i, ()) for i in range(40)])
    thinking, _ = script(tiny, 40, plan(tiny, 40), by_prompt)
    silent, _ = script(tiny, 40, [()] * 40, by_prompt)
    for model, budget in ((thinking, 0), (silent, 32)):
        found = measure_faithfulness(model, documents, budget)
        assert found.mean_length == 0
        assert (found.ignores_thoughts, found.warning) == (False, "")


def reading(own: list[float], swapped: list[float], cosine: float = 0.5) -> Faithfulness:
    rows = {
        name: ThoughtFigures(c, {f"q{i}": value for i, value in enumerate(values)})
        for name, c, values in (("own", 1.0, own), ("swapped", cosine, swapped))
    }
    return Faithfulness(8, rows, mean_length=4, p95_length=8, forced=0.5, distinct=len(own))


@pytest.mark.parametrize(
    ("found", "ignores", "words"),
    [
        (reading([0.8] * 30, [0.3] * 30), False, ""),
        (reading([0.8] * 30, [0.3] * 30, 0.99), False, "the vectors hardly depend"),
        (reading([0.3] * 30, [0.3] * 30), True, "the model ignores"),
        (reading([0.3] * 30, [0.8] * 30), True, "the model ignores"),
        (reading([0.3] * 29, [0.3] * 29), False, "it is not shown"),
        # Enough questions, but they differ so much that the interval is wide.
        (reading([0.0, 1.0] * 20, [1.0, 0.0] * 20), False, "it is not shown"),
    ],
)
def test_the_verdict(found: Faithfulness, ignores: bool, words: str) -> None:
    assert found.ignores_thoughts is ignores
    assert found.warning.startswith(words)
    assert bool(found.warning) is bool(words)


# -- what is embedded ----------------------------------------------------------------------------


def test_each_kind_of_thought_is_what_its_name_says(tiny: T1) -> None:
    n, budget = 12, 5
    thoughts = plan(tiny, n)
    references = {
        query: f"reference {i}, longer than the budget" for i, query in enumerate(questions(n))
    }
    model, engine = script(tiny, n, thoughts, by_thought)
    documents = judged([by_thought(0, t) for t in thoughts], references=references)
    found = measure_faithfulness(model, documents, budget)

    # The encoder sorts within a call by length; each call embeds every question once.
    calls = [dict(engine.embedded[start : start + n]) for start in range(0, 5 * n, n)]
    assert len(engine.embedded) == 5 * n
    seen = {
        name: [call[i] for i in range(n)]
        for name, call in zip(list(found.rows)[1:], calls, strict=True)
    }
    own = [thought[:budget] for thought in thoughts]
    assert list(found.rows) == ["own", "empty", "random", "swapped", "repeated", "reference"]
    assert seen["empty"] == [()] * n
    assert [len(thought) for thought in seen["random"]] == [len(thought) for thought in own]
    assert not set(seen["random"]) & set(own)
    assert sorted(seen["swapped"]) == sorted(own)
    assert all(a != b for a, b in zip(seen["swapped"], own, strict=True))
    text = tiny.renderer.text
    assert seen["repeated"] == [tuple(ids[:budget]) for ids in text(list(questions(n).values()))]
    assert seen["reference"] == [tuple(ids) for ids in text(list(references.values()))]


def test_random_thoughts_use_all_words_and_no_special_token(tiny: T1) -> None:
    n, length = 40, 200
    model, engine = script(tiny, n, [(7,) * length] * n, by_prompt)
    measure_faithfulness(model, judged([by_prompt(i, ()) for i in range(n)]), length)
    random = {token for _, thought in engine.embedded[n : 2 * n] for token in thought}
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<emb_token>"]
    vocabulary = tiny.tokenizer.get_vocab()
    assert random == {id for token, id in vocabulary.items() if token not in special}


def test_the_gap_to_the_reference_and_the_lengths(tiny: T1) -> None:
    """Own thoughts miss, references hit."""
    n = 10
    texts = {query: f"reference {i:03}" for i, query in enumerate(questions(n))}
    hits = [by_thought(0, tuple(ids)) for ids in tiny.renderer.text(list(texts.values()))]
    thoughts = [(7,) * (i + 1) for i in range(n)]
    model, _ = script(tiny, n, thoughts, by_thought)
    found = measure_faithfulness(model, judged(hits, references=texts), 8)
    assert found.rows["reference"].ndcg == 1
    assert found.gap == 1 - found.rows["own"].ndcg > 0.5
    assert found.mean_length == pytest.approx((1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 8 + 8) / 10)
    assert found.p95_length == 8
    assert found.forced == pytest.approx(0.3)
    assert found.distinct == 8
    assert measure_faithfulness(model, judged(hits), 8).gap is None


# -- a real model --------------------------------------------------------------------------------

SAMPLED = Sampling(temperature=1.0, seed=3)


def test_a_real_model_gives_the_same_reading_for_the_same_seed(tiny: T1) -> None:
    n = 6
    texts = [f"text {i:03} about water" for i in range(n)]
    documents = judged(list(np.asarray(tiny.encode_document(texts))))
    tiny.checkpoint.model.train()  # as a trainer leaves it
    found = measure_faithfulness(tiny, documents, 6, sampling=SAMPLED, seed=1)
    assert not tiny.checkpoint.model.training
    assert found == measure_faithfulness(tiny, documents, 6, sampling=SAMPLED, seed=1)
    other = measure_faithfulness(tiny, documents, 6, sampling=SAMPLED, seed=2)
    for name in ("own", "empty", "repeated"):
        assert found.rows[name] == other.rows[name]
    for name in ("random", "swapped"):
        assert found.rows[name].cosine != other.rows[name].cosine

    own, empty = (
        np.asarray(
            tiny.encode_query(list(documents.questions.values()), budget=b, sampling=SAMPLED)
        )
        for b in (6, 0)
    )
    assert found.rows["empty"].cosine == pytest.approx(float((own * empty).sum(1).mean()), abs=1e-5)


def test_json_and_table_hold_the_numbers() -> None:
    found = reading([0.8] * 30, [0.3] * 30, 0.99)
    content = json.loads(json.dumps(found.to_json()))
    assert content["rows"]["swapped"]["ndcg@10"] == pytest.approx(0.3)
    assert content["rows"]["swapped"]["per_query"]["q29"] == 0.3
    assert content["advantages"]["swapped"] == pytest.approx({"mean": 0.5, "low": 0.5, "high": 0.5})
    assert (content["gap"], content["ignores_thoughts"]) == (None, False)
    assert content["warning"] == found.warning
    assert found.table() == [
        "thought     cosine  nDCG@10  own - this (95% interval)",
        "own          1.000    0.800",
        "swapped      0.990    0.300  +0.500 (+0.500 to +0.500)",
        "30 questions, 30 different own thoughts of 4.0 tokens on average (95th percentile 8, "
        "budget 8), 50% ended by force",
        f"WARNING: {found.warning}",
    ]


def test_at_budget_zero_own_is_empty(tiny: T1) -> None:
    documents = judged(list(np.asarray(tiny.encode_document(list(questions(4).values())))))
    found = measure_faithfulness(tiny, documents, 0)
    for name in ("empty", "random", "swapped", "repeated"):
        assert found.rows[name].cosine == pytest.approx(1, abs=1e-5)
    assert found.warning == ""


# -- input ---------------------------------------------------------------------------------------


def test_only_questions_with_a_relevant_document_count(tiny: T1) -> None:
    documents = judged([by_prompt(i, ()) for i in range(4)])
    qrels = {**documents.qrels, "q001": {"d1": 0}, "q002": {}, "elsewhere": {"d1": 1}}
    model, _ = script(tiny, 4, plan(tiny, 4), by_prompt)
    found = measure_faithfulness(model, replace(documents, qrels=qrels), 8)
    assert list(found.rows["own"].per_query) == ["q000", "q003"]
    del qrels["q003"]
    with pytest.raises(Thought1Error, match=r"1 of 4 questions .* needs two or more"):
        measure_faithfulness(model, replace(documents, qrels=qrels), 8)


def test_bad_input_is_refused(tiny: T1) -> None:
    documents = judged([by_prompt(i, ()) for i in range(3)])
    with pytest.raises(Thought1Error, match="1 questions have no reference thought, 'q002'"):
        measure_faithfulness(
            tiny, replace(documents, references={"q000": "a", "q001": "b", "q009": "c"}), 8
        )
    with pytest.raises(ValueError, match="2 document ids, 3 vectors"):
        replace(documents, document_ids=["a", "b"])


@given(n=st.integers(2, 200), seed=st.integers(0, 2**32))
def test_nothing_keeps_its_place(n: int, seed: int) -> None:
    partners = derangement(n, seed)
    assert sorted(partners) == list(range(n))
    assert all(place != partner for place, partner in enumerate(partners))
    assert partners == derangement(n, seed)


def test_one_number_cannot_move() -> None:
    with pytest.raises(ValueError, match="1 numbers have no permutation"):
        derangement(1, 0)
