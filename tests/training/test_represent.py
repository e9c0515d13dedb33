"""Stage 1: the trainer's vectors are the model's, every term works, GradCache changes nothing."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import TEXTS, make_checkpoint
from torch import Tensor
from torch.nn.functional import normalize
from transformers import TrainingArguments

from thought1.t1 import T1
from thought1.training import losses
from thought1.training.contrastive_terms import Inputs, stage_terms
from thought1.training.data.batches import Batch, BatchPlan, plan_pairs
from thought1.training.data.collate import Collator
from thought1.training.data.sources import Role, TrainingData, TrainingPair
from thought1.training.data.tokens import tokenize
from thought1.training.model.base_model import switch_dropout_off
from thought1.training.model.embedder import TrainedEmbedder
from thought1.training.recipe import RepresentStage
from thought1.training.trainer import StageTrainer, total

PAIRS = [
    TrainingPair("1", "Why do bridges have gaps?", (TEXTS[0], "Iron grows longer when it is hot.")),
    TrainingPair("2", "What breaks ice?", (TEXTS[1],)),
    TrainingPair("3", "How is temperature measured?", (TEXTS[2],)),
    TrainingPair("4", "Why salt on roads?", (TEXTS[3],)),
]
DIM = 32
RATE = 1e-4
"""The tiny models' gradients are hundreds long: a step of this rate is small, but no rounding."""
OFF = {"weight_contrastive": 0.0}
WEIGHTS = ("weight_contrastive", "weight_triplet", "weight_distill", "weight_distill_similarity")


def stage(**settings: Any) -> RepresentStage:
    return RepresentStage("test", (), **settings)


def only(name: str, weight: float = 1.0, **settings: Any) -> RepresentStage:
    """One term alone."""
    return stage(**{**OFF, name: weight}, **settings)


def load(folder: Path, architecture: str) -> T1:
    make_checkpoint(folder, architecture)
    model = T1.from_pretrained(folder, dtype="float32", device="cpu")
    switch_dropout_off(model.checkpoint.model)
    return model


