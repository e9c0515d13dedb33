"""Anchored query vectors in training: those of inference, and their gradients."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reason_recipe import (
    PAIRS,
    batch_of,
    collator,
    fit,
    query_rows,
    reason,
    references,
    tiny_model,
    unpacked,
)
from torch import Tensor
from torch.nn.functional import normalize

from thought1.model.reader import anchored
from thought1.t1 import T1
from thought1.training import losses
from thought1.training.contrastive_terms import stage_terms
from thought1.training.cross_fit import sample_thoughts
from thought1.training.data.batches import Mode, sft_batch
from thought1.training.data.thoughts import SampledThoughts
from thought1.training.losses import IGNORE_INDEX
from thought1.training.model.anchor import RATE, Anchor, set_rate
from thought1.training.model.embedder import TrainedEmbedder

QUERIES = [pair.query for pair in PAIRS]
MIXED: tuple[Mode, ...] = ("none", "reference", "reference", "own")
WEIGHT = 0.7


@pytest.fixture(scope="module", params=["qwen3", "bert"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> T1:
    return with_anchor(tiny_model(tmp_path_factory.mktemp(request.param), request.param))


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> T1:
    return with_anchor(tiny_model(tmp_path_factory.mktemp("qwen3")))


def with_anchor(model: T1) -> T1:
    return model.with_settings(replace(model.settings, anchor=WEIGHT))


def sampled(model: T1, folder: Path) -> SampledThoughts:
    own = SampledThoughts(folder)
    own.write(0, sample_thoughts(model, PAIRS, reason(sampled_temperature=1.0), seed=5))
    return own


# -- the fusion ------------------------------------------------------------------------------------


def test_it_is_that_of_inference() -> None:
    generator = torch.Generator().manual_seed(0)
    bare, behind = (torch.randn(5, 8, generator=generator) * 3 for _ in range(2))
    found = losses.anchored(bare, behind, WEIGHT)
    unit = [normalize(vectors, dim=-1).numpy() for vectors in (bare, behind)]
    np.testing.assert_allclose(found.numpy(), anchored(*unit, WEIGHT), atol=1e-6)


def test_gradients_reach_both_vectors_and_the_weight() -> None:
    generator = torch.Generator().manual_seed(1)
    bare, behind = (
        torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
        for _ in range(2)
    )
    log_weight = torch.tensor(-0.3, dtype=torch.float64, requires_grad=True)

    def fused(*inputs: Tensor) -> Tensor:
        return losses.anchored(inputs[0], inputs[1], inputs[2].exp())

    assert torch.autograd.gradcheck(fused, (bare, behind, log_weight))
    grads = torch.autograd.grad(fused(bare, behind, log_weight)[:, 0].sum(), [bare, behind])
    assert all(float(grad.abs().min()) > 0 for grad in grads)
    (same,) = torch.autograd.grad(fused(bare, bare, log_weight)[:, 0].sum(), [log_weight])
    assert abs(float(same)) < 1e-12, "where nothing was thought, the weight changes nothing"


def test_a_learnt_weight_has_its_own_rate() -> None:
    anchor, layer = Anchor(WEIGHT, learnt=True), torch.nn.Linear(2, 2)
    assert anchor.value == pytest.approx(WEIGHT)
    parameters = [*layer.parameters(), *anchor.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.1)
    set_rate(optimizer, anchor)
    usual, own = optimizer.param_groups
    assert own["params"] == [anchor.log_weight]
    assert (own["lr"], own["weight_decay"], usual["lr"]) == (RATE, 0.0, 1e-4)
    assert len(usual["params"]) == 2


# -- batches ---------------------------------------------------------------------------------------


def test_prompts_alone_stand_beside_thoughts(model: T1, tmp_path: Path) -> None:
    """Where nothing is thought, the row itself is the anchor."""
    own = sampled(model, tmp_path)
    collate = collator(model, own, anchored=True)
    inputs = collate([batch_of(MIXED)])
    plain = collator(model, own)([batch_of(MIXED)])
    rows, labels = unpacked(inputs), unpacked(inputs, "labels")
    emb_id = model.checkpoint.emb_id
    prompts = [[*collate.thoughts.prompts[pair.query_id], emb_id] for pair in PAIRS]
    anchors = inputs["anchor_indices"].tolist()
    assert [rows[place] for place in anchors] == prompts
    assert query_rows(inputs) == query_rows(plain)
    assert anchors[0] == inputs["query_indices"][0]
    assert not set(anchors[1:]) & set(inputs["query_indices"].tolist())
    assert all(label == IGNORE_INDEX for place in anchors for label in labels[place])
    assert len(rows) == len(unpacked(plain)) + 3

    def learnt(rows: list[list[int]]) -> list[int]:
        return sorted(label for row in rows for label in row if label != IGNORE_INDEX)

    assert learnt(labels) == learnt(unpacked(plain, "labels"))


def test_an_empty_thought_of_its_own_is_no_thought(qwen3: T1, tmp_path: Path) -> None:
    own = SampledThoughts(tmp_path)
    thoughts = sample_thoughts(qwen3, PAIRS, reason(), seed=5)
    own.write(0, {**thoughts, "d": replace(thoughts["d"], token_ids=())})
    inputs = collator(qwen3, own, language=False, anchored=True)([batch_of(("own",) * 4)])
    assert inputs["anchor_indices"][3] == inputs["query_indices"][3]
    assert len(unpacked(inputs)) == 7


# -- vectors ---------------------------------------------------------------------------------------


def fused(model: T1, inputs: dict[str, Tensor], anchor: Anchor, *, language: bool) -> Tensor:
    """What the terms read: the query vectors of a batch."""
    seen: list[Tensor] = []

    class Noted(Anchor):
        def fused(self, bare_QD: Tensor, behind_QD: Tensor) -> Tensor:
            seen.append(anchor.fused(bare_QD, behind_QD))
            return seen[0]

    embedder = TrainedEmbedder(model.checkpoint.model, language=language, anchor=anchor)
    names = ("ids", "segments", "labels")
    vectors, _ = embedder(*(inputs.get(f"query_{name}") for name in names))
    documents, _ = embedder(inputs["document_ids"], inputs["document_segments"])
    stage_terms(reason(), vectors, documents, inputs, Noted(1.0))
    return seen[0]


@pytest.mark.parametrize("language", [True, False])
def test_training_reads_what_the_model_gives(model: T1, tmp_path: Path, language: bool) -> None:
    """Behind none: budget 0; behind a reference: `thoughts=`; behind own: of the generation."""
    own = sampled(model, tmp_path)
    thoughts = sample_thoughts(model, PAIRS, reason(sampled_temperature=1.0), seed=5)
    inputs = collator(model, own, language=language, anchored=True)([batch_of(MIXED)])
    assert inputs["query_segments"].max() > 1, "rows are packed"
    behind = list(references(model).values())
    expected = np.stack(
        [
            np.asarray(model.encode_query(QUERIES[0], budget=0)),
            *np.asarray(model.encode_query(QUERIES[1:3], thoughts=behind[:2])),
            np.asarray(thoughts["d"].vector),
        ]
    )
    for anchor in (Anchor(WEIGHT), Anchor(WEIGHT, learnt=True)):
        found = fused(model, inputs, anchor, language=language).detach().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)
    without = model.with_settings(replace(model.settings, anchor="none"))
    other = np.asarray(without.encode_query(QUERIES[1:3], thoughts=behind[:2]))
    assert np.abs(other - expected[1:3]).max() > 1e-2, "the anchor must show"


def plain_queries(model: T1, collate: Any, modes: Sequence[Mode]) -> Tensor:
    """The fused vectors by the network itself, a sequence at a time."""
    network, emb_id = model.checkpoint.model.base_model, model.checkpoint.emb_id
    found = []
    for pair, mode in zip(PAIRS, modes, strict=True):
        prompt = list(collate.thoughts.prompts[pair.query_id])
        thought = list(collate.thoughts.references[pair.query_id].ids) if mode != "none" else []
        bare, behind = (
            normalize(network(input_ids=torch.tensor([ids])).last_hidden_state[0, -1], dim=0)
            for ids in ([*prompt, emb_id], [*prompt, *thought, emb_id])
        )
        found.append(normalize(WEIGHT * bare + behind, dim=0))
    return torch.stack(found)


def test_the_gradient_is_that_of_both_sequences(model: T1, tmp_path: Path) -> None:
    modes: tuple[Mode, ...] = ("none", "reference", "reference", "reference")
    collate = collator(model, SampledThoughts(tmp_path), language=False, anchored=True)
    network = model.checkpoint.model.train()
    inputs = collate([batch_of(modes)])
    generator = torch.Generator().manual_seed(2)
    documents = torch.randn(4, model.dim, generator=generator)

    def gradients(queries: Tensor) -> list[Tensor]:
        network.zero_grad()
        loss = losses.info_nce(queries, documents, inputs["positives"], temperature=0.2)
        loss.backward()  # type: ignore[no-untyped-call]
        return [p.grad.clone() for p in network.base_model.parameters() if p.grad is not None]

    expected = gradients(plain_queries(model, collate, modes))
    found = gradients(fused(model, inputs, Anchor(WEIGHT), language=False))
    for ours, theirs in zip(found, expected, strict=True):
        # Two of 12,512 numbers are up to 5.5e-5 apart under AVX2 (Qwen3).
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    network.zero_grad()
    network.eval()


def test_without_an_anchor_nothing_changes(qwen3: T1, tmp_path: Path) -> None:
    """Tensors, loss and gradients, bit for bit, and no parameter more."""
    plain = qwen3.with_settings(replace(qwen3.settings, anchor=""))
    collate = collator(plain, sampled(plain, tmp_path))
    inputs = collate([batch_of(MIXED)])
    assert not any("anchor" in name for name in inputs)
    network = plain.checkpoint.model
    embedder = TrainedEmbedder(network, language=True)
    assert [f"network.{name}" for name, _ in network.named_parameters()] == [
        name for name, _ in embedder.named_parameters()
    ]

    def step(terms: bool) -> tuple[Tensor, list[Tensor]]:
        embedder.zero_grad()
        names = ("ids", "segments", "labels")
        queries, language = embedder(*(inputs[f"query_{name}"] for name in names))
        documents, _ = embedder(inputs["document_ids"], inputs["document_segments"])
        if terms:
            (contrast,) = stage_terms(reason(), queries, documents, inputs).values()
        else:
            contrast = losses.info_nce(
                queries[inputs["query_indices"]],
                documents,
                inputs["positives"],
                temperature=reason().temperature,
                ignore_QN=inputs["answers"],
            )
        loss = contrast + language
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), [p.grad.clone() for p in embedder.parameters() if p.grad is not None]

    loss, gradients = step(terms=True)
    plain_loss, plain_gradients = step(terms=False)
    assert torch.equal(loss, plain_loss)
    assert len(gradients) == len(plain_gradients) > 0
    assert all(map(torch.equal, gradients, plain_gradients))
    embedder.zero_grad()


# -- the trainer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("accumulation", "chunk"), [(1, 2), (2, 1), (1, 64)])
def test_grad_cache_equals_the_plain_step(
    qwen3: T1, tmp_path: Path, accumulation: int, chunk: int
) -> None:
    """Although an anchor and what it anchors may lie in different chunks; its weight moves too."""
    collate = collator(qwen3, sampled(qwen3, tmp_path), anchored=True)
    batches = [batch_of(MIXED), batch_of(("own",) * 4), batch_of(("none",) * 4)]
    settings = reason(weight_triplet=2.0, accumulation=accumulation)
    found, logs, weights = [], [], []
    for stage in (settings, replace(settings, grad_cache_chunk=chunk)):
        anchor = Anchor(WEIGHT, learnt=True)
        after, log = fit(qwen3, stage, batches[: accumulation + 1], collate, tmp_path, anchor)
        found.append(after)
        logs.append(log)
        weights.append(anchor.value)
    assert set(found[0]) == set(found[1]) and "anchor.log_weight" in found[0]
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=0, atol=2e-6)
    assert abs(weights[0] - WEIGHT) > 1e-5
    assert weights[0] == pytest.approx(weights[1], abs=1e-6)
    for name in ("loss", "loss_contrastive", "loss_triplet", "loss_language", "anchor"):
        values = [[entry[name] for entry in log] for log in logs]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-4, atol=1e-4)


def test_batches_without_queries_leave_the_weight(qwen3: T1, tmp_path: Path) -> None:
    """Its gradient is 0, but there: of several processes none waits for it."""
    collate = collator(qwen3, SampledThoughts(tmp_path), anchored=True)
    inputs = collate([sft_batch([pair.query_id for pair in PAIRS[1:]])])
    anchor = Anchor(WEIGHT, learnt=True)
    assert anchor.log_weight is not None
    names = ("query_ids", "query_segments", "query_labels")
    for labels in (inputs["query_labels"], None):
        anchor.zero_grad()
        embedder = TrainedEmbedder(qwen3.checkpoint.model, language=True, anchor=anchor)
        vectors, loss = embedder(*(inputs[name] for name in names[:2]), labels)
        (loss + 0 * vectors.sum()).backward()
        assert anchor.log_weight.grad is not None and float(anchor.log_weight.grad) == 0
        embedder.zero_grad()
