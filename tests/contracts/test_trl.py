"""The seams of trl that stage 3 leans on: an upgrade that moves one fails here."""

import inspect
from pathlib import Path

import pytest
import torch
from tiny import make_checkpoint
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

import thought1.training.reinforce.grpo as grpo
from thought1.model.queries import PromptedQueries
from thought1.t1 import T1
from thought1.training.model.base_model import switch_dropout_off
from thought1.training.model.logprobs import completion_logprobs
from thought1.training.reinforce.rollouts import (
    RolloutBatch,
    policy_tensors,
    sample_groups,
    sequences,
)
from thought1.types import Sampling, Thought1Error

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = ["Why do ice cubes crack?", "Salt", "Why do most solids expand when they are heated?"]
BUDGET, GROUP = 12, 4


def load(name: str, folder: Path) -> T1:
    if name == "t1-nano":
        return T1.from_pretrained(ROOT / "models" / "t1-nano", dtype="float32", device="cpu")
    make_checkpoint(folder, name)
    return T1.from_pretrained(folder, dtype="float32", device="cpu")


def rolled_out(model: T1, sampling: Sampling) -> RolloutBatch:
    rendered = model.renderer.render(model.settings.query, QUESTIONS, 64)
    prompts = [[*rendered.prefix, *row] for row in rendered.rows]
    asked = PromptedQueries([""] * len(prompts), (), prompts)
    return sample_groups(model, asked, GROUP, BUDGET, sampling)


@pytest.mark.numerics
@pytest.mark.parametrize("name", ["qwen3", "bert", "llama", "t1-nano"])
@pytest.mark.parametrize("sampling", [Sampling(1.0, seed=5), Sampling(0.7, 1.0, 6, 2)])
def test_update_logprobs_are_those_of_the_rollout(
    name: str, sampling: Sampling, tmp_path: Path
) -> None:
    """Ragged prompts padded on the left, ragged thoughts; the vectors too are those of the
    rollout."""
    model = load(name, tmp_path)
    network = switch_off(model)
    rolled = rolled_out(model, sampling)
    lengths = {len(prompt) for prompt in rolled.prompts}
    assert len(lengths) > 1
    tensors = policy_tensors(
        rolled, [True] * len(rolled.thoughts), model.checkpoint.emb_id, torch.device("cpu")
    )
    logprobs_RC, entropies_RC, vectors_RD = completion_logprobs(
        network,
        network.base_model,
        *sequences(tensors),
        sampling,
    )
    for row, thought in enumerate(rolled.thoughts):
        sampled = tensors["tool_mask"][row].bool()
        assert int(sampled.sum()) == len(thought.logprobs)
        torch.testing.assert_close(
            logprobs_RC[row][sampled], torch.tensor(thought.logprobs), rtol=0, atol=1e-4
        )
    assert (entropies_RC >= 0).all()
    unit_RD = torch.nn.functional.normalize(vectors_RD, dim=1)
    torch.testing.assert_close(unit_RD, torch.tensor(rolled.vectors_RD), rtol=0, atol=1e-4)


def switch_off(model: T1) -> torch.nn.Module:
    switch_dropout_off(model.checkpoint.model)
    return model.checkpoint.model.train()


def test_the_seams_have_the_shape_that_the_adapter_replaces() -> None:
    expected = {
        "_generate_and_score_completions": ["self", "inputs"],
        "_compute_loss": ["self", "model", "inputs"],
        "_get_per_token_logps_and_entropies": [
            "self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size",
            "compute_entropy", "compute_aux_loss",
        ],
        "_prepare_inputs": ["self", "generation_batch"],
        "create_model_card": ["self"],
    }  # fmt: skip
    for name, parameters in expected.items():
        found = list(inspect.signature(getattr(GRPOTrainer, name)).parameters)
        assert found[: len(parameters)] == parameters, name


@pytest.mark.parametrize(
    "text",
    [
        # the mask of the policy loss, beside that of padding
        'mask = completion_mask if "tool_mask" not in inputs',
        # a policy that has not moved since it sampled needs no logprobs of its own
        'old_per_token_logps = inputs.get("old_per_token_logps")',
        # what the reference is called
        'inputs["ref_per_token_logps"]',
        # losses are divided by the parts of a step inside, the trainer does not
        "self.current_gradient_accumulation_steps",
        # where numbers wait for the log
        'self._metrics[mode]["entropy"]',
    ],
)
def test_the_loss_reads_what_the_adapter_gives(text: str) -> None:
    assert text in inspect.getsource(GRPOTrainer._compute_loss)


def test_rollouts_are_kept_shuffled_and_split() -> None:
    source = inspect.getsource(GRPOTrainer._prepare_inputs)
    for text in (
        "self.args.steps_per_generation * self.num_iterations",
        "shuffle_sequence_dict",
        "split_tensor_dict",
        "self._buffered_inputs is None",
    ):
        assert text in source, text


def test_every_argument_is_known(tmp_path: Path) -> None:
    names = set(inspect.signature(GRPOConfig).parameters)
    wanted = {
        "steps_per_generation", "num_generations", "num_iterations", "max_completion_length",
        "temperature", "loss_type", "epsilon", "epsilon_high", "beta", "disable_dropout",
    }  # fmt: skip
    assert wanted <= names


def test_another_trl_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpo.trl, "__version__", "9.9.9")
    with pytest.raises(Thought1Error, match=r"needs trl 1\.16\.0, but 9\.9\.9 is installed"):
        grpo.grpo_config({})
