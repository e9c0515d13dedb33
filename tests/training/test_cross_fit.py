"""Folds: nobody writes about a question whose reference thought it has been taught."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from reason_recipe import MOST, PAIRS, collator, reason, references, tiny_model
from transformers import TrainingArguments

from thought1.t1 import T1
from thought1.training import cross_fit
from thought1.training.cross_fit import fold_of, sample_by_folds, sample_thoughts
from thought1.training.data.sources import TrainingPair
from thought1.training.data.thoughts import SampledThoughts
from thought1.training.reason import cross_fit as fold_training
from thought1.training.reason.cross_fit import fold_writer
from thought1.training.recipe import ReasonStage
from thought1.types import Thought

ANSWERS = ("salt", "ice water", "a kettle", "100 degrees", "winter", "roads", "heat", "solids")
QUESTIONS = [
    TrainingPair(str(i), f"What is number {i}?", (f"Number {i}.",), answer)
    for i, answer in enumerate(ANSWERS)
]
SETTINGS = reason(
    sampled_folds=2,
    fold_epochs=60.0,
    queries_per_batch=8,
    learning_rate=1e-2,
    sampled_temperature=0.0,
    share_sampled_end=0.5,
)
"""Enough to know all references by heart; greedy thoughts then tell what is known."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> T1:
    return tiny_model(tmp_path_factory.mktemp("qwen3"))


def run(
    model: T1,
    folder: Path,
    settings: ReasonStage = SETTINGS,
    pairs: Sequence[TrainingPair] = QUESTIONS,
    rounds: frozenset[int] = frozenset({0}),
) -> SampledThoughts:
    own = SampledThoughts(folder)
    args = TrainingArguments(
        output_dir=str(folder),
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup_ratio,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        per_device_train_batch_size=1,
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        use_cpu=True,
        save_strategy="no",
        remove_unused_columns=False,
    )
    writer = fold_writer(model, settings, 7, collator(model, own, pairs), args)
    sample_by_folds(settings, pairs, own, rounds, 7, writer)
    return own


def ids(thoughts: dict[str, Thought], pairs: Sequence[TrainingPair]) -> list[tuple[int, ...]]:
    return [thoughts[pair.query_id].token_ids for pair in pairs]


@pytest.mark.numerics
def test_what_a_writer_was_taught_it_knows_and_what_it_writes_about_it_does_not(
    model: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[T1, list[TrainingPair]]] = []

    def noted(writer: T1, about: Sequence[TrainingPair], stage: ReasonStage, seed: int) -> object:
        asked.append((writer, list(about)))
        return sample_thoughts(writer, about, stage, seed)

    monkeypatch.setattr(cross_fit, "sample_thoughts", noted)
    weights = [parameter.detach().clone() for parameter in model.checkpoint.model.parameters()]
    own = run(model, tmp_path)
    known = references(model, QUESTIONS)
    assert len(asked) == 2
    assert sorted(pair.query_id for _, about in asked for pair in about) == list("01234567")
    for writer, about in asked:
        rest = [pair for pair in QUESTIONS if pair not in about]
        assert about and rest
        # By heart, down to where the thought ends.
        assert ids(sample_thoughts(writer, rest, SETTINGS, 0), rest) == ids(known, rest)
        written = [tuple(own.read(0)[pair.query_id]) for pair in about]
        assert written == ids(sample_thoughts(writer, about, SETTINGS, 7), about)
        assert not set(written) & set(ids(known, about))
    after = list(model.checkpoint.model.parameters())
    assert all(torch.equal(*both) for both in zip(weights, after, strict=True))
    assert all(parameter.grad is None for parameter in after)


BRIEF = replace(SETTINGS, fold_epochs=2.0, sampled_temperature=1.0)


def test_the_same_questions_get_the_same_thoughts(model: T1, tmp_path: Path) -> None:
    rounds = frozenset({0, 2})
    found = [run(model, tmp_path / name, BRIEF, rounds=rounds) for name in ("one", "two")]
    for number in rounds:
        assert found[0].path(number).read_text() == found[1].path(number).read_text()
    assert found[0].read(0) != found[0].read(2)
    assert found[0].read(0).keys() == found[0].read(2).keys() == {*"01234567"}
    assert not found[0].path(1).exists()


def test_what_is_there_is_not_written_again(
    model: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = run(model, tmp_path, BRIEF, rounds=frozenset({0, 1}))
    whole = {number: own.path(number).read_text() for number in (0, 1)}
    with monkeypatch.context() as patch:
        patch.setattr(fold_training, "_trained", lambda *_: pytest.fail("taught again"))
        run(model, tmp_path, BRIEF, rounds=frozenset({0, 1}))
    own.path(1).unlink()  # killed between the two
    run(model, tmp_path, BRIEF, rounds=frozenset({0, 1}))
    assert {number: own.path(number).read_text() for number in (0, 1)} == whole


def test_a_fold_that_holds_all_references_has_an_untaught_writer(model: T1, tmp_path: Path) -> None:
    pairs = [PAIRS[0], PAIRS[3]]  # the first has no reference
    own = run(model, tmp_path, replace(SETTINGS, fold_epochs=3.0), pairs)
    about = PAIRS[3]
    expected = model.think([about.query], budget=MOST, sampling=None)[0].token_ids
    assert tuple(own.read(0)[about.query_id]) == expected


def test_folds_are_of_like_size_and_stay() -> None:
    questions = [f"question {i}" for i in range(3000)]
    sizes = [[fold_of(question, 3) for question in questions].count(fold) for fold in range(3)]
    assert sum(sizes) == 3000
    assert min(sizes) > 900
    # Not Python's hash, which differs from run to run.
    assert [fold_of(q, 5) for q in ("a", "b", "c", "Why?")] == [4, 0, 3, 4]


def test_equal_questions_with_other_ids_are_held_out_together(
    model: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = [replace(pair, query_id=f"again {pair.query_id}") for pair in QUESTIONS]
    seen: list[tuple[set[str], set[str]]] = []
    taught = fold_training._trained

    def noted(model: T1, pairs: Sequence[TrainingPair], *rest: Any) -> T1:
        texts = {pair.query for pair in pairs}
        seen.append((texts, {pair.query for pair in QUESTIONS} - texts))
        return taught(model, pairs, *rest)

    monkeypatch.setattr(fold_training, "_trained", noted)
    run(model, tmp_path, BRIEF, [*QUESTIONS, *twice])
    assert len(seen) == 2
    assert seen[0][0] == seen[1][1] and seen[0][1] == seen[1][0]
