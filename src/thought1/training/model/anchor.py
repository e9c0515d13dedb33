"""The anchor of a query in training: its vector before the thought, added to the one after it.

`reader.anchored` and `reader.projected` are the same at inference. The weight is a number, or a
parameter that the stage's terms move; it then belongs to the trainer's model, as a projection does,
so that checkpoints hold it and all processes agree on it. It knows tensors, an optimizer and what
reads at inference, no data.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from thought1.model.checkpoint import Checkpoint
from thought1.model.reader import Reader
from thought1.training import losses
from thought1.types import Vectors

RATE = 0.01
"""Learning rate of a learnt weight's logarithm: at most about one percent a step, whatever moves
the model's own weights, for which a single number would hardly leave its place."""
NAME = "t1_anchor"
"""Its name in the language model of stage 3, whose trainer takes nothing else."""


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
    def moves(self) -> bool:
        """Whether anything of it is trained."""
        return any(True for _ in self.parameters())

    @property
    def _weight(self) -> Tensor | float:
        return self._given if self.log_weight is None else self.log_weight.exp()

    @property
    def value(self) -> float:
        """The weight now."""
        return self._given if self.log_weight is None else float(self.log_weight.detach().exp())

    def fused(self, bare_QD: Tensor, behind_QD: Tensor) -> Tensor:
        """Query vectors from those before and after the thoughts, none normalised."""
        return losses.anchored(bare_QD, behind_QD, self._weight)

    def queries(self, rows_MD: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """The query vectors (Q, D) of a batch; see `data.thoughts`.

        Args:
            rows_MD: vectors of all rows of the query side, not normalised.
        """
        behind_QD = rows_MD[inputs["query_indices"]]
        if "anchor_indices" not in inputs:
            return behind_QD
        return self.fused(rows_MD[inputs["anchor_indices"]], behind_QD)

    def followed(self, reader: Reader) -> Reader:
        """What reads at inference as this does now."""
        return replace(reader, weight=self.value)

    def kept(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint, with what has been learnt."""
        if not self.learnt:
            return checkpoint
        return replace(checkpoint, settings=replace(checkpoint.settings, anchor=self.value))

    def untouched(self) -> Tensor | float:
        """0, but with the parameters in its graph: no process waits for a gradient of them."""
        held = list(self.parameters()) if torch.is_grad_enabled() else []
        return 0 * torch.stack([parameter.sum() for parameter in held]).sum() if held else 0.0


class ProjectedAnchor(Anchor):
    """A frozen companion's vector of the bare query, and a projection that learns to move it.

    Args:
        projection_ED: the matrix to begin with, into the companion's space.
    """

    def __init__(self, weight: float, projection_ED: Vectors, *, learnt: bool = False) -> None:
        super().__init__(weight, learnt=learnt)
        self.projection = nn.Parameter(torch.tensor(projection_ED))

    def fused(self, bare_QD: Tensor, behind_QD: Tensor) -> Tensor:
        """Query vectors (Q, E) from the companion's before, and (Q, D) after the thoughts."""
        return losses.projected(bare_QD, behind_QD, self._weight, self.projection)

    def moved(self, given_QE: Tensor, behind_QD: Tensor, thinking_Q: Tensor) -> Tensor:
        """The same where something is thought, else the companion's as they are."""
        return torch.where(thinking_Q[:, None], self.fused(given_QE, behind_QD), given_QE)

    def queries(self, rows_MD: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """The query vectors (Q, E) of a batch of pairs."""
        behind_QD = rows_MD[inputs["query_indices"]]
        if "query_given" not in inputs:
            return behind_QD
        return self.moved(inputs["query_given"], behind_QD, inputs["thinking"])

    def followed(self, reader: Reader) -> Reader:
        """What reads at inference as this does now."""
        return replace(super().followed(reader), projection=self._matrix())

    def kept(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint, with what has been learnt."""
        return replace(super().kept(checkpoint), projection=self._matrix())

    def _matrix(self) -> Vectors:
        found: Vectors = self.projection.detach().cpu().numpy().copy()
        return found


def find_anchor(reader: Reader, *, trains: bool, learnt: bool) -> Anchor | None:
    """What fuses the vectors of queries in training as `reader` does; None if nothing does.

    Args:
        trains: whether a term compares documents with the vectors after thoughts.
        learnt: whether such a stage moves the weight.
    """
    if reader.projection is not None and trains:
        return ProjectedAnchor(reader.weight, reader.projection, learnt=learnt)
    if reader.plain or reader.companion is not None:
        return None
    return Anchor(reader.weight, learnt=learnt and trains)


def kept_with(anchor: Anchor | None, checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint, with what its anchor has learnt, if it has one."""
    return checkpoint if anchor is None else anchor.kept(checkpoint)


def set_rate(optimizer: Optimizer, anchor: Anchor | None) -> None:
    """Give a learnt weight a group of its own, with its own rate and without decay."""
    if anchor is None or anchor.log_weight is None:
        return
    weight = anchor.log_weight
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if p is not weight]
    optimizer.add_param_group({"params": [weight], "lr": RATE, "weight_decay": 0.0})
