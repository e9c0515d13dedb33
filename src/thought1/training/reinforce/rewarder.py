"""Stage 3, reinforce: which thoughts retrieve well, by GRPO with retrieval as the reward.

    [[stages]]
    stage = "reinforce"

For each question the model samples a group of thoughts; each is rewarded by how well the vector
after it ranks the question's documents, and the policy moves towards the better ones of each
group (GRPO, arXiv 2402.03300, through trl), plus a small InfoNCE term over all rollouts (LREM,
arXiv 2510.14321: 0.1). Documents are encoded with the current weights in every step, so that
nothing is stale, unless the pool is an index. Departures: groups without variance leave the loss;
an `<emb_token>` that was forced is in no policy term; the log-probabilities respect the temperature
and the repetition control of the sampling.

It knows questions, documents and rewards; `grpo` knows trl.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor

from thought1 import rewards
from thought1.data.rollouts import RolloutText, append_rollouts
from thought1.model.queries import PromptedQueries
from thought1.t1 import T1
from thought1.training.data.batches import Ids, Rows, pair_batch
from thought1.training.data.sources import TrainingPair
from thought1.training.recipe import ReinforceConfig, ReinforceStage
from thought1.training.reinforce.alarms import Alarm, Alarms, StepFacts
from thought1.training.reinforce.document_pool import DocumentPool, encode
from thought1.training.reinforce.grpo import ScoredRollouts
from thought1.training.reinforce.rollouts import RolloutBatch, policy_tensors, sample_groups
from thought1.types import Sampling, Vectors

ROLLOUTS = "rollouts.jsonl"


@dataclass(slots=True)
class Rewarder:
    """Rolls out the questions of a step and scores them: the `Roll` of `grpo`."""

    model: T1
    stage: ReinforceStage
    pairs: Sequence[TrainingPair]
    prompts: Mapping[str, Ids]
    rows: Rows
    negatives: Mapping[str, Sequence[str]]
    seed: int
    folder: Path
    index: DocumentPool | None
    alarms: Alarms
    questions: Mapping[str, Ids]
    """Query id -> ids of the question only, for the share of it that a thought copies."""

    @property
    def config(self) -> ReinforceConfig:
        """The stage's own values."""
        return self.stage.reinforce

    def __call__(self, indices: Sequence[int], step: int) -> ScoredRollouts:
        """Sample, rank, reward."""
        pairs = [self.pairs[index] for index in indices]
        rng = random.Random(f"{self.seed} {step} {list(indices)}")
        drawn = pair_batch(pairs, self.stage, rng, self.negatives)
        rolled = self._sample(pairs, step)
        texts, vectors_ND = self._candidates(drawn.documents, step)
        scored = self._rollouts(pairs, rolled, texts, rolled.vectors_RD @ vectors_ND.T)
        weights = {reward.name: reward.weight for reward in self.config.rewards}
        total_R, parts = rewards.total(scored, weights)
        advantages_R, kept_R = rewards.advantages(
            total_R, self.config.group_size, self.config.scale_rewards
        )
        every = self.config.rollout_steps
        if every and step % every == 0 and PartialState().is_main_process:
            self._save(step, pairs, rolled, scored)
        facts = self._facts(step, total_R, parts, kept_R, scored)
        answers_GN = self._answers(pairs, drawn.documents)
        positives_GN = np.zeros_like(answers_GN)
        for group, found in enumerate(drawn.positives):
            positives_GN[group, list(found)] = True
        device = self.model.checkpoint.model.device
        emb_id = self.model.checkpoint.emb_id
        size = self.config.group_size
        return ScoredRollouts(
            policy_tensors(rolled, kept_R.tolist(), emb_id, device),
            torch.tensor(advantages_R, dtype=torch.float32, device=device),
            torch.tensor(positives_GN.repeat(size, 0), device=device),
            torch.tensor(answers_GN.repeat(size, 0), device=device),
            [self.rows.ids["document", text] for text in drawn.documents],
            facts,
            self._given(pairs, drawn.documents) if self.rows.given else None,
        )

    def _given(
        self, pairs: Sequence[TrainingPair], documents: Sequence[str]
    ) -> tuple[Tensor, Tensor]:
        """The frozen companion's vectors, of each rollout's question and of the documents."""
        bare = [self.rows.given["query", pair.query] for pair in pairs]
        read = [self.rows.given["document", text] for text in documents]
        device = self.model.checkpoint.model.device
        bare_GE, read_NE = (torch.from_numpy(np.stack(part)).to(device) for part in (bare, read))
        return bare_GE.repeat_interleave(self.config.group_size, 0), read_NE

    def _sample(self, pairs: Sequence[TrainingPair], step: int) -> RolloutBatch:
        sampling = Sampling(
            temperature=self.config.sampling_temperature,
            seed=self.seed * 1_000_003 + step,
            no_repeat_ngram=self.model.settings.thought.no_repeat_ngram,
        )
        prompts = [self.prompts[pair.query_id] for pair in pairs]
        prompted = PromptedQueries([pair.query for pair in pairs], (), prompts)
        budget = self.stage.max_thought_tokens
        return sample_groups(self.model, prompted, self.config.group_size, budget, sampling)

    def _candidates(self, drawn: Sequence[str], step: int) -> tuple[Sequence[str], Vectors]:
        if self.index is not None:
            return self.index.texts, self.index.vectors(step)
        if self.rows.given:
            return drawn, np.stack([self.rows.given["document", text] for text in drawn])
        return drawn, encode(self.model, drawn)

    def _rollouts(
        self,
        pairs: Sequence[TrainingPair],
        rolled: RolloutBatch,
        texts: Sequence[str],
        scores_RN: Vectors,
    ) -> rewards.Rollouts:
        size = self.config.group_size
        thoughts = [thought.token_ids for thought in rolled.thoughts]
        questions = [pair for pair in pairs for _ in range(size)]
        return rewards.Rollouts(
            scores_RN=scores_RN.astype(np.float32),
            relevant_RN=self._answers(pairs, texts).repeat(size, 0),
            lengths_R=np.array([len(ids) for ids in thoughts]),
            ended_R=np.array([t.finish_reason == "emb_token" for t in rolled.thoughts]),
            repeated_R=np.array([rewards.repeated(ids) for ids in thoughts]),
            copied_R=np.array(
                [
                    rewards.copied(ids, self.questions[pair.query_id])
                    for ids, pair in zip(thoughts, questions, strict=True)
                ]
            ),
            group_size=size,
            budget=self.stage.max_thought_tokens,
            length_target=self.config.length_target,
            questions=tuple(pair.query for pair in questions),
            thoughts=tuple(
                str(self.model.tokenizer.decode(list(ids), skip_special_tokens=True))
                for ids in thoughts
            ),
            token_ids=tuple(tuple(ids) for ids in thoughts),
        )

    def _answers(self, pairs: Sequence[TrainingPair], texts: Sequence[str]) -> rewards.Bools:
        """Which texts answer each question, (G, N)."""
        known = [self.rows.answers[pair.query] for pair in pairs]
        return np.array([[text in answers for text in texts] for answers in known])

    def _facts(
        self,
        step: int,
        total_R: rewards.Floats,
        parts: Mapping[str, rewards.Floats],
        kept_R: rewards.Bools,
        scored: rewards.Rollouts,
    ) -> dict[str, float]:
        """What is logged, and shown to the alarms."""
        size = self.config.group_size
        facts = {f"reward_{name}": float(values_R.mean()) for name, values_R in parts.items()}
        facts |= {
            "reward": float(total_R.mean()),
            "reward_spread": float(total_R.reshape(-1, size).std(1).mean()),
            "no_variance": float(1 - kept_R.mean()),
            "thought_tokens": float(scored.lengths_R.mean()),
            "forced": float(1 - scored.ended_R.mean()),
            "repeated": float(scored.repeated_R.mean()),
            "copied": float(scored.copied_R.mean()),
        }
        if self.index is not None:
            facts["index_cosine"] = self.index.drift
        seen = StepFacts(
            step=step,
            loss=0.0,  # one that is not finite stops the training
            reward=facts["reward"],
            length=facts["thought_tokens"],
            forced=facts["forced"],
            no_variance=facts["no_variance"],
            repeated=facts["repeated"],
            copied=facts["copied"],
        )
        ring(self.alarms.on_step(seen), self.folder)
        return facts

    def _save(
        self,
        step: int,
        pairs: Sequence[TrainingPair],
        rolled: RolloutBatch,
        scored: rewards.Rollouts,
    ) -> None:
        repeated = [pair for pair in pairs for _ in range(self.config.group_size)]
        texts = [
            RolloutText(pair.query_id, pair.query, text, thought.finish_reason in ("eos", "budget"))
            for pair, thought, text in zip(repeated, rolled.thoughts, scored.thoughts, strict=True)
        ]
        append_rollouts(self.folder / ROLLOUTS, step, scored, texts)


def ring(alarms: Sequence[Alarm], folder: Path) -> None:
    """Print alarms, and keep them in `alarms.jsonl`; of the main process, for its share."""
    if not PartialState().is_main_process:
        return
    for alarm in alarms:
        print(f"ALARM {alarm.name} at step {alarm.step}: {alarm.text}", flush=True)
        line = {"step": alarm.step, "alarm": alarm.name, "text": alarm.text}
        with (folder / "alarms.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
