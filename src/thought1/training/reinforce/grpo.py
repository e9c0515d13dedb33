"""The adapter to trl's GRPOTrainer, pinned: everything of trl that stage 3 leans on is here.

What trl keeps: the loop over rollouts, micro-batches and iterations, the sampler that repeats
questions, clipping, loss types, resume, logging. What is replaced, each a seam with a contract test
(tests/contracts/test_trl.py):

- `_generate_and_score_completions`: rollouts by our engine, rewards by `rewards`.
- `_get_per_token_logps_and_entropies`: through the model's own head, positions from the mask.
  trl 1.16's fused head skips the transform of a BERT decoder and passes no positions.
- `_compute_loss`: the policy term of trl, and InfoNCE from the same forward pass.
- `_metrics["train"]`: where logged numbers are kept until the next entry.
- `create_model_card`: none.

It knows trl and tensors; questions, documents and rewards come through `Roll`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import trl
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from thought1.training import losses
from thought1.training.data.collate import PACKED_TOKENS, fit, packed
from thought1.training.model.anchor import NAME, Anchor, ProjectedAnchor, set_rate
from thought1.training.model.embedder import TrainedEmbedder, keep_each_once
from thought1.training.model.logprobs import completion_logprobs
from thought1.training.reinforce.rollouts import bare_rows, sequences
from thought1.types import Sampling, Thought1Error

PINNED = "1.16.0"
"""The trl whose seams are known."""


@dataclass(frozen=True, slots=True)
class ScoredRollouts:
    """What a `Roll` makes of the questions of one step."""

    policy: dict[str, Tensor]
    """See `rollouts.policy_tensors`."""
    advantages_R: Tensor
    positives_RN: Tensor
    """Booleans over `documents`: the sampled positives of each rollout's question."""
    answers_RN: Tensor
    """Booleans: all of them that answer it, which are not negatives."""
    documents: Sequence[Sequence[int]]
    """Token ids of the N documents of the InfoNCE term, `<emb_token>` included."""
    facts: dict[str, float]
    """For the log."""
    given: tuple[Tensor, Tensor] | None = None
    """Vectors of a frozen companion instead of those documents': (R, E) of each rollout's
    question, (N, E) of the documents."""


Roll = Callable[[Sequence[int], int], ScoredRollouts]
"""Numbers of questions, step -> rollouts, scored."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The values that trl does not have, or that it would read in its own way."""

    sampling: Sampling
    emb_id: int
    weight_policy: float
    weight_kl: float
    weight_contrastive: float
    contrastive_temperature: float
    reference: PreTrainedModel | None = None
    """The model as the stage began; needed where `weight_kl` is above 0."""
    anchor: Anchor | None = None
    """Of the vectors that the contrastive term reads."""


def grpo_config(values: dict[str, Any]) -> GRPOConfig:
    """trl's own arguments.

    Raises:
        Thought1Error: the installed trl is not the one that the seams were written for.
    """
    if trl.__version__ != PINNED:
        raise Thought1Error(
            f"stage reinforce needs trl {PINNED}, but {trl.__version__} is installed: "
            f"pip install trl=={PINNED}"
        )
    return GRPOConfig(**values)


