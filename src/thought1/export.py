"""A T1 as a folder that sentence-transformers loads: documents, and queries without a thought.

It knows nothing about training, stores or generation. The folder's `encode_document` and
`encode_query` give the vectors of `T1.encode_document` and `T1.encode_query(budget=0)`, from one
copy of the weights. What is T1's own happens in the tokenizer's chat template and pre-tokenizer:

- sentence-transformers (6.2) renders every text through the tokenizer's chat template and passes it
  the task. So the template, and nothing else, can write the two sides differently after the text
  too; prompts with a post-processor cannot, and a Router stores or loads the weights twice.
- T1 tokenises the parts of a sequence apart. The template writes CUT between them, where the
  pre-tokenizer splits, so that the ids are the same even where one token would span both parts.
- T1 reads special tokens inside a text as plain characters. The template puts GLUE into them, so
  that they are not found, and the normalizer then takes it out again.
- Beyond the longest length the text is cut, and sentence-transformers restores what the template
  writes after it, `<emb_token>` last. It has a length for each side.
"""

import inspect
import json
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from thought1 import __version__
from thought1.files.whole import write_folder
from thought1.model.prompts import PROBES, Template, uncut
from thought1.t1 import T1
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

RECORD = "t1_export.json"
"""Says where an export comes from, and by this that a folder is one."""

CUT = "\u241f"  # A visible symbol: normalizers leave it alone, unlike control characters.
GLUE = "\ufdd0"  # No character at all, by Unicode's definition: no text holds it.

_MODULES = (
    ("", "sentence_transformers.base.modules.transformer.Transformer"),
    ("1_Pooling", "sentence_transformers.sentence_transformer.modules.pooling.Pooling"),
    ("2_Normalize", "sentence_transformers.base.modules.normalize.Normalize"),
)

_CHAT_TEMPLATE = string.Template("""\
{#- One text becomes one T1 sequence; a system message is an instruction that replaces T1's. -#}
{%- set given = messages[0].content if messages[0].role == "system" else "" -%}
{%- set is_query = task == "query" if task else given == $query and given != $document -%}
{%- set ns = namespace(text=messages[-1].content | trim) -%}
{%- for special, harmless in $harmless.items() -%}
{%- set ns.text = ns.text | replace(special, harmless) -%}
{%- endfor -%}
{%- if is_query -%}
{%- set instruction = given or $query -%}
{{- $query_sequence -}}
{%- else -%}
{%- set instruction = given or $document -%}
{{- $document_sequence -}}
{%- endif -%}
""")

_README = """\
---
library_name: sentence-transformers
---
# {model} for sentence-transformers

The embedding side of the Thought 1 model `{model}`: the vectors of its documents, and of its
queries without a thought. Exported by thought1 {thought1}; SHA-256 of the model's weights:
`{weights_hash}`.

```python
from sentence_transformers import SentenceTransformer  # 6.2 or newer
model = SentenceTransformer("path/to/this/folder")
queries = model.encode_query(["Why do ice cubes crack in warm water?"])
documents = model.encode_document(["Most solids expand when they are heated."])
```

The vectors have {dim} dimensions and length 1; compare them by cosine. In float32 they are those
of `T1.encode_document` and `T1.encode_query(budget=0)`. `prompt="..."` replaces the instruction.

## What it cannot do

- **Think.** Queries are embedded as they are. Thoughts, their budgets, and evidence to read before
  thinking need thought1 and the model itself.
- Say that a text was cut. Documents are read up to {max_document_tokens} tokens and queries up
  to {max_query_tokens}, template and instruction included; only a text's end is ever lost.
- Recognise a query by itself. `encode` is the same as `encode_document`; with
  `prompt_name="query"` it embeds a query, read up to the length of a document.
- See the characters U+241F and U+FDD0 in a text. A special token in a text is plain text, as in
  T1; where the vocabulary cannot spell it out, it is left out.
"""


def export_sentence_transformers(model: T1, folder: Path) -> None:
    """Write a folder that `SentenceTransformer(folder)` loads, and compare its vectors with T1's.

    The folder appears complete or not at all; an earlier export in its place is replaced. The
    weights keep the type they have in memory.

    Raises:
        Thought1Error: sentence-transformers is missing; the folder holds something else; or the
            vectors differ, as with a tokenizer that does not work on each part for itself.
    """
    sentence_transformer = _sentence_transformer()
    check_target(folder)
    if model.settings.beside:
        raise Thought1Error(
            f"the vectors of {model.name} are its own beside those of its companion, and no "
            "sentence-transformers model gives both: export one without a companion"
        )
    if model.companion is not None:
        raise Thought1Error(
            f"{model.name} has a companion, {model.companion.called}, which encodes its documents "
            "and is a sentence-transformers model already: take that"
        )
    with write_folder(folder) as fresh:
        _write(model, fresh)
        device = str(model.checkpoint.model.device)
        exported = sentence_transformer(str(fresh), device=device, trust_remote_code=False)
        _compare(model, exported)


def _sentence_transformer() -> "type[SentenceTransformer]":
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise Thought1Error(
            'this export needs sentence-transformers: pip install "thought1[export]"'
        ) from None
    return SentenceTransformer


def check_target(folder: Path) -> None:
    """Raise Thought1Error if `folder` is a file, or contains anything but an earlier export."""
    if folder.is_dir():
        if any(folder.iterdir()) and not (folder / RECORD).is_file():
            raise Thought1Error(
                f"{folder} contains files that are not an earlier export: name an empty folder"
            )
    elif folder.exists():
        raise Thought1Error(f"{folder} is a file: name a folder for the export")


