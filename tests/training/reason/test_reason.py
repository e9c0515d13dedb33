"""Stage 2: one forward pass gives the loss of the thoughts and the vectors that T1 reads."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reason_recipe import (
    MOST,
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
from torch.nn.functional import cross_entropy, normalize
from transformers.models.qwen3.modeling_qwen3 import Qwen3MLP

from thought1.t1 import T1
from thought1.training.contrastive_terms import stage_terms
from thought1.training.cross_fit import sample_thoughts
from thought1.training.data.batches import Batch, BatchPlan, Mode, sft_batch
from thought1.training.data.collate import Collator
from thought1.training.data.sources import Rationale, TrainingData, TrainingPair
from thought1.training.data.thoughts import SampledThoughts, ThoughtCollator
from thought1.training.data.tokens import render, tokenize
from thought1.training.losses import IGNORE_INDEX
from thought1.training.model.embedder import TrainedEmbedder
from thought1.training.reason.prepare import plan_thoughts, rounds_read

QUERIES = [pair.query for pair in PAIRS]
MIXED: tuple[Mode, ...] = ("none", "reference", "reference", "own")


@pytest.fixture(scope="module", params=["qwen3", "bert"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> T1:
    return tiny_model(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> T1:
    return tiny_model(tmp_path_factory.mktemp("qwen3"))


def sampled(model: T1, folder: Path) -> SampledThoughts:
    """One round of the model's own thoughts about all questions."""
    own = SampledThoughts(folder)
    own.write(0, sample_thoughts(model, PAIRS, reason(sampled_temperature=1.0), seed=5))
    return own


