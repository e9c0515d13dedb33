"""The anchor of a query in training: its vector before the thought, added to that behind it.

`reader.anchored` is the same at inference. The weight is a number, or a parameter that the
stage's terms move; it then belongs to the trainer's model, so that checkpoints hold it and all
processes agree on it. It knows tensors and an optimizer, no data.
"""

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from thought1.training import losses

RATE = 0.01
"""Learning rate of a learnt weight's logarithm: at most about one percent a step, whatever moves
the model's own weights, for which a single number would hardly leave its place."""
NAME = "t1_anchor"
"""As which stage 3, whose trainer takes a language model alone, has it in that."""


class Anchor(nn.Module):
    """The weight of the bare query's vector.

    Args:
        weight: above 0, where it begins.
        learnt: whether it moves.
    """

    def __init__(self, weight: float, *, learnt: bool = False) -> None:
        super().__init__()
        self._given = weight
        self.log_weight = nn.Parameter(torch.tensor(math.log(weight))) if learnt else None

    @property
    def learnt(self) -> bool:
        """Whether it moves."""
        return self.log_weight is not None

    @property
    def value(self) -> float:
        """The weight now."""
        return self._given if self.log_weight is None else float(self.log_weight.detach().exp())

    def fused(self, bare_QD: Tensor, behind_QD: Tensor) -> Tensor:
        """Query vectors of those before the thoughts and those behind them, none normalised."""
        weight = self._given if self.log_weight is None else self.log_weight.exp()
        return losses.anchored(bare_QD, behind_QD, weight)

    def untouched(self) -> Tensor | float:
        """0, but with the weight in its graph: no process waits for a gradient of it."""
        if self.log_weight is None or not torch.is_grad_enabled():
            return 0.0
        return 0 * self.log_weight


def set_rate(optimizer: Optimizer, anchor: Anchor | None) -> None:
    """Give a learnt weight a group of its own, with its own rate and without decay."""
    if anchor is None or anchor.log_weight is None:
        return
    weight = anchor.log_weight
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if p is not weight]
    optimizer.add_param_group({"params": [weight], "lr": RATE, "weight_decay": 0.0})