def _write(model: T1, folder: Path) -> None:
    backbone = cast(PreTrainedModel, model.checkpoint.model.base_model)
    backbone.save_pretrained(folder)
    _tokenizer(model).save_pretrained(folder)
    # A pooling layer that T1 does not use would be loaded with random weights and a warning.
    parameters = inspect.signature(type(backbone).__init__).parameters
    options = {"add_pooling_layer": False} if "add_pooling_layer" in parameters else {}
    for name, content in _configuration(model, options).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_README.format(**_record(model)), encoding="utf-8")
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes files that only their owner may read


def _configuration(model: T1, model_options: dict[str, bool]) -> dict[str, Any]:
    """Content of the JSON files by their names."""
    settings = model.settings
    output = {"method": "forward", "method_output_name": "last_hidden_state"}
    return {
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": kind}
            for i, (path, kind) in enumerate(_MODULES)
        ],
        "sentence_bert_config.json": {
            "transformer_task": "feature-extraction",
            "modality_config": {"text": output, "message": {**output, "format": "flat"}},
            "module_output_name": "token_embeddings",
            "query_length": settings.max_query_tokens + 1,
            "document_length": settings.max_document_tokens,
            "model_kwargs": model_options,
        },
        "1_Pooling/config.json": {"embedding_dimension": model.dim, "pooling_mode": "lasttoken"},
        "2_Normalize/config.json": {},
        "config_sentence_transformers.json": {
            "model_type": "SentenceTransformer",
            "prompts": {
                "query": settings.query.instruction,
                "document": settings.document.instruction,
            },
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        RECORD: _record(model),
    }


def _record(model: T1) -> dict[str, Any]:
    # Of a local path the last part only: the rest means nothing to others.
    local = Path(model.name).is_dir()
    return {
        "format": "sentence-transformers",
        "thought1": __version__,
        "model": Path(model.name).name if local else model.name,
        "weights_hash": model.weights_hash,
        "templates_hash": model.templates_hash,
        "dim": model.dim,
        "max_query_tokens": model.settings.max_query_tokens,
        "max_document_tokens": model.settings.max_document_tokens,
    }


def _tokenizer(model: T1) -> PreTrainedTokenizerFast:
    """The model's tokenizer with CUT, GLUE and the chat template.

    Of the general class, because the classes of single models rebuild their pre-tokenizer and
    normalizer when they are loaded.
    """
    own = model.tokenizer
    backend = uncut(own)
    backend.normalizer = normalizers.Sequence(
        [normalizers.Replace(GLUE, ""), *filter(None, [backend.normalizer])]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(CUT, "removed"), *filter(None, [backend.pre_tokenizer])]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=own.pad_token or own.eos_token or model.settings.emb_token,
        padding_side="right",
        truncation_side="right",
        model_max_length=model.settings.max_document_tokens,
        model_input_names=["input_ids", "attention_mask"],
    )
    tokenizer.chat_template = _chat_template(model, _harmless(model, backend))
    return tokenizer


def _harmless(model: T1, backend: Tokenizer) -> dict[str, str]:
    """What each special token is written as inside a text, so that it is not one there."""
    written = {}
    for number, token in model.tokenizer.added_tokens_decoder.items():
        if token.special:
            glued = token.content[0] + GLUE + token.content[1:]
            formed = number in backend.encode(glued, add_special_tokens=False).ids
            # Unigram vocabularies hold "</s>" as an ordinary piece too; T1 leaves that id out.
            left_out = formed and number != model.tokenizer.unk_token_id
            written[token.content] = CUT if left_out else glued
    return written


def _chat_template(model: T1, harmless: dict[str, str]) -> str:
    query, document = model.settings.query, model.settings.document
    return _CHAT_TEMPLATE.substitute(
        query=_literal(query.instruction),
        document=_literal(document.instruction),
        harmless=_literal(harmless),
        query_sequence=_sequence(query, model),
        document_sequence=_sequence(document, model),
    )


def _sequence(template: Template, model: T1) -> str:
    """A Jinja expression for a whole sequence, CUT between the parts that T1 tokenises apart."""
    leading = "".join(model.tokenizer.convert_ids_to_tokens(list(model.renderer.leading)))
    before, after = template.pattern.split("{text}")
    head, _, middle = before.partition("{evidence}")
    emb_token = _literal(model.settings.emb_token)
    parts = [_words(leading + head), _words(middle), "ns.text", _words(after), emb_token]
    return f" ~ {_literal(CUT)} ~ ".join(parts)


def _words(part: str) -> str:
    """A Jinja expression for a part of a template, the slot {instruction} filled in."""
    return " ~ instruction ~ ".join(_literal(words) for words in part.split("{instruction}"))


def _literal(value: object) -> str:
    """A value as Jinja reads it. ASCII escapes would split characters beyond U+FFFF."""
    return json.dumps(value, ensure_ascii=False)


def _compare(model: T1, exported: "SentenceTransformer") -> None:
    """Refuse an export that does not give the model's vectors."""
    texts = ["", f"A text that holds {model.settings.emb_token} itself.", *PROBES]
    documents = np.asarray(model.encode_document(texts))
    queries = np.asarray(model.encode_query(texts, budget=0))
    worst = max(
        np.abs(documents - exported.encode_document(texts, show_progress_bar=False)).max(),
        np.abs(queries - exported.encode_query(texts, show_progress_bar=False)).max(),
    )
    exact = str(model.checkpoint.model.dtype) == "torch.float32"
    if worst > (1e-4 if exact else 5e-2):
        raise Thought1Error(
            f"{model.name} cannot be exported: sentence-transformers would give other vectors for "
            f"it (by up to {worst:.2g}), because of its tokenizer or its architecture"
        )
