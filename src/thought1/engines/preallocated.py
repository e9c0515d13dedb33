"""A cache with space for future tokens: a step writes one column instead of copying all.

transformers' own layer joins the old columns and the new one into a new tensor at every step. It
knows cache layers, no model.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

MORE = 64
"""Columns added when the space is used up."""


class PreallocatedLayer(DynamicLayer):
    """Keys and values (B, heads, columns, dimension) as the start of a larger tensor.

    A copy of the object shares that tensor. It may read on, once the original no longer needs what
    it writes: both write after the columns that they had in common.
    """

    def __init__(self, keys: Tensor, values: Tensor, spare: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(keys, values)
        self._whole = keys, values
        self._columns = keys.shape[-2]
        self._allocate(spare)

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> Any:
        """Write the new columns after the others, and return all."""
        start, new = self._columns, key_states.shape[-2]
        if start + new > self._whole[0].shape[-2]:
            self._allocate(new + MORE)
        for whole, states in zip(self._whole, (key_states, value_states), strict=True):
            whole[:, :, start : start + new] = states
        self._show(start + new)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows, with their spare columns."""
        keys, values = self._whole
        self._whole = keys[indices], values[indices]
        self._show(self._columns)

    def _show(self, columns: int) -> None:
        self._columns = columns
        self.keys, self.values = (whole[:, :, :columns] for whole in self._whole)

    def _allocate(self, more: int) -> None:
        keys, values = (whole[:, :, : self._columns] for whole in self._whole)
        self._whole = _longer(keys, more), _longer(values, more)
        self._show(self._columns)


def preallocate(cache: DynamicCache, columns: int) -> None:
    """Allocate spare columns in the layers that keep every column; others are not changed."""
    for index, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.keys is not None and layer.values is not None:
            cache.layers[index] = PreallocatedLayer(layer.keys, layer.values, columns)


def compact(columns_BK: Tensor, mask_BK: Tensor, width: int) -> Tensor:
    """The columns (B, K, ...) of each row that its mask shows, in their order, and then others.

    Returns:
        Shape (B, width, ...), with zeros where K is smaller; `width` is at least the number of
        columns that any row shows.
    """
    rows, own = mask_BK.shape
    if not bool(mask_BK.all()):
        order_BW = mask_BK.argsort(dim=1, descending=True, stable=True)[:, :width]
        columns_BK = columns_BK[torch.arange(rows, device=mask_BK.device)[:, None], order_BW]
        own = order_BW.shape[1]
    if own == width:
        return columns_BK
    missing = columns_BK.new_zeros(rows, width - own, *columns_BK.shape[2:])
    return torch.cat([columns_BK, missing], 1)


def join_caches(
    cache: DynamicCache,
    other: DynamicCache,
    masks: tuple[Tensor, Tensor],
    columns: int,
    spare: int,
) -> None:
    """Append the rows of another cache to those of the first, in all layers.

    Args:
        masks: of the rows of both, (B, K) each; what they show comes into the first columns.
        columns: of the cache that comes of it; `compact` says how many are needed.
        spare: columns for future tokens.
    """
    for index, (layer, newer) in enumerate(zip(cache.layers, other.layers, strict=True)):
        assert isinstance(layer, DynamicLayer) and isinstance(newer, DynamicLayer)
        if layer.keys is None and newer.keys is None:  # nothing has been read yet
            continue
        parts = [
            _shown(each, like, mask_BK, columns)
            for each, like, mask_BK in zip((layer, newer), (newer, layer), masks, strict=True)
        ]
        keys, values = (torch.cat(pair) for pair in zip(*parts, strict=True))
        cache.layers[index] = PreallocatedLayer(keys, values, spare)


def _shown(
    layer: DynamicLayer, like: DynamicLayer, mask_BK: Tensor, columns: int
) -> tuple[Tensor, Tensor]:
    """Keys and values (B, heads, columns, dimension) of a layer; zeros where nothing was read."""
    found = []
    for own, others in ((layer.keys, like.keys), (layer.values, like.values)):
        if own is None:
            assert others is not None
            own = others.new_zeros(len(mask_BK), others.shape[1], 0, others.shape[3])
        found.append(compact(own.transpose(1, 2), mask_BK, columns).transpose(1, 2))
    return found[0], found[1]


def _longer(shown: Tensor, more: int) -> Tensor:
    rows, heads, columns, width = shown.shape
    whole = torch.empty(rows, heads, columns + more, width, dtype=shown.dtype, device=shown.device)
    whole[:, :, :columns] = shown
    return whole