def forward(
    model: T1, collate: ThoughtCollator, modes: tuple[Mode, ...]
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Vectors of the query side, its language loss, and the tensors of the batch."""
    inputs = collate([batch_of(modes)])
    embedder = TrainedEmbedder(model.checkpoint.model, language=collate.language)
    sides = [inputs.get(f"query_{name}") for name in ("ids", "segments", "labels")]
    vectors, loss = embedder(*sides)
    return vectors[inputs["query_indices"]], loss, inputs


# -- the language loss -------------------------------------------------------------------------


def plain_loss(model: T1, pairs: list[TrainingPair]) -> Tensor:
    """Cross entropy of the model's own logits, a question at a time, without this package's."""
    emb_id = model.checkpoint.emb_id
    losses = []
    for pair in pairs:
        prompt = model.renderer.render(model.settings.query, [pair.query], 256)
        thought = model.renderer.text([pair.thought])[0]
        ids = [*prompt.prefix, *prompt.rows[0], *thought[:MOST], emb_id]
        start = len(ids) - len(thought[:MOST]) - 1
        logits = model.checkpoint.model(input_ids=torch.tensor([ids])).logits[0]
        # The token behind a cut thought is not its end.
        stop = len(ids) if len(thought) <= MOST else len(ids) - 1
        targets = torch.tensor(ids[start:stop])
        losses.append(cross_entropy(logits[start - 1 : stop - 1], targets, reduction="none"))
    return torch.cat(losses).mean()


@pytest.mark.parametrize(
    "modes",
    [MIXED, ("none",) * 4, ("none", "reference", "reference", "reference"), ("own",) * 4],
    ids="-".join,
)
def test_sft_is_the_cross_entropy_of_the_reference_thoughts(
    model: T1, tmp_path: Path, modes: tuple[Mode, ...]
) -> None:
    """Whatever thought the vectors are read behind; prompts are not learnt."""
    _, loss, _ = forward(model, collator(model, sampled(model, tmp_path)), modes)
    expected = plain_loss(model, PAIRS[1:])
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)


def test_labels_are_thoughts_and_ends_alone(model: T1, tmp_path: Path) -> None:
    modes: tuple[Mode, ...] = ("none", "reference", "none", "reference")
    inputs = collator(model, SampledThoughts(tmp_path))([batch_of(modes)])
    labels = [[i for i in row if i != IGNORE_INDEX] for row in unpacked(inputs, "labels")]
    ours = inputs["query_indices"].tolist()
    whole = model.renderer.text([pair.thought for pair in PAIRS])
    assert len(whole[1]) <= MOST < len(whole[2]), "one ends, one is cut"
    emb_id = model.checkpoint.emb_id
    expected = [[], [*whole[1], emb_id], [], [*whole[3], emb_id]]
    assert [labels[place] for place in ours] == expected
    # Another row has the reference thought that no vector is read behind.
    assert [row for place, row in enumerate(labels) if place not in ours] == [whole[2][:MOST]]


def test_a_batch_without_any_reference_costs_nothing(qwen3: T1, tmp_path: Path) -> None:
    collate = collator(qwen3, SampledThoughts(tmp_path), [PAIRS[0], replace(PAIRS[1], thought="")])
    inputs = collate([batch_of(["none", "none"], PAIRS[:2])])
    embedder = TrainedEmbedder(qwen3.checkpoint.model, language=True)
    _, loss = embedder(*(inputs[f"query_{name}"] for name in ("ids", "segments", "labels")))
    assert float(loss.detach()) == 0


def test_without_sft_no_row_is_added(qwen3: T1, tmp_path: Path) -> None:
    collate = collator(qwen3, SampledThoughts(tmp_path), language=False)
    inputs = collate([batch_of(["none"] * 4)])
    assert len(unpacked(inputs)) == 4
    assert "query_labels" not in inputs


# -- the vectors -------------------------------------------------------------------------------


def test_vectors_are_those_of_the_model(model: T1, tmp_path: Path) -> None:
    """Behind none: budget 0; behind a reference: `thoughts=`; behind own: of the generation."""
    own = sampled(model, tmp_path)
    thoughts = sample_thoughts(model, PAIRS, reason(sampled_temperature=1.0), seed=5)
    for language in (True, False):
        vectors, _, inputs = forward(model, collator(model, own, language=language), MIXED)
        found = normalize(vectors.detach(), dim=-1).numpy()[:4]
        assert inputs["query_segments"].max() > 1  # rows are packed
        behind = list(references(model).values())
        expected = np.stack(
            [
                np.asarray(model.encode_query(QUERIES[0], budget=0)),
                *np.asarray(model.encode_query(QUERIES[1:3], thoughts=behind[:2])),
                np.asarray(thoughts["d"].vector),
            ]
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)
    # They differ, or the comparison would show nothing.
    bare = np.asarray(model.encode_query(QUERIES, budget=0))
    assert float((expected * bare).sum(1)[1:].max()) < 0.99


def test_rows_for_sft_alone_are_no_queries(qwen3: T1, tmp_path: Path) -> None:
    """The contrastive terms see one vector for each query, in the batch's order."""
    collate = collator(qwen3, SampledThoughts(tmp_path))
    inputs = collate([batch_of(("none", "none", "reference", "none"))])
    model = TrainedEmbedder(qwen3.checkpoint.model)
    vectors, _ = model(inputs["query_ids"], inputs["query_segments"])
    assert len(vectors) == 6
    stage = reason(weight_triplet=2.0)
    documents = torch.randn(4, vectors.shape[1], generator=torch.Generator().manual_seed(0))
    found = stage_terms(stage, vectors, documents, inputs)
    ours, _, _ = forward(qwen3, collate, ("none", "none", "reference", "none"))
    alone = {name: inputs[name] for name in inputs if name != "query_indices"}
    expected = stage_terms(stage, ours, documents, alone)
    assert set(found) == {"contrastive", "triplet"}
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_evidence_is_rendered_as_the_model_renders_it(qwen3: T1, tmp_path: Path) -> None:
    shown = [replace(PAIRS[1], evidence=("Ice is frozen water.", "<emb_token>")), PAIRS[3]]
    collate = collator(qwen3, SampledThoughts(tmp_path), shown)
    inputs = collate([batch_of(["none", "reference"], shown)])
    evidence = [pair.evidence for pair in shown]
    rendered = qwen3.renderer.render(
        qwen3.settings.query, [p.query for p in shown], 256, evidence=evidence
    )
    prompts = [[*rendered.prefix, *row] for row in rendered.rows]
    emb_id = qwen3.checkpoint.emb_id
    row = query_rows(inputs)[0]
    assert row[: len(prompts[0]) + 1] == [*prompts[0], emb_id]
    assert row.count(emb_id) == 1
    vectors, _ = TrainedEmbedder(qwen3.checkpoint.model)(
        inputs["query_ids"], inputs["query_segments"]
    )
    found = normalize(vectors[inputs["query_indices"]].detach(), dim=-1).numpy()
    expected = [
        np.asarray(qwen3.encode_query([shown[0].query], budget=0, evidence=evidence[:1]))[0],
        np.asarray(
            qwen3.encode_query(
                [shown[1].query], thoughts=[references(qwen3)["d"]], evidence=evidence[1:]
            )
        )[0],
    ]
    np.testing.assert_allclose(found[:2], expected, atol=1e-5)
    bare = np.asarray(qwen3.encode_query(shown[0].query, budget=0))
    assert float(found[0] @ bare) < 0.999


# -- the trainer -------------------------------------------------------------------------------

FEW: tuple[tuple[Mode, ...], ...] = (MIXED, ("none",) * 4, ("none", "own", "reference", "none"))
"""Modes of three batches: two make a step, and the last step has one."""


def steps(model: T1, after: dict[str, Tensor]) -> Tensor:
    start = dict(TrainedEmbedder(model.checkpoint.model, language=True).named_parameters())
    return torch.cat([(after[name] - start[name]).detach().flatten() for name in start])


def assert_same(model: T1, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """The same steps up to rounding, and steps that are far larger than rounding."""
    assert found.keys() == expected.keys()
    ours, theirs = steps(model, found), steps(model, expected)
    assert float(theirs.abs().max()) > 1e-2
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("accumulation", "chunk"), [(1, 2), (2, 1), (1, 64)])
def test_grad_cache_equals_the_plain_step(
    qwen3: T1, tmp_path: Path, accumulation: int, chunk: int
) -> None:
    """The next-token loss included, whose labels are unevenly spread over the chunks."""
    collate = collator(qwen3, sampled(qwen3, tmp_path))
    batches = [batch_of(modes) for modes in (FEW if accumulation > 1 else FEW[:1])]
    settings = reason(weight_triplet=2.0, weight_sft=0.7, accumulation=accumulation)
    cached = replace(settings, grad_cache_chunk=chunk)
    expected, plain_log = fit(qwen3, settings, batches, collate, tmp_path)
    found, cached_log = fit(qwen3, cached, batches, collate, tmp_path)
    assert_same(qwen3, found, expected)
    for name in ("loss", "loss_contrastive", "loss_triplet", "loss_language"):
        values = [[entry[name] for entry in log] for log in (cached_log, plain_log)]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-4, atol=1e-4)


