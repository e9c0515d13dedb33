"""One forward pass of a companion: vectors of texts, and of queries followed by their thoughts.

It knows tensors and a sentence-transformers model, no text and no training loop.
"""

from typing import Any

import torch
from torch import Tensor, nn

from thought1.training.losses import anchored

CHUNK = 16
"""Rows that go through the network together."""
BARE, READ = 1, 2
"""Segments of a row, as `data.collate.packed` counts them: a document or the bare query, and a
query followed by its thought."""


class CompanionEmbedder(nn.Module):
    """A `SentenceTransformer` with the inputs and outputs of `model.embedder.Embedder`.

    Args:
        network: the sentence-transformers model.
        weight: of the anchor, see `reader.anchored`.
    """

    anchor = None
    """It learns no weight."""

    def __init__(self, network: Any, weight: float) -> None:
        super().__init__()
        self.network = network
        self.weight = weight

    def forward(
        self, ids_BT: Tensor, segments_BT: Tensor, labels_BT: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Vectors of all rows, and a 0 instead of a language loss.

        Args:
            ids_BT: token ids of one text, or of two consecutive ones.
            segments_BT: `BARE`, `READ`, or 0 for padding. A row with both gets
                normalise(weight x bare + read), both normalised first.

        Returns:
            Float32 vectors (B, D); and a scalar.
        """
        bare_BD = self._vectors(ids_BT, segments_BT == BARE)
        thinking_B = (segments_BT == READ).any(1)
        if not thinking_B.any():
            return bare_BD, bare_BD.new_zeros(())
        read_MD = self._vectors(ids_BT[thinking_B], segments_BT[thinking_B] == READ)
        vectors_BD = bare_BD.clone()
        vectors_BD[thinking_B] = anchored(bare_BD[thinking_B], read_MD, self.weight)
        return vectors_BD, vectors_BD.new_zeros(())

    def _vectors(self, ids_BT: Tensor, inside_BT: Tensor) -> Tensor:
        """Vectors (B, D) of the marked tokens of each row, in chunks of similar length."""
        ids_BT, inside_BT = _to_the_left(ids_BT, inside_BT)
        lengths_B = inside_BT.sum(1)
        order_B = lengths_B.argsort()
        parts = [
            self._read(ids_BT[rows], inside_BT[rows], int(lengths_B[rows[-1]]))
            for rows in order_B.split(CHUNK)
        ]
        return torch.cat(parts)[order_B.argsort()]

    def _read(self, ids_BT: Tensor, inside_BT: Tensor, width: int) -> Tensor:
        mask_BT = inside_BT[:, :width].long()
        features = {
            "input_ids": ids_BT[:, :width] * mask_BT,
            "attention_mask": mask_BT,
            "token_type_ids": torch.zeros_like(mask_BT),
        }
        vectors_BD: Tensor = self.network(features)["sentence_embedding"]
        return vectors_BD.float()


def _to_the_left(ids_BT: Tensor, inside_BT: Tensor) -> tuple[Tensor, Tensor]:
    """The marked tokens of each row at its beginning, in their order."""
    order_BT = torch.argsort(~inside_BT, dim=1, stable=True)
    return ids_BT.gather(1, order_BT), inside_BT.gather(1, order_BT)
