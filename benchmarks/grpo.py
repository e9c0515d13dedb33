"""How long one GRPO step takes: ours against plain trl with a reward that encodes decoded text.

    OMP_NUM_THREADS=1 python benchmarks/grpo.py --repeats 5 --json benchmarks/results/grpo.json

Same model (t1-nano), questions, documents, group size and length of thoughts, float32, no InfoNCE
term. The peer samples by `generate`, decodes the thoughts, and its reward encodes question and
thought as a text anew, as published trainings of reasoning embedders do. One after the other;
processor time of one thread, by rollout, reward and update; the first step of each is not counted.
trl's fused head computes other logits of this model (docs/training.md), in about the same time.
"""

import argparse
import copy
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset
from record import ROOT, origin, write_json
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from thought1.data.formats import BeirFolder
from thought1.t1 import T1
from thought1.training.data.batches import known_answers
from thought1.training.data.sources import TrainingData, TrainingPair
from thought1.training.model.base_model import choose_attention, switch_dropout_off
from thought1.training.recipe import ReinforceConfig, ReinforceStage, RewardConfig, SourceConfig
from thought1.training.reinforce import rewarder
from thought1.training.reinforce.prepare import prepare_reinforce, reinforce_trainer

Times = dict[str, list[float]]


def timed(times: Times, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, whose processor time is added to the newest entry of `name`."""

    def run(*positional: Any, **named: Any) -> Any:
        begun = time.process_time()
        result = call(*positional, **named)
        times[name][-1] += time.process_time() - begun
        return result

    return run


def pairs_of(folder: Path, count: int) -> list[TrainingPair]:
    """The first judged questions of the collection."""
    beir = BeirFolder(folder)
    documents = {document.id: document.full_text for document in beir.corpus()}
    texts = {query.id: query.text for query in beir.queries()}
    judged = beir.qrels("test")
    return [
        TrainingPair(q, texts[q], tuple(documents[d] for d, grade in grades.items() if grade > 0))
        for q, grades in judged.items()
        if any(grade > 0 for grade in grades.values())
    ][:count]


def load(path: str) -> T1:
    """A fresh copy in float32, ready to train."""
    model = T1.from_pretrained(path, dtype="float32", device="cpu")
    switch_dropout_off(model.checkpoint.model)
    choose_attention(model.checkpoint.model)
    return model


def ours(options: argparse.Namespace, pairs: list[TrainingPair], folder: Path, times: Times) -> Any:
    """Our trainer, timed."""
    model = load(options.model)
    stage = ReinforceStage(
        "speed", (SourceConfig("", "beir"),), max_steps=options.repeats + 1,
        queries_per_batch=options.questions, positives_per_query=1, weight_contrastive=0.0,
        max_thought_tokens=options.tokens, bf16=False, save_minutes=600.0,
        reinforce=ReinforceConfig((RewardConfig("margin"),), group_size=options.group),
    )  # fmt: skip
    recipe: Any = argparse.Namespace(seed=0)
    parts = prepare_reinforce(recipe, stage, model, TrainingData(pairs), folder)
    rewarder.sample_groups = timed(times, "rollout", rewarder.sample_groups)
    trainer, _ = reinforce_trainer(recipe, parts, None, None)
    trainer.roll = timed(times, "rollout and reward", parts.rewarder.__call__)
    return trainer


def peer(options: argparse.Namespace, pairs: list[TrainingPair], folder: Path, times: Times) -> Any:
    """trl's trainer as it comes, timed."""
    model = load(options.model)
    network, tokenizer = model.checkpoint.model, copy.deepcopy(model.tokenizer)
    if tokenizer.eos_token is None:
        tokenizer.eos_token = tokenizer.sep_token  # trl wants one; no thought ends early
    answers = known_answers(pairs)

    def reward(prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[float]:
        network.eval()
        texts = sorted({text for prompt in prompts for text in answers[prompt]})
        documents_ND = model.encode_document(texts)
        asked = [f"{p} {c}" for p, c in zip(prompts, completions, strict=True)]
        scores_RN = model.encode_query(asked, budget=0) @ documents_ND.T
        network.train()
        found = []
        for prompt, scores_N in zip(prompts, scores_RN, strict=True):
            known = [text in answers[prompt] for text in texts]
            others = [s for s, k in zip(scores_N, known, strict=True) if not k]
            mean = sum(s for s, k in zip(scores_N, known, strict=True) if k) / sum(known)
            found.append(float(mean - max(others)))
        return found

    values = {
        "output_dir": str(folder), "per_device_train_batch_size": options.questions * options.group,
        "num_generations": options.group, "max_completion_length": options.tokens,
        "generation_kwargs": {"min_new_tokens": options.tokens}, "max_steps": options.repeats + 1,
        "use_cpu": True, "bf16": False, "report_to": [], "gradient_checkpointing": False,
        "save_strategy": "no", "logging_strategy": "no", "beta": 0.0,
    }  # fmt: skip
    trainer = GRPOTrainer(
        model=network,
        reward_funcs=[timed(times, "reward", reward)],
        args=GRPOConfig(**values),
        train_dataset=Dataset.from_list([{"prompt": pair.query} for pair in pairs]),
        processing_class=tokenizer,
    )
    name = "_generate_and_score_completions"
    setattr(trainer, name, timed(times, "rollout and reward", getattr(trainer, name)))
    return trainer


def run(trainer: Any, times: Times) -> None:
    """Train; each step's whole time goes under `step`. The first one warms up."""
    step = trainer.training_step

    def stepping(*positional: Any, **named: Any) -> Any:
        for name in ("rollout", "reward", "rollout and reward", "step"):
            times[name].append(0.0)
        return timed(times, "step", step)(*positional, **named)

    trainer.training_step = stepping
    trainer.train()


def parts(times: Times, mine: bool) -> dict[str, list[float]]:
    """Rollout, reward and update of each step but the first."""
    both, whole = times["rollout and reward"][1:], times["step"][1:]
    if mine:
        rollout = times["rollout"][1:]
        reward = [b - r for b, r in zip(both, rollout, strict=True)]
    else:
        reward = times["reward"][1:]
        rollout = [b - r for b, r in zip(both, reward, strict=True)]
    update = [w - b for w, b in zip(whole, both, strict=True)]
    return {"rollout": rollout, "reward": reward, "update": update, "step": whole}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="One GRPO step, against plain trl.")
    parser.add_argument("--model", default=str(ROOT / "models" / "t1-nano"))
    parser.add_argument("--data", type=Path, default=ROOT / "examples" / "everyday-science")
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    pairs = pairs_of(options.data, options.questions * (options.repeats + 1))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, build in (("ours", ours), ("trl", peer)):
            times: Times = defaultdict(list)
            torch.manual_seed(0)
            run(build(options, pairs, Path(folder) / name, times), times)
            found[name] = parts(times, name == "ours")
    print("| part | ours, s | trl, s | times faster |\n|---|---|---|---|")
    for part, mine in found["ours"].items():
        a, b = median(mine), median(found["trl"][part])
        print(f"| {part} | {a:.2f} | {b:.2f} | {b / a:.2f} |")
    if options.json:
        write_json(options.json, {**origin("grpo.py", arguments), "seconds": found})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
