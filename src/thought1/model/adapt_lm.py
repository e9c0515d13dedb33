"""A plain causal language model becomes a T1: the token, its rows, and default templates.

It knows models and tokenizers in memory, no files.
"""

from datetime import date
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from thought1.model.prompts import Renderer, Template
from thought1.model.settings import DOCUMENT_INSTRUCTION, EMB_TOKEN, QUERY_INSTRUCTION, Settings

TEMPLATE_DATE = date(2024, 7, 26)
"""The date in default templates. Llama 3's own chat template writes it where it cannot ask for
today's. A model must be the same tomorrow as it is today."""

# Shadows the function of that name. A macro, because transformers hands plain data, no functions,
# to a template. The line break at the end is trimmed, and the template still begins a line.
_FIXED_DATE = (
    "{%- macro strftime_now(format) -%}{%- set ns = namespace(text=format) -%}"
    "{%- for name, value in parts_of_the_day.items() -%}"
    "{%- set ns.text = ns.text | replace(name, value) -%}"
    "{%- endfor -%}{{- ns.text -}}{%- endmacro %}\n"
)


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
    question, to leave space for a thought.
    """
    query, document = default_templates(tokenizer)
    return Settings(
        query=query,
        document=document,
        max_query_tokens=min(256, positions // 2),
        max_document_tokens=min(512, positions),
        emb_token=EMB_TOKEN,
        backbone=backbone,
    )


def default_templates(
    tokenizer: PreTrainedTokenizerBase, day: date = TEMPLATE_DATE
) -> tuple[Template, Template]:
    """Templates of queries and documents; a chat template that writes today's date writes `day`."""
    query, document = "{instruction}\n{evidence}{text}", "{instruction}\n{text}"
    if tokenizer.chat_template:
        query = _chat(tokenizer, query, day, generate=True)
        document = _chat(tokenizer, document, day, generate=False)
    else:
        # A thought begins on a new line. The space keeps "?" and the line break apart, which are
        # one token of Qwen and Llama 3.
        query += " \n"
    return Template(query, QUERY_INSTRUCTION), Template(document, DOCUMENT_INSTRUCTION)


def writes_date(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the chat template reads the time, through the one function that transformers has."""
    return bool(tokenizer.chat_template) and "strftime_now" in tokenizer.get_chat_template()


def _parts_of(day: date) -> dict[str, str]:
    """The value of each directive of strftime; with "-", without leading zeros."""
    parts = {f"%{letter}": day.strftime(f"%{letter}") for letter in "aAwdbBmyYHIpMSfzZjUWcxXGuVeF"}
    short = {f"%-{letter}": parts[f"%{letter}"].lstrip("0") or "0" for letter in "dmyHIMSjUW"}
    return {**parts, **short}


def _chat(tokenizer: PreTrainedTokenizerBase, content: str, day: date, *, generate: bool) -> str:
    fixed: dict[str, Any] = {}
    if writes_date(tokenizer):
        template = _FIXED_DATE + tokenizer.get_chat_template()
        fixed = {"chat_template": template, "parts_of_the_day": _parts_of(day)}
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=False,
        add_generation_prompt=generate,
        **fixed,
    )
    # Where the renderer puts special tokens first itself, they must not come twice.
    leading = tokenizer.convert_ids_to_tokens(list(Renderer(tokenizer).leading))
    return str(text).removeprefix("".join(leading))
