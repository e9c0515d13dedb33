"""Float32 linear layers through oneDNN, where that is faster than what torch takes by itself.

Which is faster depends on the processor: `engines.route` measures it. Products of bfloat16 go
through oneDNN anyway.

For inference only: no gradient flows. It knows torch modules, no language model.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from thought1.engines.packed import PackedLinears
from thought1.engines.route import Route, linear_route, onednn


@contextmanager
def onednn_linears(model: nn.Module, packed: PackedLinears | None = None) -> Iterator[None]:
    """Inside, the float32 `nn.Linear` layers of a model on CPU use oneDNN where it is faster.

    Results differ by rounding only. Nothing changes on a GPU, under autocast, and where the route
    is torch's own.

    Args:
        packed: compute in bfloat16 instead, with these copies of the weights.

    Raises:
        Thought1Error: the variable T1_LINEAR names no route of this torch.
    """
    layers = [] if torch.is_autocast_enabled("cpu") else _replaceable(model)
    if layers and packed is None:
        route = linear_route()
        layers = layers if "onednn" in (route.few, route.many) else []
    for layer in layers:
        forward = _routed(layer, route) if packed is None else packed.forward(layer)
        layer.forward = forward  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        for layer in layers:
            # Another thread may have come in and left in the meantime: none is an error.
            vars(layer).pop("forward", None)


def _replaceable(model: nn.Module) -> list[nn.Linear]:
    """Subclasses (quantised layers) and layers whose `forward` others have replaced stay."""
    return [
        module
        for module in model.modules()
        if type(module) is nn.Linear
        and "forward" not in vars(module)
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
    ]


def _routed(layer: nn.Linear, route: Route) -> Callable[[Tensor], Tensor]:
    weight, bias, width = layer.weight, layer.bias, layer.in_features

    def forward(input: Tensor) -> Tensor:
        if input.dtype != torch.float32 or route.of(input.numel() // width) == "torch":
            return functional.linear(input, weight, bias)
        return onednn(input, weight, bias)

    return forward
