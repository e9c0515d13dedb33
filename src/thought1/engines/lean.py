"""One step of a thought through a model of the Llama family, with few small operations.

At one token for each row transformers' layers spend a quarter to a third of the time around the
matrix products: masks, repeated keys, rotations of queries and keys apart, joined caches. Here the
same modules are called for the products; what is between them is written out. It knows layers, no
sampling.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, PreTrainedModel

MODEL_TYPES = frozenset({"llama", "qwen2", "qwen3"})
"""Their layers have the parts and the order written here; test_lean.py tests each."""


def runs_lean(model: PreTrainedModel) -> bool:
    """Whether `lean_step` may replace the model's own forward pass now."""
    config = model.config
    return (
        config.model_type in MODEL_TYPES
        and config._attn_implementation == "sdpa"
        and model.device.type == "cpu"
        and not model.training
        and set(getattr(config, "layer_types", None) or ()) <= {"full_attention"}
    )


def lean_step(
    model: PreTrainedModel,
    tokens_B: Tensor,
    positions_B: Tensor,
    mask_BK: Tensor,
    cache: DynamicCache,
) -> tuple[Tensor, Tensor]:
    """Read one token of each row.

    Args:
        positions_B: of the tokens.
        mask_BK: 1 if a column of the cache, the new one included, belongs to the row.

    Returns:
        The last hidden states (B, D), after the final norm, and the logits (B, V).
    """
    body: Any = model.base_model
    hidden_BD = body.embed_tokens(tokens_B[:, None])[:, 0]
    cos_B1H, sin_B1H = body.rotary_emb(hidden_BD, positions_B[:, None])
    half = sin_B1H.shape[-1] // 2
    turn = cos_B1H, torch.cat([-sin_B1H[..., :half], sin_B1H[..., half:]], -1)
    mask_B11K = None if bool(mask_BK.all()) else mask_BK.bool()[:, None, None]
    for index, layer in enumerate(body.layers):
        attention, normed_BD = layer.self_attn, _norm(layer.input_layernorm, hidden_BD)
        hidden_BD = hidden_BD + _attend(attention, normed_BD, turn, mask_B11K, cache, index)
        hidden_BD = hidden_BD + layer.mlp(_norm(layer.post_attention_layernorm, hidden_BD))
    hidden_BD = _norm(body.norm, hidden_BD)
    head: Any = model.get_output_embeddings()
    return hidden_BD, head(hidden_BD)


def _attend(
    attention: Any,
    hidden_BD: Tensor,
    turn: tuple[Tensor, Tensor],
    mask_B11K: Tensor | None,
    cache: DynamicCache,
    index: int,
) -> Tensor:
    """What attention adds to the hidden states (B, D); the cache grows by a column."""
    rows, width = len(hidden_BD), attention.head_dim
    queries = attention.q_proj(hidden_BD).view(rows, -1, width)
    keys = attention.k_proj(hidden_BD).view(rows, -1, width)
    heads, groups = queries.shape[1], keys.shape[1]
    if hasattr(attention, "q_norm"):
        queries, keys = _norm(attention.q_norm, queries), _norm(attention.k_norm, keys)
    both = torch.cat([queries, keys], 1)
    cos, signed_sin = turn
    both = torch.addcmul(both * cos, both.roll(width // 2, -1), signed_sin)
    queries, keys = both[:, :heads], both[:, heads:, None]
    values = attention.v_proj(hidden_BD).view(rows, groups, 1, width)
    all_keys, all_values = cache.update(keys, values, index)
    # The queries that share a key are rows of one head: no key is repeated.
    mixed = functional.scaled_dot_product_attention(
        queries.view(rows, groups, -1, width),
        all_keys,
        all_values,
        attn_mask=mask_B11K,
        scale=attention.scaling,
    )
    added: Tensor = attention.o_proj(mixed.reshape(rows, -1))
    return added


def _norm(norm: Any, hidden: Tensor) -> Tensor:
    return functional.rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)
