"""One forward pass of a batch: the vectors at `<emb_token>` and the next-token loss.

A row may hold several texts one after the other (packed): `segments` numbers them, each text
reads itself only and counts its positions from 0, so that packing changes no vector. It knows
tensors and a causal language model, no text and no training loop.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from thought1.engines.hf import has_windows
from thought1.training.losses import IGNORE_INDEX
from thought1.training.model.anchor import Anchor
from thought1.training.model.next_token import next_token


class TrainedEmbedder(nn.Module):
    """A causal language model with vectors and a language loss as its outputs.

    One module with one forward, so that wrappers of several processes see every pass.

    Args:
        model: the causal language model.
        language: whether there is a language loss to train; else the language head stays out.
        anchor: of the queries, a part of what is trained and saved; the loss reads it.
    """

    def __init__(
        self, model: PreTrainedModel, *, language: bool = False, anchor: Anchor | None = None
    ) -> None:
        super().__init__()
        self.network = model if language else cast(PreTrainedModel, model.base_model)
        self.language = language
        self.anchor = anchor
        self._windows = has_windows(model)
        whole = set(self.state_dict())
        self.register_state_dict_post_hook(_hook)  # type: ignore[no-untyped-call]
        # The trainer's word for what it need not find in a checkpoint.
        self._keys_to_ignore_on_save = sorted(whole - set(self.state_dict()))

    @property
    def backbone(self) -> PreTrainedModel:
        """The network without its language head."""
        return cast(PreTrainedModel, self.network.base_model)

    def tie_weights(self) -> None:
        """Do nothing: the trainer, which calls this, has just loaded values into tied tensors."""

    def forward(
        self, ids_BT: Tensor, segments_BT: Tensor, labels_BT: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Vectors of all texts, and the mean loss over all labels.

        Args:
            ids_BT: token ids; padding only at the end of a row.
            segments_BT: 0 for padding, else the number of the text within its row, from 1.
            labels_BT: at the positions of the input, `IGNORE_INDEX` where a token is no target; the
                label at i + 1 is learnt at position i. None computes no language loss.

        Returns:
            Float32 vectors (M, D) at the last token of each text, row by row, not normalised; and
            a scalar, 0 without labels.
        """
        if labels_BT is None or not self.language:
            hidden_BTD = self.backbone(**self._inputs(ids_BT, segments_BT)).last_hidden_state
            vectors_MD = hidden_BTD[_ends(segments_BT)].float() + self._untouched()
            return self._with_anchor(vectors_MD), hidden_BTD.new_zeros(())
        picked_BT = torch.zeros_like(segments_BT, dtype=torch.bool)
        picked_BT[:, :-1] = labels_BT[:, 1:] != IGNORE_INDEX
        with head_reads(self.backbone, picked_BT) as seen:
            logits_1MV = self.network(**self._inputs(ids_BT, segments_BT)).logits
        loss = next_token(logits_1MV[0], labels_BT[:, 1:][picked_BT[:, :-1]])
        return self._with_anchor(seen[0][_ends(segments_BT)].float()), loss

    def _with_anchor(self, vectors_MD: Tensor) -> Tensor:
        """The same, with a learnt anchor in their graph."""
        return vectors_MD if self.anchor is None else vectors_MD + self.anchor.untouched()

    def _inputs(self, ids_BT: Tensor, segments_BT: Tensor) -> dict[str, Any]:
        columns_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        # Causal attention never sees the padding after a row: a single text needs no mask.
        positions_BT, mask = columns_T.expand_as(ids_BT), None
        if int(segments_BT.max()) > 1:
            positions_BT = _positions(segments_BT)
            # A mask would replace the windows of such models, which separate packed texts
            # themselves, by positions that begin again. Not every other model does.
            mask = None if self._windows else _own_text_only(segments_BT)
        return {
            "input_ids": ids_BT,
            "attention_mask": mask,
            "position_ids": positions_BT,
            "use_cache": False,
        }

    def _untouched(self) -> Tensor | float:
        """0, but with the language head in its graph: no process waits for a gradient of it."""
        if not self.language or not torch.is_grad_enabled():
            return 0.0
        held = {id(parameter) for parameter in self.backbone.parameters()}
        head = [p for p in self.network.parameters() if id(p) not in held and p.requires_grad]
        return 0 * torch.stack([p.sum() for p in head]).sum() if head else 0.0


def _hook(_module: nn.Module, state: dict[str, Any], _prefix: str, _metadata: object) -> None:
    keep_each_once(state)


def keep_each_once(state: dict[str, Any]) -> None:
    """Of tied weights keep one name, in place: files of safetensors hold no tensor twice."""
    seen: set[int] = set()
    for name, tensor in list(state.items()):
        if tensor.data_ptr() in seen:
            del state[name]
        seen.add(tensor.data_ptr())


def _positions(segments_BT: Tensor) -> Tensor:
    """The position of each token within its text, from 0."""
    columns_T = torch.arange(segments_BT.shape[1], device=segments_BT.device)
    starts_BT = torch.ones_like(segments_BT, dtype=torch.bool)
    starts_BT[:, 1:] = segments_BT[:, 1:] != segments_BT[:, :-1]
    return columns_T - (columns_T * starts_BT).cummax(1).values


def _own_text_only(segments_BT: Tensor) -> Tensor:
    """Float32 (B, 1, T, T), added to the scores: every attention of transformers understands it."""
    same_BTT = segments_BT[:, :, None] == segments_BT[:, None, :]
    mask_BTT = torch.zeros(same_BTT.shape, device=segments_BT.device)
    return mask_BTT.masked_fill(~same_BTT.tril(), torch.finfo(mask_BTT.dtype).min)[:, None]


def _ends(segments_BT: Tensor) -> Tensor:
    """Booleans (B, T): True at the last token of each text."""
    next_BT = torch.zeros_like(segments_BT)
    next_BT[:, :-1] = segments_BT[:, 1:]
    return (segments_BT > 0) & (segments_BT != next_BT)


@contextmanager
def head_reads(backbone: nn.Module, picked_BT: Tensor) -> Iterator[list[Tensor]]:
    """Inside, the language head gets only the picked positions, as one row (1, M).

    The model's own head computes the logits (some transform, scale or cap them), but not those of
    prompts and padding. The list holds the backbone's whole last hidden state (B, T, D).
    """
    seen: list[Tensor] = []

    def pick(_module: nn.Module, _inputs: object, outputs: Any) -> Any:
        seen[:] = [outputs.last_hidden_state]
        outputs.last_hidden_state = seen[0][picked_BT][None]
        return outputs

    handle = backbone.register_forward_hook(pick)
    try:
        yield seen
    finally:
        handle.remove()
