"""What encodes an index's documents, by name: hashes that stay while the vectors stay.

Two models whose identities and dimensions agree give the same documents the same vectors. How
queries are encoded (template, instruction, lengths, thoughts) is not part of it. It knows settings
and tokenizers, no weights and no index.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase

from thought1.model.prompts import Renderer
from thought1.model.settings import Settings

Identity = Mapping[str, str | int]
"""By name, as an error message says it."""

_OFFSETS_ONLY = "trim_offsets"
"""Decides where a token is in its text, never which token it is."""
_ON_BY_DEFAULT = ("use_regex", "split")
"""Options of ByteLevel and Metaspace that older versions of tokenizers do not write."""


def document_side(settings: Settings, tokenizer: PreTrainedTokenizerBase) -> dict[str, str | int]:
    """Everything that determines a document's vector besides the weights."""
    return {
        "document template": _hash(settings.document.parts(None)),
        "document length": settings.max_document_tokens,
        "tokenizer": hash_tokenizer(tokenizer),
        "emb_token": settings.emb_token,
    }


def hash_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 over what decides the ids of a text, in a form that outlives library versions.

    Hashed is the tokenizer in memory, not its file: transformers may rebuild parts of it on
    loading, and a checkpoint that is saved again has another file.
    """
    renderer = Renderer(tokenizer)
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    return _hash([canonical(spec), renderer.leading, tokenizer.unk_token_id])


def canonical(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a `tokenizer.json` as it would be whichever version of tokenizers wrote it.

    Versions differ in the order of keys, in options that they know and write with a default
    (`ignore_merges` came with 0.19), and in how they write merges ("a b", pairs since 0.20). So
    options at their default are left out: null, false and empty, or true in `_ON_BY_DEFAULT`.
    Truncation and padding are switches of a call, the decoder only works on ids, and of the
    post-processor only the ids that it puts first are used (`Renderer.leading`).
    """
    parts = ("normalizer", "pre_tokenizer", "model", "added_tokens")
    return {part: _canonical(spec.get(part), part) for part in parts}


def _canonical(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        if name == "vocab":  # words, no options: an id of 0 or an empty word counts
            return value
        known = {key: _canonical(item, key) for key, item in value.items()}
        return {key: item for key, item in known.items() if not _is_default(key, item)}
    if isinstance(value, list):
        if name == "merges":
            return [pair.split(" ") if isinstance(pair, str) else pair for pair in value]
        return [_canonical(item) for item in value]
    return value


def _is_default(key: str, value: Any) -> bool:
    if key in _ON_BY_DEFAULT:
        return value is not False
    return key == _OFFSETS_ONLY or value is None or value is False or value in ([], {})


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
