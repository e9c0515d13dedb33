"""A plain causal language model becomes a T1: the token, its rows, and default templates.

It knows models and tokenizers in memory, no files.
"""

from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from thought1.prompts import Renderer, Template
from thought1.settings import DOCUMENT_INSTRUCTION, EMB_TOKEN, QUERY_INSTRUCTION, Settings


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of one token."""
    return cast(int, tokenizer.convert_tokens_to_ids(token))


def _weights(layer: nn.Module) -> Tensor:
    """Rows (V, D) of an embedding or a language head."""
    return cast(nn.Embedding | nn.Linear, layer).weight


def add_emb_token(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, emb_token: str
) -> None:
    """Add `<emb_token>` as one special token; its rows are the means of the existing rows.

    The embedding grows only where the vocabulary has no spare row (Qwen models pad theirs).
    """
    known = len(tokenizer)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [emb_token]}, replace_extra_special_tokens=False
    )
    new = token_id(tokenizer, emb_token)
    if new >= len(_weights(model.get_input_embeddings())):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            rows_VD = _weights(layer)
            rows_VD[new] = rows_VD[:known].float().mean(0)


def default_settings(tokenizer: PreTrainedTokenizerBase, positions: int, backbone: str) -> Settings:
    """Templates for a plain language model: its chat template where it has one.

    `positions` is the longest sequence that the model reads; half of them at most are for the
    question, so that a thought has room.
    """
    query, document = "{instruction}\n{evidence}{text}", "{instruction}\n{text}"
    if tokenizer.chat_template:
        query = _chat(tokenizer, query, generate=True)
        document = _chat(tokenizer, document, generate=False)
    else:
        # A thought begins on a new line. The space keeps "?" and the line break apart, which are
        # one token of Qwen and Llama 3.
        query += " \n"
    return Settings(
        query=Template(query, QUERY_INSTRUCTION),
        document=Template(document, DOCUMENT_INSTRUCTION),
        max_query_tokens=min(256, positions // 2),
        max_document_tokens=min(512, positions),
        emb_token=EMB_TOKEN,
        backbone=backbone,
    )


def _chat(tokenizer: PreTrainedTokenizerBase, content: str, *, generate: bool) -> str:
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=generate
    )
    # Where the renderer puts special tokens first itself, they must not come twice.
    leading = tokenizer.convert_ids_to_tokens(list(Renderer(tokenizer).leading))
    return str(text).removeprefix("".join(leading))
