"""Losses against slow formulas in plain Python, and what must not change them."""

import math
from dataclasses import dataclass, replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from thought1.training.losses import (
    cosine,
    false_negative_mask,
    info_nce,
    similarity_distillation,
    triplet_margin,
)
from thought1.training.model.next_token import next_token

few = settings(max_examples=50, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Batch:
    queries_QD: Tensor
    documents_ND: Tensor
    positives_QN: Tensor
    ignore_QN: Tensor
    temperature: float

    def loss(self) -> float:
        return info_nce(
            self.queries_QD,
            self.documents_ND,
            self.positives_QN,
            temperature=self.temperature,
            ignore_QN=self.ignore_QN,
        ).item()


def randn(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    q, n, d = draw(st.integers(1, 4)), draw(st.integers(2, 7)), draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(draw(SEEDS))
    draws_QN = torch.rand(q, n, generator=generator)
    return Batch(
        randn(generator, q, d),
        randn(generator, n, d),
        draws_QN < draw(st.sampled_from([0.0, 0.2, 0.6, 1.0])),
        torch.rand(q, n, generator=generator) < draw(st.sampled_from([0.0, 0.3])),
        draw(st.floats(0.02, 5.0)),
    )


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def slow_cosine(a: list[float], b: list[float]) -> float:
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.hypot(*a) / math.hypot(*b)


def slow_info_nce(batch: Batch) -> float:
    per_query = []
    for query, positives, ignored in zip(
        batch.queries_QD.tolist(),
        batch.positives_QN.tolist(),
        batch.ignore_QN.tolist(),
        strict=True,
    ):
        weights = [
            math.exp(slow_cosine(query, document) / batch.temperature)
            for document in batch.documents_ND.tolist()
        ]
        rest = sum(
            weight
            for weight, positive, skip in zip(weights, positives, ignored, strict=True)
            if not positive and not skip
        )
        terms = [
            -math.log(weight / (weight + rest))
            for weight, positive in zip(weights, positives, strict=True)
            if positive
        ]
        if terms:
            per_query.append(sum(terms) / len(terms))
    return sum(per_query) / len(per_query) if per_query else 0.0


@few
@given(batches())
def test_info_nce_is_the_documented_formula(batch: Batch) -> None:
    assert close(batch.loss(), slow_info_nce(batch))


@few
@given(batches(), SEEDS)
def test_order_of_the_documents_does_not_matter(batch: Batch, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    order_N = torch.randperm(len(batch.documents_ND), generator=generator)
    shuffled = replace(
        batch,
        documents_ND=batch.documents_ND[order_N],
        positives_QN=batch.positives_QN[:, order_N],
        ignore_QN=batch.ignore_QN[:, order_N],
    )
    assert close(shuffled.loss(), batch.loss())


@few
@given(batches(), st.integers(0, 6))
def test_ignoring_a_document_is_removing_it(batch: Batch, index: int) -> None:
    index %= len(batch.documents_ND)
    positives_QN = batch.positives_QN.clone()
    positives_QN[:, index] = False
    ignore_QN = batch.ignore_QN.clone()
    ignore_QN[:, index] = True
    ignoring = replace(batch, positives_QN=positives_QN, ignore_QN=ignore_QN)
    others_N = torch.arange(len(batch.documents_ND)) != index
    removed = replace(
        batch,
        documents_ND=batch.documents_ND[others_N],
        positives_QN=positives_QN[:, others_N],
        ignore_QN=ignore_QN[:, others_N],
    )
    assert close(ignoring.loss(), removed.loss())


@few
@given(batches())
def test_one_more_negative_never_lowers_the_loss(batch: Batch) -> None:
    more = replace(
        batch,
        documents_ND=torch.cat([batch.documents_ND, -batch.queries_QD[:1]]),
        positives_QN=torch.nn.functional.pad(batch.positives_QN, (0, 1)),
        ignore_QN=torch.nn.functional.pad(batch.ignore_QN, (0, 1)),
    )
    assert more.loss() >= batch.loss() - 1e-12


@few
@given(batches(), st.floats(0.01, 100), st.floats(0.01, 100))
def test_length_of_the_vectors_does_not_matter(batch: Batch, a: float, b: float) -> None:
    scaled = replace(batch, queries_QD=batch.queries_QD * a, documents_ND=batch.documents_ND * b)
    assert close(scaled.loss(), batch.loss())


@few
@given(batches())
def test_temperature_divides_the_scores(batch: Batch) -> None:
    """At high temperature all candidates weigh the same: log(1 + number of negatives)."""
    hot = replace(batch, temperature=1e9)
    negatives_Q = (~batch.positives_QN & ~batch.ignore_QN).sum(dim=1)
    judged_Q = batch.positives_QN.any(dim=1)
    expected = (1 + negatives_Q[judged_Q].double()).log().mean().nan_to_num(0.0)
    assert math.isclose(hot.loss(), expected.item(), abs_tol=1e-6)


@few
@given(batches(), SEEDS, st.floats(0, 1))
def test_false_negatives_by_definition(batch: Batch, seed: int, margin: float) -> None:
    n = len(batch.documents_ND)
    ids_N = torch.randint(0, 4, (n,), generator=torch.Generator().manual_seed(seed))
    scores_QN = cosine(batch.queries_QD, batch.documents_ND)
    found = false_negative_mask(
        batch.positives_QN, document_ids_N=ids_N, scores_QN=scores_QN, margin=margin
    )
    for q, row in enumerate(batch.positives_QN.tolist()):
        own = [i for i in range(n) if row[i]]
        for i in range(n):
            same = any(ids_N[i] == ids_N[p] for p in own)
            above = bool(own) and scores_QN[q, i] > max(scores_QN[q, p] for p in own) - margin
            assert bool(found[q, i]) == (i not in own and bool(same or above))


@few
@given(SEEDS, st.integers(1, 4), st.integers(1, 3), st.floats(0, 1))
def test_triplet_margin_by_definition(seed: int, q: int, k: int, margin: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries, positives = randn(generator, q, 3), randn(generator, q, 3)
    negatives = randn(generator, q, k, 3)
    terms = [
        max(
            0.0,
            margin
            - slow_cosine(queries[i].tolist(), positives[i].tolist())
            + slow_cosine(queries[i].tolist(), negatives[i, j].tolist()),
        )
        for i in range(q)
        for j in range(k)
    ]
    found = triplet_margin(queries, positives, negatives, margin).item()
    assert close(found, sum(terms) / len(terms))


@few
@given(SEEDS, st.integers(1, 9))
def test_next_token_by_definition(seed: int, m: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = randn(generator, m, 6)
    targets = torch.randint(0, 6, (m,), generator=generator)
    terms = [
        math.log(sum(map(math.exp, scores))) - scores[target]
        for scores, target in zip(logits.tolist(), targets.tolist(), strict=True)
    ]
    assert close(next_token(logits, targets).item(), sum(terms) / m)


@few
@given(SEEDS, st.floats(0.05, 2))
def test_similarity_distillation_is_a_divergence(seed: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries, documents = randn(generator, 3, 4), randn(generator, 5, 4)
    teacher = randn(generator, 3, 6), randn(generator, 5, 6)
    found = similarity_distillation(queries, documents, *teacher, temperature).item()
    assert found >= -1e-12
    same = similarity_distillation(queries, documents, queries, documents, temperature).item()
    assert abs(same) < 1e-12
    p = (cosine(*teacher) / temperature).softmax(dim=1)
    q = (cosine(queries, documents) / temperature).softmax(dim=1)
    assert close(found, (p * (p / q).log()).sum(dim=1).mean().item())
