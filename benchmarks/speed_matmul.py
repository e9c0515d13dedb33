"""How much of the machine's rate of matrix products an encoding reaches.

Counted as floating-point operations of an encoding: 2 for each weight of the backbone's matrices
(embeddings and language head not counted) and token, and 4 for each pair of positions that attend
to each other and attention width. Padding counts as nothing done, and the last layer as if it ran
for all tokens.
"""

from collections.abc import Sequence
from functools import partial

import torch
from timing import interleaved
from torch import nn
from transformers import PreTrainedModel

from thought1.engines.route import products

SIZES = (512, 1024, 2048)


@torch.inference_mode()
def matmul_rates(sizes: Sequence[int] = SIZES, repeats: int = 5) -> dict[str, float]:
    """Each route's best float32 rate over square products, in FLOP per second of processor time."""
    rates = dict.fromkeys(products(), 0.0)
    for size in sizes:
        x, weight = torch.randn(size, size), torch.randn(size, size)
        ways = {name: partial(way, x, weight, None) for name, way in products().items()}
        for name, times in interleaved(ways, repeats).items():
            rates[name] = max(rates[name], 2 * size**3 / min(times.cpu))
    return rates


def encoding_operations(model: PreTrainedModel, prefix: int, rows: Sequence[int]) -> float:
    """Operations that rows of these lengths need behind a prefix which is computed once."""
    backbone = model.base_model
    embeddings = {
        id(module.weight) for module in backbone.modules() if isinstance(module, nn.Embedding)
    }
    weights = sum(
        p.numel() for p in backbone.parameters() if p.dim() == 2 and id(p) not in embeddings
    )
    tokens = prefix + sum(rows)
    pairs = _triangle(0, prefix) + sum(_triangle(prefix, row) for row in rows)
    config = model.config.to_dict()
    heads = config["num_attention_heads"]
    width = heads * (config.get("head_dim") or config["hidden_size"] // heads)
    return float(2 * weights * tokens + 4 * config["num_hidden_layers"] * width * pairs)


def _triangle(before: int, tokens: int) -> int:
    """Pairs of a new position and a position that it sees."""
    return tokens * before + tokens * (tokens + 1) // 2