@pytest.fixture(scope="module", params=["qwen3", "bert"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> T1:
    return load(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> T1:
    return load(tmp_path_factory.mktemp("qwen3"), "qwen3")


# -- the vectors ---------------------------------------------------------------------------


def encoded(model: T1, role: Role, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Ids and segments of texts, as a batch of single texts has them."""
    held = tuple(texts)
    rows = tokenize(model, TrainingData(texts=[(role, text) for text in held]), {})
    batch = Batch(queries=held) if role == "query" else Batch(documents=held)
    tensors = Collator(rows)([batch])
    return tensors[f"{role}_ids"], tensors[f"{role}_segments"]


@pytest.mark.parametrize("role", ["query", "document"])
def test_training_sees_the_vectors_of_the_model(model: T1, role: Role) -> None:
    texts = [*TEXTS, "short", "<emb_token> [SEP] in a text", "long " * 400]
    ids, segments = encoded(model, role, texts)
    assert not segments.all()
    with torch.no_grad():
        vectors = normalize(
            TrainedEmbedder(model.checkpoint.model).train()(ids, segments)[0], dim=-1
        )
    if role == "query":
        expected = model.encode_query(texts, budget=0)
    else:
        expected = model.encode_document(texts)
    np.testing.assert_allclose(vectors.numpy(), expected, atol=1e-5)


def test_a_batch_without_padding(model: T1) -> None:
    ids, segments = encoded(model, "document", TEXTS[:1])
    assert segments.all()
    vectors = TrainedEmbedder(model.checkpoint.model)(ids, segments)[0]
    assert vectors.dtype == torch.float32
    expected = model.encode_document(TEXTS[:1])
    np.testing.assert_allclose(normalize(vectors, dim=-1).detach().numpy(), expected, atol=1e-5)


def test_every_weight_but_the_language_head_is_trained(model: T1) -> None:
    whole = copy.deepcopy(model.checkpoint.model)
    embedder = TrainedEmbedder(whole)
    embedder(*encoded(model, "document", TEXTS))[0].sum().backward()
    own = {id(parameter) for parameter in embedder.parameters()}
    assert all(parameter.grad is not None for parameter in embedder.parameters())
    assert all(p.grad is None for p in whole.parameters() if id(p) not in own)


def stage_loss(stage: RepresentStage, queries: Tensor, documents: Tensor, inputs: Inputs) -> Tensor:
    return total(stage_terms(stage, queries, documents, inputs), queries, documents)


# -- the terms -----------------------------------------------------------------------------


def inputs_of(queries: int = 3, documents: int = 5, teacher: bool = True) -> dict[str, Tensor]:
    """Query q answers document q; document 3 is an answer of query 0 that was not drawn."""
    positives = torch.eye(queries, documents, dtype=torch.bool)
    answers = positives.clone()
    answers[0, 3] = True
    tensors = {"positives": positives, "answers": answers}
    if teacher:
        generator = torch.Generator().manual_seed(13)
        for role, count in (("query", queries), ("document", documents)):
            tensors[f"{role}_teacher"] = torch.randn(count, 6, generator=generator)
    return tensors


def vectors_of(queries: int = 3, documents: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(queries, 6, generator=generator).requires_grad_(),
        torch.randn(documents, 6, generator=generator).requires_grad_(),
    )


def pushed(documents: Tensor) -> list[bool]:
    """Which documents got a gradient."""
    assert documents.grad is not None
    flags: list[bool] = documents.grad.any(1).tolist()
    return flags


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_scales_its_term(name: str) -> None:
    queries, documents = vectors_of()
    one = stage_loss(only(name), queries, documents, inputs_of())
    assert one > 0
    triple = stage_loss(only(name, 3.0), queries, documents, inputs_of())
    torch.testing.assert_close(triple, 3 * one)


def test_the_loss_is_the_sum_of_its_terms() -> None:
    queries, documents = vectors_of()
    values = dict(zip(WEIGHTS, (1.0, 0.5, 2.0, 0.3), strict=True))
    together = stage_loss(stage(**values), queries, documents, inputs_of())
    apart = [
        stage_loss(only(name, value), queries, documents, inputs_of())
        for name, value in values.items()
    ]
    torch.testing.assert_close(together, torch.stack(apart).sum())


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ({"temperature": 0.5}, "weight_contrastive"),
        ({"triplet_margin": 0.9}, "weight_triplet"),
        ({"distill_temperature": 0.5}, "weight_distill_similarity"),
    ],
)
def test_a_setting_of_a_term_changes_it(setting: dict[str, float], name: str) -> None:
    queries, documents = vectors_of()
    usual = stage_loss(only(name), queries, documents, inputs_of())
    assert stage_loss(only(name, **setting), queries, documents, inputs_of()) != usual


def test_contrastive_is_info_nce_without_the_known_answers() -> None:
    queries, documents = vectors_of()
    inputs = inputs_of(teacher=False)
    found = stage_loss(stage(temperature=0.07), queries, documents, inputs)
    positives, answers = inputs["positives"], inputs["answers"]
    naive = losses.info_nce(queries, documents, positives, temperature=0.07)
    masked = losses.info_nce(queries, documents, positives, temperature=0.07, ignore_QN=answers)
    torch.testing.assert_close(found, masked)
    assert found != naive


@pytest.mark.parametrize("name", ["weight_contrastive", "weight_triplet"])
def test_a_known_answer_is_not_pushed_away(name: str) -> None:
    queries, documents = vectors_of(queries=1)
    with torch.no_grad():
        documents[3] = queries[0]  # it would be the hardest negative of all
    settings = only(name, triplet_margin=2.0)
    stage_loss(settings, queries, documents, inputs_of(1, teacher=False)).backward()
    flags = pushed(documents)
    assert flags[0] and any(flags[1:])
    assert not flags[3]


MARGINS = (0.01, 0.3, 5.0)


@pytest.mark.parametrize("margin", MARGINS)
def test_what_the_teacher_rates_too_high_is_no_negative(margin: float) -> None:
    queries, documents = vectors_of(queries=1)
    inputs = inputs_of(queries=1)
    rated = losses.cosine(inputs["query_teacher"], inputs["document_teacher"])[0]
    stage_loss(stage(false_negative_margin=margin), queries, documents, inputs).backward()
    negatives = [n for n in range(5) if n not in (0, 3) and rated[n] <= rated[0] - margin]
    # Without any negative the query teaches nothing at all.
    expected = {0, *negatives} if negatives else set()
    assert {n for n, flag in enumerate(pushed(documents)) if flag} == expected


def test_the_margins_of_that_test_differ() -> None:
    inputs = inputs_of(queries=1)
    rated = losses.cosine(inputs["query_teacher"], inputs["document_teacher"])[0]
    marked = [int((rated[[1, 2, 4]] > rated[0] - margin).sum()) for margin in MARGINS]
    assert marked == [1, 2, 3]


def test_triplets_take_the_hardest_negative_of_each_query() -> None:
    queries, documents = vectors_of()
    inputs = inputs_of(teacher=False)
    scores = losses.cosine(queries, documents).detach()
    expected = []
    for q in range(3):
        hardest = max(scores[q, n] for n in range(5) if not inputs["answers"][q, n])
        expected.append(torch.relu(0.4 - scores[q, q] + hardest))
    found = stage_loss(only("weight_triplet", triplet_margin=0.4), queries, documents, inputs)
    torch.testing.assert_close(found.detach(), torch.stack(expected).mean())


def test_a_query_without_negatives_makes_no_triplet() -> None:
    queries, documents = vectors_of(queries=2, documents=3)
    positives = torch.tensor([[False, True, False], [False, False, True]])
    answers = torch.tensor([[True, True, True], [False, False, True]])
    inputs = {"positives": positives, "answers": answers}
    settings = only("weight_triplet", triplet_margin=3.0)
    found = stage_loss(settings, queries, documents, inputs)
    found.backward()
    scores = losses.cosine(queries, documents).detach()
    torch.testing.assert_close(found.detach(), 3.0 - scores[1, 2] + scores[1, :2].max())
    assert queries.grad is not None and not queries.grad[0].any()


def test_distillation_pulls_single_texts_towards_the_teacher() -> None:
    _, documents = vectors_of()
    teacher = inputs_of()["document_teacher"]
    nothing = torch.zeros(0, 1)
    loss = stage_loss(only("weight_distill"), nothing, documents, {"document_teacher": teacher})
    expected = 1 - torch.cosine_similarity(documents, teacher).mean()
    torch.testing.assert_close(loss, expected)


def test_similarities_are_distilled_between_the_halves_of_a_batch() -> None:
    queries, _ = vectors_of(queries=5)
    generator = torch.Generator().manual_seed(3)
    teacher = torch.randn(5, 9, generator=generator)  # another dimension than the student's
    settings = only("weight_distill_similarity", distill_temperature=0.2)
    inputs = {"query_teacher": teacher}
    loss = stage_loss(settings, queries, torch.zeros(0, 1), inputs)
    expected = losses.similarity_distillation(
        queries[:2], queries[2:], teacher[:2], teacher[2:], 0.2
    )
    torch.testing.assert_close(loss, expected)


def test_a_single_text_has_no_similarity_and_costs_nothing() -> None:
    queries, _ = vectors_of(queries=1)
    inputs = {"query_teacher": torch.ones(1, 6)}
    loss = stage_loss(only("weight_distill_similarity"), queries, torch.zeros(0, 1), inputs)
    loss.backward()
    assert loss == 0
    assert queries.grad is not None and not queries.grad.any()


# -- the trainer -----------------------------------------------------------------------------


def fit(
    model: T1,
    settings: RepresentStage,
    batches: Sequence[Batch],
    folder: Path,
    *,
    adam: bool = False,
) -> tuple[dict[str, Tensor], list[float]]:
    """Parameters after training a copy of the model, and the losses of its steps.

    Plain gradient descent by default: Adam's first steps would blow rounding errors up to the
    size of the learning rate.
    """
    backbone = copy.deepcopy(model.checkpoint.model)
    embedder = TrainedEmbedder(backbone)
    teacher = {}
    if settings.needs_teacher:
        generator = np.random.default_rng(0)
        texts = {text for batch in batches for text in batch.queries + batch.documents}
        teacher = {
            text: generator.standard_normal(DIM).astype(np.float16) for text in sorted(texts)
        }
    rows = tokenize(model, TrainingData(PAIRS), teacher)
    optimizer = None if adam else torch.optim.SGD(embedder.parameters(), lr=RATE)
    trainer = StageTrainer(
        stage=settings,
        model=embedder,
        args=TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=1,
            gradient_accumulation_steps=settings.accumulation,
            num_train_epochs=1,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            bf16=settings.bf16,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            remove_unused_columns=False,
            disable_tqdm=True,
            train_sampling_strategy="sequential",
        ),
        train_dataset=BatchPlan(batches),
        data_collator=Collator(rows),
        optimizers=(optimizer, None),
    )
    trainer.train()
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {name: p.detach() for name, p in embedder.named_parameters()}, logged


def some_batches(count: int) -> list[Batch]:
    settings = stage(queries_per_batch=3, positives_per_query=2)
    return [plan_pairs(PAIRS, settings, seed)[0] for seed in range(count)]


@pytest.mark.numerics
@pytest.mark.parametrize("name", WEIGHTS)
def test_every_term_can_be_overfitted(qwen3: T1, tmp_path: Path, name: str) -> None:
    settings = only(name, bf16=False, learning_rate=5e-3, triplet_margin=0.5)
    _, logged = fit(qwen3, settings, some_batches(1) * 20, tmp_path, adam=True)
    assert len(logged) == 20
    # At most 0.07 under three instruction sets; of one and the same batch, so 1 without learning.
    assert logged[-1] < 0.5 * logged[0]


@pytest.mark.parametrize(
    ("accumulation", "chunk"), [(1, 2), (2, 1), (1, 64)], ids=lambda value: str(value)
)
def test_grad_cache_equals_the_plain_step(
    model: T1, tmp_path: Path, accumulation: int, chunk: int
) -> None:
    weights = {"weight_triplet": 0.5, "weight_distill": 1.0, "weight_distill_similarity": 0.3}
    # An odd number of batches: the last step has fewer of them than the others.
    batches = some_batches(3 if accumulation > 1 else 1)
    plain_stage = stage(**weights, bf16=False, accumulation=accumulation)
    cached_stage = stage(**weights, bf16=False, accumulation=accumulation, grad_cache_chunk=chunk)
    plain, plain_losses = fit(model, plain_stage, batches, tmp_path)
    cached, cached_losses = fit(model, cached_stage, batches, tmp_path)
    assert len(plain_losses) == (len(batches) + accumulation - 1) // accumulation
    np.testing.assert_allclose(cached_losses, plain_losses, atol=1e-5)
    for name, value in plain.items():
        torch.testing.assert_close(cached[name], value, rtol=0, atol=1e-6)
    start = TrainedEmbedder(model.checkpoint.model).named_parameters()
    moves = [float((plain[name] - value).detach().abs().max()) for name, value in start]
    # Far more than the tolerance above (2e-5 to 1e-4 here, 0 where nothing is trained). A bias of
    # attention keys, as BERT has it, never gets a gradient.
    assert np.median(moves) > 1e-5


def test_grad_cache_encodes_in_chunks(
    qwen3: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    forward = TrainedEmbedder.forward

    def noted(self: TrainedEmbedder, ids_BT: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append(len(ids_BT))
        return forward(self, ids_BT, *others)

    monkeypatch.setattr(TrainedEmbedder, "forward", noted)
    fit(qwen3, stage(bf16=False, grad_cache_chunk=2), some_batches(1), tmp_path)
    assert max(sizes) == 2
    sizes.clear()
    fit(qwen3, stage(bf16=False), some_batches(1), tmp_path)
    assert sizes[0] == 3


@pytest.mark.numerics
def test_accumulation_averages_the_gradients_of_its_batches(qwen3: T1, tmp_path: Path) -> None:
    batches = some_batches(2)
    start = dict(TrainedEmbedder(qwen3.checkpoint.model).named_parameters())
    together, _ = fit(qwen3, stage(bf16=False, accumulation=2), batches, tmp_path)
    first, _ = fit(qwen3, stage(bf16=False), batches[:1], tmp_path)
    second, _ = fit(qwen3, stage(bf16=False), batches[1:], tmp_path)
    for name, value in together.items():
        steps = (first[name] - start[name] + second[name] - start[name]) / 2
        torch.testing.assert_close(value, start[name] + steps, rtol=0, atol=1e-6)


@pytest.mark.numerics
def test_bfloat16_is_autocast_with_float32_weights(qwen3: T1, tmp_path: Path) -> None:
    batches = some_batches(1)
    full, _ = fit(qwen3, stage(bf16=False), batches, tmp_path)
    half, _ = fit(qwen3, stage(bf16=True), batches, tmp_path)
    chunked, _ = fit(qwen3, stage(bf16=True, grad_cache_chunk=2), batches, tmp_path)
    start = dict(TrainedEmbedder(qwen3.checkpoint.model).named_parameters())

    def steps(values: dict[str, Tensor]) -> Tensor:
        return torch.cat([(values[name] - start[name]).detach().flatten() for name in start])

    assert all(value.dtype == torch.float32 for value in half.values())
    assert not torch.equal(steps(half), steps(full))
    for found in (half, chunked):
        assert torch.cosine_similarity(steps(found), steps(full), dim=0) > 0.99
