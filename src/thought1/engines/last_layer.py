"""The last layer, computed for the last tokens only.

A vector is read at the last token of a row. Above the last layer's keys and values nothing of the
other tokens is looked at, so their attention, feed-forward and norms need not be computed: an
eighth of the matrix products of a BERT of six layers. It knows decoder layers, no rows of ids and
no sampling.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

MODEL_TYPES = frozenset({"bert", "gemma", "llama", "qwen2", "qwen3"})
"""Their layers take positions and mask in the form sliced here; test_last_layer.py tests each."""


class _Filled(Exception):
    """Raised once the keys and values of all tokens are computed."""


class _Filling:
    """Replaces the cache in the first pass, which ends with the keys and values."""

    def __init__(self, cache: DynamicCache) -> None:
        self.cache = cache
        self.kept: tuple[Tensor, ...] = ()

    def update(self, keys: Tensor, values: Tensor, layer: int, *rest: Any) -> None:
        self.kept = self.cache.update(keys, values, layer, *rest)
        raise _Filled


class _Reading:
    """Replaces the cache in the second pass: what the first has kept, and nothing more."""

    def __init__(self, kept: tuple[Tensor, Tensor]) -> None:
        self.kept = kept

    def update(self, *_new: Any) -> tuple[Tensor, Tensor]:
        return self.kept


@contextmanager
def last_tokens_only(model: PreTrainedModel, cache: DynamicCache, last_B: Tensor) -> Iterator[None]:
    """Inside, a forward pass with `cache` may give hidden states (B, 1, D) instead of (B, T, D).

    They are those at the columns `last_B` of the new tokens. Where the architecture is not known to
    allow it, or another thread runs the same model, all T columns come as ever.
    Rows must begin in the first column: the mask hides what follows each row's last token.
    """
    layer = _last_layer(model)
    if layer is not None:
        layer.forward = _shortened(layer, cache, last_B)
    try:
        yield
    finally:
        if layer is not None:
            # Another thread may have come in and left in the meantime: none is an error.
            vars(layer).pop("forward", None)


def _last_layer(model: PreTrainedModel) -> nn.Module | None:
    config = model.config
    if config.model_type not in MODEL_TYPES or config._attn_implementation not in ("sdpa", "eager"):
        return None
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == config.num_hidden_layers:
            # A `forward` that others have replaced stays.
            return None if "forward" in vars(module[-1]) else module[-1]
    return None


def _shortened(layer: nn.Module, cache: DynamicCache, last_B: Tensor) -> Callable[..., Any]:
    whole = layer.forward

    def forward(hidden_BTD: Tensor, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("past_key_values") is not cache or hidden_BTD.shape[1] == 1:
            return whole(hidden_BTD, *args, **kwargs)
        filling = _Filling(cache)
        try:
            return whole(hidden_BTD, *args, **{**kwargs, "past_key_values": filling})
        except _Filled:
            keys, values = filling.kept
        rows_B = torch.arange(len(last_B), device=last_B.device)

        def at_last(tensor_BTX: Tensor) -> Tensor:
            return tensor_BTX[rows_B, last_B][:, None]

        changed: dict[str, Any] = {"past_key_values": _Reading((keys, values))}
        mask_B11K = _mask(keys.shape[2], hidden_BTD, last_B)
        if "attention_mask" in kwargs:
            changed["attention_mask"] = mask_B11K
        else:
            args = (mask_B11K, *args[1:])
        changed["position_ids"] = at_last(kwargs["position_ids"])
        if "position_embeddings" in kwargs:
            changed["position_embeddings"] = tuple(map(at_last, kwargs["position_embeddings"]))
        return whole(at_last(hidden_BTD), *args, **{**kwargs, **changed})

    return forward


def _mask(columns: int, hidden_BTD: Tensor, last_B: Tensor) -> Tensor:
    """Additive (B, 1, 1, columns): each row's last token sees itself and all before it."""
    places_K = torch.arange(columns, device=hidden_BTD.device)
    last_place_B1 = columns - hidden_BTD.shape[1] + last_B[:, None]
    mask_BK = torch.zeros(len(last_B), columns, dtype=hidden_BTD.dtype, device=hidden_BTD.device)
    hidden = torch.finfo(hidden_BTD.dtype).min
    return mask_BK.masked_fill(places_K > last_place_B1, hidden)[:, None, None]