def test_gradient_checkpointing_changes_nothing(
    qwen3: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    forward: Callable[..., Any] = Qwen3MLP.forward

    def noted(self: Qwen3MLP, *positional: Any, **named: Any) -> Tensor:
        calls.append(1)
        output: Tensor = forward(self, *positional, **named)
        return output

    monkeypatch.setattr(Qwen3MLP, "forward", noted)
    collate = collator(qwen3, sampled(qwen3, tmp_path))
    calls.clear()
    expected, _ = fit(qwen3, reason(), [batch_of(MIXED)], collate, tmp_path)
    plain = len(calls)
    checkpointing = reason(gradient_checkpointing=True)
    found, _ = fit(qwen3, checkpointing, [batch_of(MIXED)], collate, tmp_path)
    assert plain > 0 and len(calls) == 3 * plain, "activations must be computed again"
    assert_same(qwen3, found, expected)


def test_the_loss_is_the_weighted_sum(qwen3: T1, tmp_path: Path) -> None:
    collate = collator(qwen3, sampled(qwen3, tmp_path))
    batches = [batch_of(MIXED)]
    _, (one,) = fit(qwen3, reason(weight_triplet=2.0), batches, collate, tmp_path)
    weights = {"weight_contrastive": 0.5, "weight_triplet": 1.0, "weight_sft": 3.0}
    _, (other,) = fit(qwen3, reason(**weights), batches, collate, tmp_path)
    for name, factor in (("contrastive", 0.5), ("triplet", 0.5), ("language", 3.0)):
        assert one[f"loss_{name}"] > 0
        assert other[f"loss_{name}"] == pytest.approx(factor * one[f"loss_{name}"], rel=1e-4)
        parts = [one[f"loss_{part}"] for part in ("contrastive", "triplet", "language")]
        assert one["loss"] == pytest.approx(sum(parts), rel=1e-4)
    _, loss, _ = forward(qwen3, collate, MIXED)
    assert one["loss_language"] == pytest.approx(float(loss.detach()), rel=1e-4)


def test_only_documents_and_bare_queries_are_distilled(qwen3: T1, tmp_path: Path) -> None:
    collate = collator(qwen3, sampled(qwen3, tmp_path))
    vectors, _, inputs = forward(qwen3, collate, MIXED)
    generator = torch.Generator().manual_seed(3)
    teacher = torch.randn(4, vectors.shape[1], generator=generator)
    documents = torch.randn(4, vectors.shape[1], generator=generator)
    stage = reason(weight_contrastive=0.0, weight_triplet=1.0, weight_distill=2.0)
    packed = torch.zeros(len(unpacked(inputs)), vectors.shape[1])
    packed[inputs["query_indices"]] = vectors.detach()
    given = {**inputs, "query_teacher": teacher, "document_teacher": teacher.flip(0)}
    found = stage_terms(stage, packed, documents, given)
    assert MIXED[0] == "none" and "none" not in MIXED[1:]
    alone = 1 - torch.cosine_similarity(vectors[:1].detach(), teacher[:1]).mean()
    torch.testing.assert_close(found["distill_query"], 2 * alone)
    both = 1 - torch.cosine_similarity(documents, teacher.flip(0)).mean()
    torch.testing.assert_close(found["distill_document"], 2 * both)


def test_a_rationale_stands_behind_what_is_shown_with_it(qwen3: T1) -> None:
    asked = [
        Rationale("Why is it cold?", "ice", ("Ice is cold.", "Snow too.")),
        Rationale("b", "c"),
    ]
    rows = tokenize(qwen3, TrainingData(rationales=asked), {}, max_thought_tokens=MOST)
    shown = [one.evidence for one in asked]
    _, prompts = render(qwen3, "query", [one.query for one in asked], shown)
    assert len(prompts[0]) > len(render(qwen3, "query", [asked[0].query])[1][0])
    for number, (prompt, one) in enumerate(zip(prompts, asked, strict=True)):
        thought = qwen3.renderer.text([one.thought])[0]
        assert rows.starts[str(number)] == len(prompt) - 1
        end = qwen3.checkpoint.emb_id
        assert list(rows.ids["thought", str(number)]) == [*prompt[:-1], *thought, end]


def test_rationales_teach_language_alone(qwen3: T1, tmp_path: Path) -> None:
    """Questions and thoughts without documents, in packed rows, also where pairs are chunked."""
    data = TrainingData(rationales=[Rationale(pair.query, pair.thought) for pair in PAIRS[1:]])
    rows = tokenize(qwen3, data, {}, max_thought_tokens=MOST)
    collate = Collator(rows, language=True)
    batches = [Batch(thoughts=tuple(rows.starts))]
    for chunk in (0, 2):
        settings = reason(grad_cache_chunk=chunk)
        after, (entry,) = fit(qwen3, settings, batches, collate, tmp_path)
        assert {name for name in entry if name.startswith("loss_")} == {"loss_language"}
        expected = float(plain_loss(qwen3, PAIRS[1:]).detach())
        assert entry["loss_language"] == pytest.approx(expected, rel=1e-4)
        assert float(steps(qwen3, after).abs().max()) > 1e-3


# -- the plan ----------------------------------------------------------------------------------

WIDE = batch_of(["none"] * 2000, PAIRS * 500)
"""Shares of so many queries are close to what they should be."""


def shares(plan: BatchPlan, mode: Mode) -> list[float]:
    return [batch.modes.count(mode) / len(batch.modes) for batch in plan.batches]


@pytest.mark.parametrize("batches", [1, 2, 3, 7, 8])
def test_shares_go_linearly_from_the_first_step_to_the_last(batches: int) -> None:
    """Two batches a step; the last step may have one."""
    settings = reason(
        share_none=0.2, share_sampled_start=0.1, share_sampled_end=0.7, sampled_every=1
    )
    plan = plan_thoughts(BatchPlan([WIDE] * batches), settings, {"a", "b", "c", "d"}, 0, 2)
    assert shares(plan, "none") == pytest.approx([0.2] * batches, abs=0.04)
    last = max((batches + 1) // 2 - 1, 1)
    expected = [0.1 + 0.6 * (number // 2) / last for number in range(batches)]
    assert shares(plan, "own") == pytest.approx(expected, abs=0.04)


SOME = [batch_of(["none"] * 4)] * 20


def test_a_batch_reads_the_round_before_its_step() -> None:
    settings = reason(
        share_sampled_start=1.0, share_sampled_end=1.0, share_none=0.0, sampled_every=3
    )
    plan = plan_thoughts(BatchPlan(SOME), settings, set(), 0, 2)
    assert [batch.round for batch in plan.batches[::2]] == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [batch.round for batch in plan.batches[1::2]] == [
        batch.round for batch in plan.batches[::2]
    ]
    assert rounds_read(plan) == {0, 1, 2}
    once = plan_thoughts(
        BatchPlan(SOME), replace(settings, sampled_every=0, sampled_folds=2), set(), 0, 2
    )
    assert rounds_read(once) == {0}
    none = plan_thoughts(BatchPlan(SOME), reason(share_none=1.0), set(), 0, 2)
    assert rounds_read(none) == set()


def test_batches_of_single_texts_stay_as_they_are() -> None:
    held = [Batch(thoughts=("0",)), batch_of(["none"] * 4), Batch(thoughts=("1",))]
    plan = plan_thoughts(BatchPlan(held), reason(share_none=1.0), set(), 0, 1)
    assert [batch.modes for batch in plan.batches] == [(), ("none",) * 4, ()]
    assert [batch.thoughts for batch in plan.batches] == [("0",), (), ("1",)]


def test_taught_questions_stand_before_their_references(qwen3: T1, tmp_path: Path) -> None:
    inputs = collator(qwen3, SampledThoughts(tmp_path)).queries(sft_batch(["b", "d"]))
    embedder = TrainedEmbedder(qwen3.checkpoint.model, language=True)
    _, loss = embedder(*(inputs[f"query_{name}"] for name in ("ids", "segments", "labels")))
    expected = plain_loss(qwen3, [PAIRS[1], PAIRS[3]])
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
