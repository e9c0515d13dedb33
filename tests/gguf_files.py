"""Small GGUF files, made on the spot: a Llama with random weights, and a byte-level tokenizer."""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from tiny import CHAT, byte_level_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

WIDTH, LAYERS, HEADS, INNER, POSITIONS = 64, 2, 2, 96, 256
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(path: Path, kind: str = "F32", architecture: str = "llama", parts: int = 1) -> Path:
    """A whole model file whose matrices are quantised as `kind`; it says it is one of `parts`."""
    tokenizer = byte_level_tokenizer(chat=True)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=INNER,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=POSITIONS,
            tie_word_embeddings=True,
        )
    )
    writer = GGUFWriter(path, architecture)
    if parts > 1:
        writer.add_uint16("split.count", parts)
    _describe(writer, json.loads(tokenizer.backend_tokenizer.to_str()))
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":
            _add(writer, _renamed(name), tensor.numpy(), GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: GGUFWriter, spec: dict) -> None:  # type: ignore[type-arg]
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(spec["model"]["vocab"]))
    words = sorted(spec["model"]["vocab"], key=spec["model"]["vocab"].__getitem__)
    special = {one["content"] for one in spec["added_tokens"]}
    kinds = [gguf.TokenType.CONTROL if w in special else gguf.TokenType.NORMAL for w in words]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in spec["model"]["merges"]])
    writer.add_eos_token_id(words.index("<|im_end|>"))
    writer.add_bos_token_id(words.index("<|endoftext|>"))
    writer.add_pad_token_id(words.index("<|endoftext|>"))
    writer.add_chat_template(CHAT)


def _renamed(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, *inner = name.removesuffix(".weight").split(".")
    return f"blk.{layer}.{NAMES['.'.join(inner)]}.weight"


def _add(
    writer: GGUFWriter,
    name: str,
    values: np.ndarray,
    kind: GGMLQuantizationType,  # type: ignore[type-arg]
) -> None:
    if values.ndim == 1 or kind == GGMLQuantizationType.F32:
        writer.add_tensor(name, values)
        return
    packed = gguf.quants.quantize(values, kind)
    writer.add_tensor(name, packed, raw_dtype=kind)
