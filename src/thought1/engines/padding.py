"""Rows of token ids as one rectangle. It knows lists and tensors of ids, no model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class Padded:
    """Rows of token ids as one rectangle."""

    ids_BT: Tensor
    mask_BT: Tensor
    last_B: Tensor
    """Column of each row's last token."""

    @property
    def ragged(self) -> bool:
        """Whether any place is padding."""
        return not bool(self.mask_BT.all())


def pad(rows: Sequence[Ids], *, left: bool, device: torch.device) -> Padded:
    """Pad `rows` (n lists of ids) with id 0 on one side; the mask is 1 on real tokens."""
    lengths = torch.tensor([len(row) for row in rows])
    width = int(lengths.max())
    blank = [0] * width
    filled = [
        blank[: width - len(row)] + list(row) if left else list(row) + blank[: width - len(row)]
        for row in rows
    ]
    columns = torch.arange(width)
    real = columns >= (width - lengths)[:, None] if left else columns < lengths[:, None]
    last = torch.full_like(lengths, width - 1) if left else lengths - 1
    return Padded(
        torch.tensor(filled, dtype=torch.long, device=device),
        real.long().to(device),
        last.to(device),
    )


def no_row_empty(prefix: Ids, rows: Sequence[Ids]) -> tuple[Ids, Sequence[Ids]]:
    """The same sequences; where a row is empty, every row takes over the prefix's last token."""
    if all(rows):
        return prefix, rows
    if not prefix:
        raise ValueError("a sequence needs at least one token")
    return prefix[:-1], [[prefix[-1], *row] for row in rows]
