"""The training losses, as pure functions of tensors, and GradCache for batches beyond memory.

Knows neither a model, nor a tokenizer, nor a trainer, nor other processes: who trains over several
processes gathers vectors before calling a loss. Similarity is always the cosine, computed in at
least float32, under autocast too. A loss without a single term is a zero that still has a graph,
so that a step which happens to hold no positive does not break the backward pass.

Sources: InfoNCE, van den Oord et al. 2018 (arXiv 1807.03748); false negatives by score,
GISTEmbed, Solatorio 2024 (arXiv 2402.16829); distillation of similarities, SEED, Fang et al. 2021
(arXiv 2101.04731); GradCache, Gao et al. 2021 (arXiv 2101.06983).

Letters in tensor names: Q queries, N candidate documents, K negatives of a query, B batch,
D dimensions (E of a teacher), U unique ids.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

Chunk = TypeVar("Chunk")

IGNORE_INDEX = -100
"""The label of a token that is context, not target."""


def cosine(queries_QD: Tensor, documents_ND: Tensor) -> Tensor:
    """Cosine similarities (Q, N), float32 or wider; a zero vector has similarity 0 to all."""
    # Autocast would run this product in bfloat16: 3 digits, too few below a temperature of 0.02.
    with torch.autocast(queries_QD.device.type, enabled=False):
        return _unit(queries_QD) @ _unit(documents_ND).T


def anchored(bare_QD: Tensor, behind_QD: Tensor, weight: Tensor | float) -> Tensor:
    """normalise(weight x bare + after), both normalised first, row by row; float32 or wider.

    A row that is the same in both stays in its place, and no gradient reaches the weight from it.
    """
    return _unit(weight * _unit(bare_QD) + _unit(behind_QD))


def projected(
    given_QE: Tensor, behind_QD: Tensor, weight: Tensor | float, projection_ED: Tensor
) -> Tensor:
    """normalise(weight x given + projection of after), both normalised first, by row."""
    with torch.autocast(behind_QD.device.type, enabled=False):
        return _unit(weight * _unit(given_QE) + _unit(behind_QD) @ projection_ED.T)


def info_nce(
    queries_QD: Tensor,
    documents_ND: Tensor,
    positives_QN: Tensor,
    *,
    temperature: float,
    ignore_QN: Tensor | None = None,
) -> Tensor:
    """InfoNCE with any number of positives per query.

    For each positive p of a query q, with s the cosine and t the temperature:

        loss(q, p) = -log( exp(s_qp / t) / (exp(s_qp / t) + sum_n exp(s_qn / t)) )

    where n runs over the negatives of q: every document that is neither a positive of q nor
    ignored for q. The other positives are not negatives. The result is the mean over the
    positives of a query, then over the queries with at least one positive, so that a query with
    many positives does not outweigh the rest.

    Args:
        queries_QD: Query vectors.
        documents_ND: Candidates of all queries together: positives, hard negatives, in-batch.
        positives_QN: Boolean; True if document n is a positive of query q.
        temperature: t > 0.
        ignore_QN: Boolean; True if document n is not a negative of query q (see
            `false_negative_mask`). A positive stays a positive even where it is True.

    Returns:
        Scalar; zero with a graph where no query has a positive.

    Raises:
        ValueError: The temperature is not positive, or a mask is not boolean of shape (Q, N).
    """
    scores_QN = _scaled_cosine(queries_QD, documents_ND, temperature)
    _check_mask("positives_QN", positives_QN, scores_QN)
    excluded_QN = positives_QN
    if ignore_QN is not None:
        _check_mask("ignore_QN", ignore_QN, scores_QN)
        excluded_QN = positives_QN | ignore_QN
    # The lowest finite number instead of -inf: a query without negatives gives no NaN gradient.
    lowest = torch.finfo(scores_QN.dtype).min
    negatives_Q1 = scores_QN.masked_fill(excluded_QN, lowest).logsumexp(dim=1, keepdim=True)
    # -log(e^s / (e^s + e^n)) = -log sigmoid(s - n)
    losses_QN = -F.logsigmoid(scores_QN - negatives_Q1) * positives_QN
    counts_Q = positives_QN.sum(dim=1)
    losses_Q = losses_QN.sum(dim=1) / counts_Q.clamp(min=1)
    return losses_Q.sum() / (counts_Q > 0).sum().clamp(min=1)


def false_negative_mask(
    positives_QN: Tensor,
    *,
    document_ids_N: Tensor | None = None,
    text_ids_N: Tensor | None = None,
    scores_QN: Tensor | None = None,
    margin: float = 0.0,
) -> Tensor:
    """Candidates that should not count as negatives of a query, for `info_nce`'s `ignore_QN`.

    A candidate is marked for a query where it
    - is the same document as one of the query's positives (`document_ids_N`),
    - has the same text as one of them (`text_ids_N`), or
    - scores above the query's best positive minus `margin` (`scores_QN`, from a teacher as in
      GISTEmbed, or the model's own). The margin is a difference, not a share, because a share
      would turn around for negative scores.

    Each rule applies where its tensor is given. Positives are never marked, and for a query
    without positives nothing is marked. No gradient flows through the mask.

    Args:
        positives_QN: Boolean; True if document n is a positive of query q.
        document_ids_N: Integers, equal for the same document.
        text_ids_N: Integers, equal for the same text, for example hashes.
        scores_QN: Similarities of this model or of a teacher, higher is closer.
        margin: In units of `scores_QN`; 0 marks what scores above the best positive.

    Returns:
        Boolean (Q, N).
    """
    marked_QN = torch.zeros_like(positives_QN, dtype=torch.bool)
    for ids_N in (document_ids_N, text_ids_N):
        if ids_N is not None:
            marked_QN = marked_QN | _shares_id(positives_QN, ids_N)
    if scores_QN is not None:
        _check_mask("positives_QN", positives_QN, scores_QN)
        scores_QN = scores_QN.detach()
        best_Q1 = scores_QN.masked_fill(~positives_QN, -torch.inf).amax(dim=1, keepdim=True)
        judged_Q1 = positives_QN.any(dim=1, keepdim=True)
        marked_QN = marked_QN | ((scores_QN > best_Q1 - margin) & judged_Q1)
    return marked_QN & ~positives_QN


def triplet_margin(
    queries_QD: Tensor, positives_QD: Tensor, negatives_QKD: Tensor, margin: float
) -> Tensor:
    """Mean over all Q x K triplets of max(0, margin - cos(q, positive) + cos(q, negative)).

    One positive and K negatives for each query; `margin` is a difference of cosines.
    """
    queries_Q1D = _unit(queries_QD).unsqueeze(1)
    positive_Q1 = (queries_Q1D * _unit(positives_QD).unsqueeze(1)).sum(dim=-1)
    negative_QK = (queries_Q1D * _unit(negatives_QKD)).sum(dim=-1)
    return _mean(F.relu(margin - positive_Q1 + negative_QK))


def distillation(student_BD: Tensor, teacher_BD: Tensor) -> Tensor:
    """Mean of 1 - cos(student, teacher), row by row. No gradient flows to the teacher."""
    if student_BD.shape != teacher_BD.shape:
        raise ValueError(f"shapes differ: {student_BD.shape}, teacher {teacher_BD.shape}")
    return _mean(1 - (_unit(student_BD) * _unit(teacher_BD.detach())).sum(dim=-1))


def similarity_distillation(
    student_queries_QD: Tensor,
    student_documents_ND: Tensor,
    teacher_queries_QE: Tensor,
    teacher_documents_NE: Tensor,
    temperature: float,
) -> Tensor:
    """Mean over queries of KL(teacher || student) between distributions over the documents.

    A query's distribution is the softmax of its cosines to the N documents, divided by
    `temperature`, the same for both. The teacher's vectors may have another dimension (E). No
    gradient flows to the teacher.
    """
    student_QN = _scaled_cosine(student_queries_QD, student_documents_ND, temperature)
    teacher_QN = _scaled_cosine(teacher_queries_QE, teacher_documents_NE, temperature).detach()
    divergence_QN = F.kl_div(
        student_QN.log_softmax(dim=1),
        teacher_QN.log_softmax(dim=1),
        reduction="none",
        log_target=True,
    )
    return _mean(divergence_QN.sum(dim=1))


def grad_cache(
    encode: Callable[[Chunk, bool], tuple[Tensor, Tensor]],
    queries: Sequence[Chunk],
    documents: Sequence[Chunk],
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    *,
    no_sync: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Tensor:
    """A contrastive loss over more rows than fit in memory: loss and backward pass, by chunks.

    GradCache (arXiv 2101.06983): encode every chunk without a graph, compute the loss and its
    gradient at the vectors, then encode each chunk again with a graph and send that gradient
    through it. Memory holds the activations of one chunk; the price is one more forward pass.
    The gradients are added to `.grad`, as by `loss.backward()`, and equal those of the plain
    loss: both passes over a chunk draw the same random numbers, so dropout agrees. Parameters
    that only `loss_fn` uses get their gradient too. A chunk may add a loss of its own, such as the
    next-token loss over its rows.

    Not for layers that change in a forward pass (BatchNorm's running statistics see each chunk
    twice), nor for trainers that insist on doing the backward pass themselves (DeepSpeed).

    Args:
        encode: Vectors (rows, D) of one chunk and its own loss (a scalar); called twice for each
            chunk, the second time with True. Only that time the own loss counts.
        queries: Chunks of queries, at least one.
        documents: Chunks of documents; none if `loss_fn` has their vectors from elsewhere, and
            gets an empty tensor.
        loss_fn: Scalar loss from all query vectors and all document vectors, in order. Divide
            in it for gradient accumulation.
        no_sync: Entered for the second pass over every chunk but the last, for example
            `model.no_sync` of DistributedDataParallel, so that gradients travel once.

    Returns:
        The loss of `loss_fn`, detached: its backward pass has been done.
    """
    if not queries:
        raise ValueError("grad_cache needs at least one chunk of queries")
    chunks = [*queries, *documents]
    states: list[_RandomState] = []
    leaves: list[Tensor] = []
    with torch.no_grad():
        for chunk in chunks:
            states.append(_RandomState())
            leaves.append(encode(chunk, False)[0].detach().requires_grad_())
    # Before pytorch#165068 autocast kept the casts of weights made without a graph, used them
    # again in the second pass, and no gradient reached the weights.
    torch.clear_autocast_cache()
    sides = leaves[: len(queries)], leaves[len(queries) :]
    loss = loss_fn(*(torch.cat(side) if side else torch.zeros(0) for side in sides))
    torch.autograd.backward(loss)
    for i, (chunk, state, leaf) in enumerate(zip(chunks, states, leaves, strict=True)):
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        with no_sync() if i < len(chunks) - 1 else nullcontext(), state.replay():
            vectors_BD, own = encode(chunk, True)
            tensors = [vectors_BD, own] if own.requires_grad else [vectors_BD]
            torch.autograd.backward(tensors, [gradient, None][: len(tensors)])
    return loss.detach()


class _RandomState:
    """The random number generators (CPU, current GPU) as they are now, to be set back once."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        in_use = torch.cuda.is_initialized()
        self._gpus = [torch.cuda.current_device()] if in_use else []
        self._gpu_states = [torch.cuda.get_rng_state(gpu) for gpu in self._gpus]

    @contextmanager
    def replay(self) -> Iterator[None]:
        """Draw the same numbers again; afterwards the generators continue where they were."""
        with torch.random.fork_rng(devices=self._gpus):
            torch.set_rng_state(self._cpu)
            for gpu, state in zip(self._gpus, self._gpu_states, strict=True):
                torch.cuda.set_rng_state(state, gpu)
            yield


def _wide(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(_wide(vectors), dim=-1)


def _scaled_cosine(queries_QD: Tensor, documents_ND: Tensor, temperature: float) -> Tensor:
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")
    return cosine(queries_QD, documents_ND) / temperature


def _mean(values: Tensor) -> Tensor:
    """Mean, and 0 with a graph instead of NaN where there is no value."""
    return values.sum() / max(values.numel(), 1)


def _check_mask(name: str, mask_QN: Tensor, scores_QN: Tensor) -> None:
    if mask_QN.dtype != torch.bool or mask_QN.shape != scores_QN.shape:
        raise ValueError(
            f"{name} must be boolean of shape {tuple(scores_QN.shape)}, not "
            f"{mask_QN.dtype} of shape {tuple(mask_QN.shape)}"
        )


def _shares_id(positives_QN: Tensor, ids_N: Tensor) -> Tensor:
    """True if document n has the id of some positive of query q."""
    unique_U, index_N = torch.unique(ids_N, return_inverse=True)
    counts_QU = positives_QN.new_zeros((len(positives_QN), len(unique_U)), dtype=torch.int32)
    counts_QU.index_add_(1, index_N, positives_QN.int())
    return counts_QU[:, index_N] > 0
