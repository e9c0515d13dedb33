"""A key-value cache with room for the tokens to come.

The cache of transformers concatenates: each new token copies all that are there. This one writes
into place, and rows leave it without the others being copied. It knows no model and no tokens.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """Keys and values (B, H, K, D) of one attention layer, views into buffers of `room` columns."""

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.room = room
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write the new columns behind the old ones; returns all of them."""
        old = self.get_seq_length()
        if self._buffers is None:
            self.lazy_initialization(key_states, value_states)
            self._buffers = self._empty(key_states), self._empty(value_states)
        columns = slice(old, old + key_states.shape[2])
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, columns] = new
        return self._view(columns.stop)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows, in this order; a row that stays in its place is not copied."""
        if self._buffers is None:
            return
        length, size = self.get_seq_length(), len(indices)
        moved = (indices != torch.arange(size, device=indices.device)).nonzero()[:, 0]
        kept = [buffer[:size] for buffer in self._buffers]
        if len(moved):
            for buffer, new in zip(self._buffers, kept, strict=True):
                new[moved, :, :length] = buffer[indices[moved], :, :length]
        self._buffers = kept[0], kept[1]
        self._view(length)

    def _empty(self, states: Tensor) -> Tensor:
        rows, heads, _, width = states.shape
        return states.new_empty(rows, heads, self.room, width)

    def _view(self, length: int) -> tuple[Tensor, Tensor]:
        assert self._buffers is not None
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)
        return self.keys, self.values


def roomy_cache(config: PretrainedConfig, room: int) -> DynamicCache:
    """An empty cache for `room` tokens a row; layers of other kinds (sliding) stay as they are."""
    cache = DynamicCache(config=config)
    cache.layers = [
        RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache
