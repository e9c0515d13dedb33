"""Linear layers in bfloat16 for thoughts: half the bytes of each step, and AMX where there is one.

Reading the weights is what a step with few rows waits for. The copies are in the order that
oneDNN's products read; between the products everything stays float32. It knows torch modules, no
language model.
"""

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from thought1.engines.prefix import optimizer_steps

ROWS = 512
"""What the order is chosen for. A smaller number makes prompts slow, this one slows no step."""


def bfloat16_exists() -> bool:
    """Whether oneDNN computes products of bfloat16 on this processor."""
    backend = torch.backends.mkldnn
    operators = torch.ops.mkldnn
    return (
        backend.is_available()
        and bool(backend.enabled)
        and hasattr(operators, "_reorder_linear_weight")
        and bool(operators._is_mkldnn_bf16_supported())
    )


def packed(weight: Tensor) -> Tensor:
    """A copy of (outputs, inputs) in bfloat16, for `product` only."""
    copy: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach().bfloat16(), ROWS)
    return copy


def product(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`functional.linear` with a packed weight: inputs and outputs are rounded to bfloat16."""
    rounded: Tensor = torch.ops.mkldnn._linear_pointwise(
        input.bfloat16(), weight, None, "none", [], ""
    )
    found = rounded.float()
    return found if bias is None else found.add_(bias)


class PackedLinears:
    """The copies of the layers that have been used, each copied again when its weights change."""

    def __init__(self) -> None:
        self._copies: WeakKeyDictionary[nn.Module, tuple[object, Tensor]] = WeakKeyDictionary()
        self._optimizer_steps = optimizer_steps()

    def forward(self, layer: nn.Linear) -> Callable[[Tensor], Tensor]:
        """The replacement of `layer.forward`."""
        weight = layer.weight
        key = weight.data_ptr(), weight._version, self._optimizer_steps[0]
        held = self._copies.get(layer)
        if held is None or held[0] != key:
            held = self._copies[layer] = key, packed(weight)
        copy, bias = held[1], layer.bias

        def forward(input: Tensor) -> Tensor:
            return product(input, copy, bias)

        return forward
