"""A cache with room for the tokens to come: a step writes one column instead of copying all.

transformers' own layer joins the old columns and the new one into a new tensor at every step. It
knows cache layers, no model.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

MORE = 64
"""Columns added where the room is used up."""


class RoomyLayer(DynamicLayer):
    """Keys and values (B, heads, columns, dimension) as the start of a larger tensor.

    A copy of the object shares that tensor. It may read on, once the original no longer needs what
    it writes: both write behind the columns that they had in common.
    """

    def __init__(self, keys: Tensor, values: Tensor, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(keys, values)
        self._whole = keys, values
        self._columns = keys.shape[-2]
        self._make_room(room)

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> Any:
        """Write the new columns behind the others, and return all."""
        start, new = self._columns, key_states.shape[-2]
        if start + new > self._whole[0].shape[-2]:
            self._make_room(new + MORE)
        for whole, states in zip(self._whole, (key_states, value_states), strict=True):
            whole[:, :, start : start + new] = states
        self._show(start + new)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows, with their room."""
        keys, values = self._whole
        self._whole = keys[indices], values[indices]
        self._show(self._columns)

    def _show(self, columns: int) -> None:
        self._columns = columns
        self.keys, self.values = (whole[:, :, :columns] for whole in self._whole)

    def _make_room(self, more: int) -> None:
        keys, values = (whole[:, :, : self._columns] for whole in self._whole)
        self._whole = _longer(keys, more), _longer(values, more)
        self._show(self._columns)


def give_room(cache: DynamicCache, columns: int) -> None:
    """Make the layers that keep every column ready for so many more; others stay as they are."""
    for index, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.keys is not None and layer.values is not None:
            cache.layers[index] = RoomyLayer(layer.keys, layer.values, columns)


def _longer(shown: Tensor, more: int) -> Tensor:
    rows, heads, columns, width = shown.shape
    whole = torch.empty(rows, heads, columns + more, width, dtype=shown.dtype, device=shown.device)
    whole[:, :, :columns] = shown
    return whole
