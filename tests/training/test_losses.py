"""Losses against closed forms, and at the edges: no positive, no negative, bfloat16."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from thought1.training import losses
from thought1.training.model.next_token import next_token

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "losses.json").read_text())
LOSSES: dict[str, Callable[..., Tensor]] = {
    "info_nce": losses.info_nce,
    "triplet_margin": losses.triplet_margin,
    "next_token": next_token,
    "distillation": losses.distillation,
    "similarity_distillation": losses.similarity_distillation,
}


def tensor(values: Any, dtype: torch.dtype) -> Tensor:
    made = torch.tensor(values)
    return made.to(dtype) if made.is_floating_point() else made


def randn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()


def mask(*rows: str) -> Tensor:
    """`mask("x.", ".x")` is the 2 x 2 identity."""
    return torch.tensor([[letter == "x" for letter in row] for row in rows])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row['loss']}: {row['case']}")
def test_closed_forms(row: dict[str, Any], dtype: torch.dtype) -> None:
    tensors = {name: tensor(values, dtype) for name, values in row["tensors"].items()}
    value = LOSSES[row["loss"]](**tensors, **row["settings"])
    assert value.shape == () and value.dtype == dtype
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    assert value.item() == pytest.approx(row["expected"], rel=tolerance, abs=tolerance)


def test_every_loss_has_a_closed_form() -> None:
    assert {row["loss"] for row in GOLDEN} == LOSSES.keys()


def test_gradients() -> None:
    def check(function: Callable[..., Tensor], *inputs: Tensor) -> None:
        assert torch.autograd.gradcheck(function, inputs)

    positives_QN = mask("xx...", ".....", "...x.")
    ignore_QN = mask("..x..", "x....", "x..xx")
    check(
        lambda q, d: losses.info_nce(q, d, positives_QN, temperature=0.2, ignore_QN=ignore_QN),
        randn(3, 4),
        randn(5, 4),
    )
    triplets = (randn(3, 4), randn(3, 4).flip(0), randn(3, 2, 4))
    check(lambda q, p, n: losses.triplet_margin(q, p, n, 0.4), *triplets)
    teacher_BD = randn(3, 4).detach() + 1
    check(lambda student: losses.distillation(student, teacher_BD), randn(3, 4))
    teacher = (randn(3, 6).detach(), randn(5, 6).detach())
    check(
        lambda q, d: losses.similarity_distillation(q, d, *teacher, 0.3), randn(3, 4), randn(5, 4)
    )


# info_nce


def test_without_positive_zero_with_a_graph() -> None:
    queries_QD, documents_ND = randn(2, 4), randn(3, 4)
    loss = losses.info_nce(queries_QD, documents_ND, mask("...", "..."), temperature=0.1)
    loss.backward()
    assert loss.item() == 0
    assert not queries_QD.grad.any() and not documents_ND.grad.any()


def test_without_candidates_zero_with_a_graph() -> None:
    queries_QD = randn(2, 4)
    empty = torch.zeros(2, 0, dtype=torch.bool)
    loss = losses.info_nce(queries_QD, queries_QD[:0], empty, temperature=0.1)
    loss.backward()
    assert loss.item() == 0 and not queries_QD.grad.any()


def test_query_without_positive_contributes_nothing() -> None:
    queries_QD, documents_ND = randn(2, 4), randn(3, 4)
    both = losses.info_nce(queries_QD, documents_ND, mask("x..", "..."), temperature=0.1)
    one = losses.info_nce(queries_QD[:1], documents_ND, mask("x.."), temperature=0.1)
    assert both.item() == pytest.approx(one.item(), rel=1e-12)
    both.backward()
    assert queries_QD.grad[0].any() and not queries_QD.grad[1].any()


def test_query_without_negative_has_no_gradient_and_no_nan() -> None:
    queries_QD, documents_ND = randn(1, 4), randn(2, 4)
    losses.info_nce(queries_QD, documents_ND, mask("xx"), temperature=0.1).backward()
    assert not queries_QD.grad.any() and not documents_ND.grad.any()


def test_ignored_positive_stays_a_positive() -> None:
    queries_QD, documents_ND = randn(1, 4), randn(3, 4)
    plain = losses.info_nce(queries_QD, documents_ND, mask("x.."), temperature=0.1)
    ignoring = losses.info_nce(
        queries_QD, documents_ND, mask("x.."), temperature=0.1, ignore_QN=mask("x..")
    )
    assert ignoring.item() == plain.item() > 0


def test_bfloat16_vectors_and_autocast_are_computed_in_float32() -> None:
    queries_QD, documents_ND = randn(4, 32).bfloat16(), randn(6, 32).bfloat16()
    settings: dict[str, Any] = {"positives_QN": mask("x.....", ".x....", "..x...", "...xx.")}
    settings["temperature"] = 0.02
    wide = losses.info_nce(queries_QD.float(), documents_ND.float(), **settings)
    narrow = losses.info_nce(queries_QD, documents_ND, **settings)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = losses.info_nce(queries_QD.float(), documents_ND.float(), **settings)
    assert narrow.dtype == cast.dtype == torch.float32
    assert narrow.item() == cast.item() == wide.item()
    narrow.backward()


@pytest.mark.parametrize("temperature", [0.0, -0.1])
def test_temperature_must_be_positive(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        losses.info_nce(randn(1, 2), randn(1, 2), mask("x"), temperature=temperature)


def test_masks_must_be_boolean_and_of_the_right_shape() -> None:
    queries_QD, documents_ND = randn(1, 2), randn(2, 2)
    with pytest.raises(ValueError, match="positives_QN"):
        losses.info_nce(queries_QD, documents_ND, mask("x"), temperature=1)
    with pytest.raises(ValueError, match="ignore_QN must be boolean"):
        losses.info_nce(
            queries_QD, documents_ND, mask("x."), temperature=1, ignore_QN=mask("x.").int()
        )


# false_negative_mask


def test_same_document_and_same_text_are_marked() -> None:
    positives_QN = mask("x....", ".x...", ".....")
    by_id = losses.false_negative_mask(positives_QN, document_ids_N=torch.tensor([7, 8, 7, 9, 8]))
    assert by_id.equal(mask("..x..", "....x", "....."))
    by_text = losses.false_negative_mask(positives_QN, text_ids_N=torch.tensor([1, 1, 2, 1, 3]))
    assert by_text.equal(mask(".x.x.", "x..x.", "....."))
    both = losses.false_negative_mask(
        positives_QN,
        document_ids_N=torch.tensor([7, 8, 7, 9, 8]),
        text_ids_N=torch.tensor([1, 1, 2, 1, 3]),
    )
    assert both.equal(by_id | by_text)


def test_scores_above_the_best_positive_minus_the_margin_are_marked() -> None:
    positives_QN = mask("x..x.", ".x...", ".....")
    scores_QN = torch.tensor(
        [
            [0.5, 0.95, 0.8, 0.9, 0.85],  # best positive 0.9
            [-0.3, -0.2, -0.1, -0.25, -1.0],  # best positive -0.2
            [0.9, 0.9, 0.9, 0.9, 0.9],  # no positive: nothing is marked
        ]
    ).requires_grad_()
    at_zero = losses.false_negative_mask(positives_QN, scores_QN=scores_QN)
    assert at_zero.equal(mask(".x...", "..x..", "....."))
    at_a_tenth = losses.false_negative_mask(positives_QN, scores_QN=scores_QN, margin=0.08)
    assert at_a_tenth.equal(mask(".x..x", "..xx.", "....."))
    assert not at_a_tenth.requires_grad


def test_nothing_given_nothing_marked() -> None:
    assert not losses.false_negative_mask(mask("x..")).any()


# triplet_margin, distillation


def test_without_triplet_zero_with_a_graph() -> None:
    queries_QD = randn(2, 4)
    losses.triplet_margin(queries_QD, randn(2, 4), torch.zeros(2, 0, 4), 0.2).backward()
    assert not queries_QD.grad.any()


def test_no_gradient_reaches_a_teacher() -> None:
    student, teacher = randn(3, 4), randn(3, 5)
    losses.distillation(student, teacher[:, :4]).backward()
    losses.similarity_distillation(student, student, teacher, teacher, 0.1).backward()
    assert student.grad.any() and teacher.grad is None


def test_distillation_refuses_another_shape() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        losses.distillation(randn(3, 4), randn(1, 4))