class ReinforceTrainer(GRPOTrainer):
    """trl's trainer with our rollouts, log-probabilities and InfoNCE term.

    Args:
        indices: numbers of questions in the order of the steps, all epochs in one: trl's own order
            begins again in a run that is resumed after its first epoch.
    """

    def __init__(
        self,
        *,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        args: GRPOConfig,
        indices: Sequence[int],
        roll: Roll,
        policy: Policy,
        **others: Any,
    ) -> None:
        if policy.anchor is not None and policy.anchor.moves:
            # A part of what is trained, saved, restored and kept equal among processes.
            model.add_module(NAME, policy.anchor)
        rows = [{"prompt": str(index), "index": index} for index in indices]
        super().__init__(
            model=model,
            reward_funcs=[_never],
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            **others,
        )
        self.roll = roll
        self.policy = policy
        self.beta = policy.weight_kl  # trl would load its reference model from a path
        self.embedder = TrainedEmbedder(model)
        self._documents: Sequence[Sequence[int]] = ()
        self._given_NE: Tensor | None = None
        self._vectors_BD = torch.zeros(0)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        indices = [row["index"] for row in inputs[:: self.num_generations]]
        scored = self.roll(indices, self.state.global_step)
        self._documents = scored.documents
        self._given_NE = None if scored.given is None else scored.given[1]
        for name, value in scored.facts.items():
            self._note(name, value)
        counted = self.accelerator.gather(scored.policy["tool_mask"].sum()[None])
        batch = {
            **scored.policy,
            "advantages": scored.advantages_R,
            "positives_RN": scored.positives_RN,
            "answers_RN": scored.answers_RN,
            "num_items_in_batch": counted.sum(),
        }
        if scored.given is not None:
            batch["given_RE"] = scored.given[0]
        return batch | self._frozen_logprobs(batch)

    @torch.no_grad()
    def _frozen_logprobs(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Those of the policy that sampled, where it moves while the rollouts last, and those of
        the reference."""
        frozen: dict[str, nn.Module] = {}
        if self.num_iterations > 1:
            frozen["old_per_token_logps"] = cast(nn.Module, self.model)
        if self.beta:
            assert self.policy.reference is not None
            frozen["ref_per_token_logps"] = self.policy.reference
        return {name: self._logprobs(model, *sequences(batch))[0] for name, model in frozen.items()}

    def _get_per_token_logps_and_entropies(
        self,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        *_: Any,
        **__: Any,
    ) -> tuple[Tensor, Tensor, None]:
        logprobs_BC, entropies_BC, self._vectors_BD = self._logprobs(
            model, input_ids, attention_mask, logits_to_keep
        )
        return logprobs_BC, entropies_BC, None

    def _logprobs(
        self, model: nn.Module, ids_BT: Tensor, mask_BT: Tensor, length: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        network = self.accelerator.unwrap_model(model)
        with self.accelerator.autocast():
            return completion_logprobs(
                model,
                network.base_model,
                ids_BT,
                mask_BT,
                length,
                self.policy.sampling,
            )

    def _compute_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        policy: Tensor = super()._compute_loss(model, inputs)  # type: ignore[no-untyped-call]
        loss = self.policy.weight_policy * policy
        self._note("loss_policy", float(loss.detach()))
        if self.policy.weight_contrastive:
            queries_BD, documents_ND = self._sides(inputs)
            term = losses.info_nce(
                queries_BD,
                documents_ND,
                inputs["positives_RN"],
                temperature=self.policy.contrastive_temperature,
                ignore_QN=inputs["answers_RN"],
            )
            self._note("loss_contrastive", float(term.detach()))
            # trl's own terms are divided there already.
            parts = self.current_gradient_accumulation_steps
            loss = loss + self.policy.weight_contrastive * term / parts
        if not torch.isfinite(loss.detach()):
            raise Thought1Error(
                f"the loss of step {self.state.global_step + 1} is not finite: the last checkpoint "
                "is complete; resume from it with a smaller learning_rate"
            )
        return loss

    def _sides(self, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Vectors (B, D) of the queries, anchored where they are, and (N, D) of the documents."""
        anchor = self.policy.anchor
        if anchor is None:
            return self._vectors_BD, self._encode(self._documents)
        if anchor.learnt:
            self._note("anchor", anchor.value)
        if isinstance(anchor, ProjectedAnchor):
            assert self._given_NE is not None
            thinking_B = inputs["completion_mask"].sum(1) > 1
            queries_BE = anchor.moved(inputs["given_RE"], self._vectors_BD, thinking_B)
            return queries_BE, self._given_NE
        rows = bare_rows(inputs, self.policy.emb_id)
        different = list(dict.fromkeys(rows))  # a group shares its prompt
        found_MD = self._encode([*different, *self._documents])
        indices = [different.index(row) for row in rows]
        queries_BD = anchor.fused(found_MD[indices], self._vectors_BD)
        return queries_BD, found_MD[len(different) :]

    def _encode(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Vectors (N, D) at the ends of rows of token ids, with gradient."""
        groups = fit([len(row) for row in rows], PACKED_TOKENS)
        tensors = packed([[rows[i] for i in group] for group in groups])
        device = self.accelerator.device
        with self.accelerator.autocast():
            vectors_ND, _ = self.embedder(tensors["ids"].to(device), tensors["segments"].to(device))
        order = torch.tensor([i for group in groups for i in group], device=device)
        found: Tensor = vectors_ND[order.argsort()]
        return found

    def _save(self, output_dir: Any = None, state_dict: Any = None) -> None:
        """With adapters tied weights have other names than the model says may be tied."""
        model: Any = self.model
        state = dict(model.state_dict() if state_dict is None else state_dict)
        keep_each_once(state)
        super()._save(output_dir, state)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The trainer's own, and a rate for a learnt anchor."""
        made = self.optimizer is None
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if made:
            set_rate(optimizer, self.policy.anchor)
        return optimizer

    def release_anchor(self) -> None:
        """Take the anchor out of the language model again, which is about to be saved."""
        if self.policy.anchor is not None and self.policy.anchor.moves:
            delattr(self.accelerator.unwrap_model(self.model), NAME)

    def _note(self, name: str, value: float) -> None:
        self._metrics["train"][name].append(value)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Without the two extremes that are undefined where a thought has left the loss."""
        for name in ("clip_ratio/low_min", "clip_ratio/high_max"):
            self._metrics["train"].pop(name, None)
        super().log(logs, start_time)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None: a checkpoint of ours has its lineage in t1.json."""


def _never(*_: Any, **__: Any) -> list[float | None]:
    raise AssertionError("trl called the reward function: its interface has changed")
