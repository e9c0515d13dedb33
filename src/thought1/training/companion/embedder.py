"""One forward pass of a companion: vectors of texts, and of queries with the thoughts behind them.

It knows tensors and a sentence-transformers model, no text and no training loop.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BARE, READ = 1, 2
"""Segments of a row, as `data.collate.packed` counts them: a document or the bare query, and a
query with its thought behind it."""


class CompanionEmbedder(nn.Module):
    """A `SentenceTransformer` with the inputs and outputs of `model.embedder.Embedder`.

    Args:
        network: the sentence-transformers model.
        weight: of the anchor, see `reader.anchored`.
    """

    def __init__(self, network: Any, weight: float) -> None:
        super().__init__()
        self.network = network
        self.weight = weight

    def forward(
        self, ids_BT: Tensor, segments_BT: Tensor, labels_BT: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Vectors of all rows, and a 0 in the place of a language loss.

        Args:
            ids_BT: token ids of one text, or of two one behind the other.
            segments_BT: `BARE`, `READ`, or 0 for padding. A row with both gets
                normalise(weight x bare + read), both normalised first.

        Returns:
            Float32 vectors (B, D); and a scalar.
        """
        bare_BD = self._vectors(ids_BT, segments_BT == BARE)
        thinking_B = (segments_BT == READ).any(1)
        vectors_BD = bare_BD
        if thinking_B.any():
            inside_BT = segments_BT == READ
            read_MD = F.normalize(
                self._vectors(*_to_the_left(ids_BT[thinking_B], inside_BT[thinking_B])), dim=-1
            )
            anchors_MD = self.weight * F.normalize(bare_BD[thinking_B], dim=-1)
            vectors_BD = bare_BD.clone()
            vectors_BD[thinking_B] = F.normalize(anchors_MD + read_MD, dim=-1)
        return vectors_BD, vectors_BD.new_zeros(())

    def _vectors(self, ids_BT: Tensor, inside_BT: Tensor) -> Tensor:
        width = max(int(inside_BT.sum(1).max()), 1)
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
