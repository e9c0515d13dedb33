"""From planned batches to tensors: padded rows of pairs, packed rows of single texts.

It knows token ids, no text files and no model.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from thought1.training.data.batches import Batch, Ids, Rows
from thought1.training.data.sources import Role
from thought1.training.losses import IGNORE_INDEX

PACKED_TOKENS = 256
"""Length of packed rows, where no text is longer: the cost of attention grows with it."""


class Collator:
    """Makes tensors of the trainer's items: what `Embedder` and the stages' losses read.

    Args:
        rows: the texts' ids.
        language: single texts are packed, and get the labels of the next-token loss.
    """

    def __init__(self, rows: Rows, *, language: bool = False) -> None:
        self.rows = rows
        self.language = language

    def __call__(self, items: Sequence[Batch]) -> dict[str, Tensor]:
        """One `Batch`: for each role it has, `ROLE_ids` and `ROLE_segments` (B, T) as `Embedder`
        takes them; with a teacher `ROLE_teacher` (M, E), in the order of the segments; of single
        texts with a language loss `ROLE_labels` (B, T); for pairs `positives` and `answers`;
        where a frozen companion has read them `document_given` (N, E) instead of ids.
        """
        (batch,) = items
        if batch.streamed:
            return self._texts("document", [self.rows.streamed[i] for i in batch.streamed], ())
        if batch.positives:
            positives_QN, answers_QN = self._relevance(batch)
            documents = self._documents(batch)
            judged = {"positives": positives_QN, "answers": answers_QN}
            return self.queries(batch) | documents | judged
        tensors: dict[str, Tensor] = {}
        roles: tuple[tuple[Role, tuple[str, ...]], ...] = (
            ("query", batch.queries),
            ("document", batch.documents),
            ("thought", batch.thoughts),
        )
        for role, texts in roles:
            if texts and self.language:
                ids = [self.rows.ids[role, text] for text in texts]
                tensors |= self._texts(role, ids, texts)
            elif texts:
                tensors |= self._padded(role, texts)
        return tensors

    def queries(self, batch: Batch) -> dict[str, Tensor]:
        """The query side of a batch of pairs."""
        return self._padded("query", batch.queries)

    def _documents(self, batch: Batch) -> dict[str, Tensor]:
        """The document side of a batch of pairs: to be encoded, or with vectors already."""
        if not self.rows.given:
            return self._padded("document", batch.documents)
        return self._given("document", batch.documents) | self._teacher("document", batch.documents)

    def _given(self, role: Role, texts: Sequence[str]) -> dict[str, Tensor]:
        """`ROLE_given` (B, E), a frozen companion's vectors."""
        stacked = np.stack([self.rows.given[role, text] for text in texts])
        return {f"{role}_given": torch.from_numpy(stacked)}

    def _padded(self, role: Role, texts: Sequence[str]) -> dict[str, Tensor]:
        rows = [[self.rows.ids[role, text]] for text in texts]
        return named(role, packed(rows)) | self._teacher(role, texts)

    def _texts(self, role: Role, ids: Sequence[Ids], texts: Sequence[str]) -> dict[str, Tensor]:
        """Packed rows with labels; streamed texts have ids only, and no teacher."""
        groups = fit([len(row) for row in ids], PACKED_TOKENS)
        labels = [self._labels(role, row, i, texts) for i, row in enumerate(ids)]
        tensors = packed(
            [[ids[i] for i in group] for group in groups],
            [[labels[i] for i in group] for group in groups],
        )
        order = [texts[i] for group in groups for i in group] if texts else []
        return named(role, tensors) | self._teacher(role, order)

    def _labels(self, role: Role, row: Ids, index: int, texts: Sequence[str]) -> list[int]:
        if role == "thought":  # whose end is learnt too
            start, end = self.rows.starts[texts[index]], len(row)
        else:
            start, end = self.rows.heads[role], len(row) - 1
        # Nothing precedes a row's first token but, in packed rows, another text.
        start = max(start, 1)
        return [id if start <= i < end else IGNORE_INDEX for i, id in enumerate(row)]

    def _teacher(self, role: Role, texts: Sequence[str]) -> dict[str, Tensor]:
        if not self.rows.teacher or not texts or role == "thought":
            return {}
        stacked = np.stack([self.rows.teacher[text] for text in texts])
        return {f"{role}_teacher": torch.from_numpy(stacked).float()}

    def _relevance(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Booleans (Q, N): sampled positives, and everything known to be relevant."""
        positives_QN = torch.zeros(len(batch.queries), len(batch.documents), dtype=torch.bool)
        answers_QN = positives_QN.clone()
        for q, (query, indices) in enumerate(zip(batch.queries, batch.positives, strict=True)):
            positives_QN[q, list(indices)] = True
            known = self.rows.answers[query]
            answers_QN[q] = torch.tensor([text in known for text in batch.documents])
        return positives_QN, answers_QN


def named(role: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one side under names that a batch keeps apart."""
    return {f"{role}_{name}": tensor for name, tensor in tensors.items()}


def fit(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Groups of indices whose lengths sum to at most `width`: first fit, the longest first.

    What is longer than `width` by itself gets a group of its own.
    """
    groups: list[list[int]] = []
    free: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        index = next((g for g, left in enumerate(free) if left >= lengths[i]), len(groups))
        if index == len(groups):
            groups.append([])
            free.append(width)
        groups[index].append(i)
        free[index] -= lengths[i]
    return groups


def packed(
    groups: Sequence[Sequence[Ids]], labels: Sequence[Sequence[Ids]] = ()
) -> dict[str, Tensor]:
    """One row for each group of texts, padded on the right: `ids`, `segments`, and `labels` if any.

    All are (B, T); segments count the texts of a row from 1, padding is 0.
    """
    width = max(sum(map(len, group)) for group in groups)
    ids, segments, targets = [], [], []
    for g, group in enumerate(groups):
        flat = [id for row in group for id in row]
        rest = width - len(flat)
        ids.append(flat + [0] * rest)
        segments.append([n for n, row in enumerate(group, 1) for _ in row] + [0] * rest)
        if labels:
            targets.append([id for row in labels[g] for id in row] + [IGNORE_INDEX] * rest)
    tensors = {"ids": torch.tensor(ids), "segments": torch.tensor(segments)}
    return tensors | ({"labels": torch.tensor(targets)} if labels else {})
