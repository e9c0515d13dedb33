"""Float32 linear layers through oneDNN, which uses AVX-512 on every processor that has it.

torch sends float32 products on x86 to MKL, which seems to keep its AVX-512 kernels for Intel's own
processors: on an AMD EPYC one thread reaches 98 GFLOP/s through MKL and 216 through oneDNN
(`benchmarks/speed.py` prints both). Products of bfloat16 go through oneDNN anyway.

For inference only: no gradient flows. It knows torch modules, no language model.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional


@contextmanager
def onednn_linears(model: nn.Module) -> Iterator[None]:
    """Inside, the float32 `nn.Linear` layers of a model on CPU compute with oneDNN.

    Results differ by rounding only. Nothing changes on a GPU, under autocast, and where the
    processor has no AVX-512 or torch no oneDNN.
    """
    layers = _replaceable(model) if _available() else []
    for layer in layers:
        layer.forward = _onednn(layer)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        for layer in layers:
            # Another thread may have come in and left in the meantime: none is an error.
            vars(layer).pop("forward", None)


def _available() -> bool:
    return (
        torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and not torch.is_autocast_enabled("cpu")
    )


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


def _onednn(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    weight, bias = layer.weight, layer.bias

    def forward(input: Tensor) -> Tensor:
        if input.dtype != torch.float32:
            return functional.linear(input, weight, bias)
        # The operator that torch.compile puts here; it has no public name.
        product: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
        return product

    return forward
