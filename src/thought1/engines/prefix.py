"""The start that all prompts of one kind share, run through the model once for each set of weights.

It knows a backbone and token ids, no rows and no sampling.
"""

from collections.abc import Sequence
from functools import cache
from typing import cast

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer


@cache
def optimizer_steps() -> list[int]:
    """One number, counted up by every optimizer step in this process from the first call on.

    Fused optimizers change weights without touching the version counters of the tensors.
    """
    steps = [0]

    def count(_optimizer: object, _args: object, _kwargs: object) -> None:
        steps[0] += 1

    register_optimizer_step_post_hook(count)
    return steps


class PrefixCache:
    """Keys and values of the most recent prefix."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self._held: tuple[object, list[tuple[Tensor, Tensor]]] | None = None
        self._optimizer_steps = optimizer_steps()

    def expanded(self, prefix: Sequence[int], size: int) -> DynamicCache:
        """A fresh cache for `size` rows that starts with the prefix, computed once per weights."""
        cache = DynamicCache(config=self.model.config)
        if not prefix:
            return cache
        # load_state_dict and most optimizers bump the version counters of what they change.
        weights = tuple((p.data_ptr(), p._version) for p in self.model.parameters())
        key = tuple(prefix), self._optimizer_steps[0], weights
        held = self._held
        if held is None or held[0] != key:
            held = self._held = key, self._computed(prefix)
        for index, (keys, values) in enumerate(held[1]):
            cache.update(keys.expand(size, -1, -1, -1), values.expand(size, -1, -1, -1), index)
        return cache

    def _computed(self, prefix: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of each layer, (1, heads, len(prefix), head dimension)."""
        whole = DynamicCache(config=self.model.config)
        device = self.model.device
        self.model.base_model(
            input_ids=torch.tensor([list(prefix)], device=device),
            position_ids=torch.arange(len(prefix), device=device)[None],
            past_key_values=whole,
            use_cache=True,
        )
        filled = [cast(DynamicLayer, layer) for layer in whole.layers]
        return cast(list[tuple[Tensor, Tensor]], [(each.keys, each.values) for each in filled])
