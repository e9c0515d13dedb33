"""Which examples train together: plans of batches, and the collator that makes tensors of them.

A batch is one item of the data set, so that lengths can be bucketed and the number of queries,
positives and negatives is ours to choose. Plans depend on the seed alone: an interrupted run
meets the same batches again. It knows token ids, no model.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from thought1.config import Role, StageConfig
from thought1.training.sources import Pair, TrainingData

BUCKETS = 40
"""So many batches are filled together from texts sorted by length."""

Text = tuple[Role, str]


@dataclass(frozen=True, slots=True)
class Batch:
    """Queries and documents of one step; for query q, `positives[q]` are places in `documents`."""

    queries: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    positives: tuple[tuple[int, ...], ...] = ()


class Plan(Dataset[Batch]):
    """The batches of a stage, in order."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index]


def plan_texts(
    texts: Sequence[Text], lengths: Sequence[int], tokens_per_batch: int, seed: int
) -> list[Batch]:
    """One epoch of single texts; a batch holds one role and at most so many padded tokens."""
    rng = random.Random(seed)
    batches = []
    roles: tuple[Role, ...] = ("query", "document")
    for role in roles:
        order = [i for i, (r, _) in enumerate(texts) if r == role]
        rng.shuffle(order)
        size = max(1, tokens_per_batch // 16) * BUCKETS
        for start in range(0, len(order), size):
            window = sorted(order[start : start + size], key=lambda i: lengths[i])
            for group in _filled(window, lengths, tokens_per_batch):
                held = tuple(texts[i][1] for i in group)
                batches.append(Batch(queries=held) if role == "query" else Batch(documents=held))
    rng.shuffle(batches)
    return batches


def _filled(order: Sequence[int], lengths: Sequence[int], tokens: int) -> list[list[int]]:
    groups: list[list[int]] = [[]]
    for i in order:
        # Sorted by length: the newest row is the longest, and decides the width.
        if groups[-1] and (len(groups[-1]) + 1) * lengths[i] > tokens:
            groups.append([])
        groups[-1].append(i)
    return groups if groups[-1] else []


def plan_pairs(
    pairs: Sequence[Pair],
    stage: StageConfig,
    seed: int,
    negatives: Mapping[str, Sequence[str]] | None = None,
) -> list[Batch]:
    """One epoch of pairs: each query once, with up to `positives_per_query` of its positives.

    All batches hold `queries_per_batch` queries (or all there are, if fewer): what is left over at
    the end of the shuffled order waits for another epoch, because a batch with few negatives
    teaches little. `negatives` holds candidates of hard negatives by query id.
    """
    if not pairs:
        return []
    rng = random.Random(seed)
    order = list(pairs)
    rng.shuffle(order)
    size = min(stage.queries_per_batch, len(order))
    return [
        _pair_batch(order[end - size : end], stage, rng, negatives or {})
        for end in range(size, len(order) + 1, size)
    ]


def _pair_batch(
    pairs: Sequence[Pair],
    stage: StageConfig,
    rng: random.Random,
    negatives: Mapping[str, Sequence[str]],
) -> Batch:
    documents: dict[str, int] = {}
    positives = []
    for pair in pairs:
        count = min(stage.positives_per_query, len(pair.positives))
        chosen = rng.sample(pair.positives, count)
        positives.append(tuple(documents.setdefault(text, len(documents)) for text in chosen))
        candidates = negatives.get(pair.query_id, ())
        for text in rng.sample(candidates, min(stage.negatives_per_query, len(candidates))):
            documents.setdefault(text, len(documents))
    return Batch(tuple(pair.query for pair in pairs), tuple(documents), tuple(positives))


def spread(first: list[Batch], second: list[Batch]) -> list[Batch]:
    """Both lists in their orders, evenly mixed."""
    keyed = [(i / len(part), batch) for part in (first, second) for i, batch in enumerate(part)]
    return [batch for _, batch in sorted(keyed, key=lambda item: item[0])]


@dataclass(frozen=True, slots=True)
class Rows:
    """Token ids of every text by role, `<emb_token>` included, and the teacher's vectors."""

    ids: Mapping[Text, list[int]]
    teacher: Mapping[str, npt.NDArray[np.float16]]
    """Text -> vector (e,); empty without a teacher."""
    answers: Mapping[str, frozenset[str]]
    """Query -> all its positives, whether sampled or not: none of them is a negative."""


def known_answers(pairs: Iterable[Pair]) -> dict[str, frozenset[str]]:
    """Query -> the positives of all pairs with this query, for `Rows.answers`."""
    answers: dict[str, frozenset[str]] = {}
    for pair in pairs:
        answers[pair.query] = answers.get(pair.query, frozenset()) | frozenset(pair.positives)
    return answers


class Collator:
    """Makes tensors of the trainer's items: what `represent.stage_loss` reads."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __call__(self, items: Sequence[Batch]) -> dict[str, Tensor]:
        """One `Batch`: for each role it has (B rows), `ROLE_ids` and `ROLE_mask` (B, T), padded on
        the right, and `ROLE_teacher` (B, E) with a teacher; for pairs `positives` and `answers`.
        """
        (batch,) = items
        tensors: dict[str, Tensor] = {}
        roles: tuple[tuple[Role, tuple[str, ...]], ...] = (
            ("query", batch.queries),
            ("document", batch.documents),
        )
        for role, texts in roles:
            if not texts:
                continue
            ids_BT, mask_BT = _padded([self.rows.ids[role, text] for text in texts])
            tensors[f"{role}_ids"], tensors[f"{role}_mask"] = ids_BT, mask_BT
            if self.rows.teacher:
                stacked = np.stack([self.rows.teacher[text] for text in texts])
                tensors[f"{role}_teacher"] = torch.from_numpy(stacked).float()
        if batch.positives:
            tensors["positives"], tensors["answers"] = self._relevance(batch)
        return tensors

    def _relevance(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Booleans (Q, N): sampled positives, and everything known to be relevant."""
        positives_QN = torch.zeros(len(batch.queries), len(batch.documents), dtype=torch.bool)
        answers_QN = positives_QN.clone()
        for q, (query, places) in enumerate(zip(batch.queries, batch.positives, strict=True)):
            positives_QN[q, list(places)] = True
            known = self.rows.answers[query]
            answers_QN[q] = torch.tensor([text in known for text in batch.documents])
        return positives_QN, answers_QN


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    ids_BT = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    lengths_B1 = torch.tensor([[len(row)] for row in rows])
    return ids_BT, (torch.arange(width) < lengths_B1).long()


def plan_stage(
    data: TrainingData,
    rows: Rows,
    stage: StageConfig,
    seed: int,
    negatives: Mapping[str, Sequence[str]] | None = None,
    processes: int = 1,
) -> Plan:
    """All batches of a stage, epoch by epoch, cut at `max_steps` optimizer steps.

    `processes` train together: each takes every so manieth batch.
    """
    if not data.texts and not data.pairs:
        raise ValueError("there is no example to plan batches of")
    lengths = [len(rows.ids[text]) for text in data.texts]
    batches: list[Batch] = []
    wanted = stage.max_steps * stage.accumulation * processes if stage.max_steps > 0 else None
    epoch = 0
    while epoch < stage.epochs if wanted is None else len(batches) < wanted:
        epoch_seed = seed * 1_000_003 + epoch
        texts = plan_texts(data.texts, lengths, stage.tokens_per_batch, epoch_seed)
        part = spread(texts, plan_pairs(data.pairs, stage, epoch_seed, negatives))
        share = min(1.0, stage.epochs - epoch) if wanted is None else 1.0
        batches += part[: max(1, round(len(part) * share))]
        epoch += 1
    return Plan(batches[:wanted])
