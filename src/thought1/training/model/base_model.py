"""The checkpoint that a training starts from: where it comes from, and a smaller vocabulary.

It knows checkpoints and tokenizers, no data files and no losses.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from thought1.engines.hf import max_positions, takes_positions
from thought1.model.checkpoint import Checkpoint, with_companion
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.model.prompts import Renderer, Template
from thought1.model.settings import Base, Settings, ThoughtSettings, check_reader
from thought1.training.model.scratch import build
from thought1.training.recipe import (
    LEARNT,
    ModelConfig,
    StageConfig,
    SupervisedStage,
    companion_problem,
)
from thought1.types import Thought1Error

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def start_checkpoint(
    config: ModelConfig,
    texts: Iterable[str],
    *,
    adapter: bool = False,
    trust_remote_code: bool = False,
) -> Checkpoint:
    """Load the base in float32, or build a new model; fit its vocabulary to `texts`, set templates.

    Args:
        adapter: an adapter will be trained: the checkpoint names its base, and where the
            base is one itself, that one is trained further.

    Raises:
        Thought1Error: the base cannot be loaded, or built (see `scratch`); its vocabulary cannot
            become so small; a template breaks inside a token; the lengths exceed its positions; or
            nothing anchors a projection.
    """
    trust = trust_remote_code
    checkpoint = build(config, texts) if config.scratch else _load(config, texts, adapter, trust)
    old = checkpoint.settings
    settings = replace(
        old,
        query=_template(old.query, config.query_template, config.query_instruction),
        document=_template(old.document, config.document_template, config.document_instruction),
        max_query_tokens=config.max_query_tokens,
        max_document_tokens=config.max_document_tokens,
        thought=thought_settings(config),
        anchor=_anchor(old, config.anchor),
        backbone=config.base,
    )
    _check(checkpoint, settings)
    if settings.companion is not None:
        check_reader(settings.companion.reader, settings.anchor)
    checkpoint = replace(checkpoint, settings=settings)
    if config.companion:
        anchor = "mean" if config.anchor == LEARNT else config.anchor
        return with_companion(checkpoint, config.companion, anchor, config.companion_reader)
    return checkpoint


def _load(
    config: ModelConfig, texts: Iterable[str], adapter: bool, trust_remote_code: bool
) -> Checkpoint:
    checkpoint = load_checkpoint(
        config.base,
        dtype="float32",
        device="cpu",
        trust_remote_code=trust_remote_code,
        merge=not adapter,
    )
    if adapter and checkpoint.base is None:
        base = Base(checkpoint.name, checkpoint.weights_hash)
        checkpoint = replace(checkpoint, base=base)
    if not takes_positions(checkpoint.model):
        raise Thought1Error(
            f"{checkpoint.name} is a {type(checkpoint.model).__name__}, which counts columns "
            "instead of positions: Thought 1 cannot train it"
        )
    return keep_frequent(checkpoint, texts, config.vocab_size) if config.vocab_size else checkpoint


def thought_settings(config: ModelConfig) -> ThoughtSettings:
    """How the checkpoint thinks by default."""
    return ThoughtSettings(config.thought_budget, no_repeat_ngram=config.no_repeat_ngram)


def _anchor(old: Settings, wanted: str | float) -> str | float:
    """That of the recipe, or the base's; one that is learnt starts as a weight above 0."""
    if wanted == LEARNT:
        return old.anchor_weight or "mean"
    return old.anchor if wanted == "" else wanted


def _template(old: Template, pattern: str, instruction: str) -> Template:
    return replace(old, pattern=pattern or old.pattern, instruction=instruction or old.instruction)


def _check(checkpoint: Checkpoint, settings: Settings) -> None:
    """What would otherwise fail when the trained model is used or saved."""
    positions = max_positions(checkpoint.model.config)
    # A thinking query ends in <emb_token>; a document's length includes it.
    query = settings.max_query_tokens + settings.thought.max_new_tokens + 1
    for keys, longest in (
        ("max_query_tokens + thought_budget", query),
        ("max_document_tokens", settings.max_document_tokens),
    ):
        if longest > positions:
            raise Thought1Error(
                f"{keys} give sequences of {longest} tokens, but {checkpoint.name} has "
                f"{positions} positions: make them smaller"
            )
    renderer = Renderer(checkpoint.tokenizer)
    for template in (settings.query, settings.document):
        renderer.check(template)


def check_stages(checkpoint: Checkpoint, stages: Sequence[StageConfig]) -> None:
    """Refuse what a late stage would require of the model, but it lacks.

    Raises:
        Thought1Error: vectors that a companion gives, thoughts longer than its positions, evidence
            that its template lacks a slot for, or thoughts of a model whose language head no stage
            has trained.
    """
    trained = not checkpoint.random_head
    positions = max_positions(checkpoint.model.config)
    settings = checkpoint.settings
    for stage in stages:
        if settings.companion is not None:
            problem = companion_problem(stage, settings.companion.reader)
            if problem:
                raise Thought1Error(f"stage {stage.name}: of {checkpoint.name}, {problem}")
        longest = settings.max_query_tokens + stage.max_thought_tokens + 1
        rationales = any(source.kind == "rationales" for source in stage.sources)
        if (stage.thinks or rationales) and longest > positions:
            raise Thought1Error(
                f"stage {stage.name}: max_query_tokens + max_thought_tokens give sequences of "
                f"{longest} tokens, but {checkpoint.name} has {positions} positions: make them "
                "smaller"
            )
        trained = trained or stage.weight_language > 0
        if stage.thinks and not trained:
            raise Thought1Error(
                f"stage {stage.name}: {checkpoint.name} has no language head, and no stage up to "
                "this one trains one (weight_lm or weight_sft above 0)"
            )
        shown = any(source.evidence for source in stage.sources)
        if shown and "{evidence}" not in settings.query.pattern:
            raise Thought1Error(
                f"stage {stage.name}: its evidence needs a slot {{evidence}} in the query "
                f"template, and {settings.query.pattern!r} has none: set model.query_template"
            )


def check_teachers(
    checkpoint: Checkpoint, stages: Sequence[StageConfig], teachers: Mapping[str, int]
) -> None:
    """Refuse to compare vectors of different dimensions.

    Args:
        teachers: stage -> dimension of its teacher's vectors.

    Raises:
        Thought1Error: a stage would.
    """
    own = checkpoint.engine().dim
    for stage in stages:
        theirs = teachers.get(stage.name, own)
        if isinstance(stage, SupervisedStage) and stage.weight_distill and theirs != own:
            raise Thought1Error(
                f"stage {stage.name}: weight_distill compares vectors, and the teacher's have "
                f"{theirs} dimensions, those of {checkpoint.name} {own}: set it to 0 "
                "(weight_distill_similarity compares similarities, whatever the dimensions), or "
                "take another teacher"
            )


def choose_attention(model: PreTrainedModel) -> None:
    """Plain attention on a CPU: the backward pass of torch's fused one takes several times longer
    there on sequences as short as ours (a third of a step of t1-nano on an AMD EPYC).
    """
    if not torch.cuda.is_available():
        model.set_attn_implementation("eager")


def switch_dropout_off(model: PreTrainedModel) -> None:
    """The few epochs of these recipes do not overfit; noise in the vectors only slows them."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def keep_frequent(checkpoint: Checkpoint, texts: Iterable[str], size: int) -> Checkpoint:
    """A WordPiece model with only `size` tokens: specials, single characters, the most frequent.

    Whatever is dropped is still readable, in smaller pieces: single characters of all scripts
    that the vocabulary holds, but ideographs, stay.

    Raises:
        Thought1Error: another kind of tokenizer, or `size` below what must stay.
    """
    spec: dict[str, Any] = json.loads(checkpoint.tokenizer.backend_tokenizer.to_str())
    if spec["model"]["type"] != "WordPiece":
        raise Thought1Error("vocab_size works with WordPiece tokenizers only: set it to 0")
    emb_token = checkpoint.settings.emb_token
    old: dict[str, int] = {t: i for t, i in spec["model"]["vocab"].items() if t != emb_token}
    kept = _chosen(old, _frequencies(spec, texts), size - 1)
    vocabulary = {token: i for i, token in enumerate([*kept, emb_token])}
    rows = torch.tensor([*(old[token] for token in kept), checkpoint.emb_id])
    _shrink(checkpoint.model, rows)
    tokenizer = _retokenize(spec, vocabulary, emb_token)
    model = checkpoint.model
    model.config.pad_token_id = vocabulary["[PAD]"]
    model.config.bos_token_id = vocabulary["[CLS]"]
    model.config.eos_token_id = vocabulary["[SEP]"]
    model.generation_config.pad_token_id = model.config.pad_token_id
    model.generation_config.bos_token_id = model.config.bos_token_id
    model.generation_config.eos_token_id = model.config.eos_token_id
    return replace(checkpoint, tokenizer=tokenizer)


def _frequencies(spec: dict[str, Any], texts: Iterable[str]) -> Counter[str]:
    plain = Tokenizer.from_str(json.dumps({**spec, "truncation": None, "padding": None}))
    counts: Counter[int] = Counter()
    held = list(texts)
    for start in range(0, len(held), 4096):
        part = held[start : start + 4096]
        for encoding in plain.encode_batch_fast(part, add_special_tokens=False):
            counts.update(encoding.ids)
    return Counter({str(plain.id_to_token(i)): n for i, n in counts.items()})


def _chosen(old: dict[str, int], counts: Counter[str], size: int) -> list[str]:
    must = [token for token in SPECIALS if token in old]
    must += [t for t in sorted(old, key=old.__getitem__) if _single_character(t) and t not in must]
    if size < len(must):
        raise Thought1Error(f"vocab_size must be above {len(must)}, the single characters")
    taken = set(must)
    rest = [t for t in old if t not in taken and not t.startswith("[unused")]
    rest.sort(key=lambda token: (-counts[token], old[token]))
    return must + rest[: size - len(must)]


def _single_character(token: str) -> bool:
    inner = token.removeprefix("##") or token
    return len(inner) == 1 and ord(inner) < 0x2E80


def _shrink(model: PreTrainedModel, rows: torch.Tensor) -> None:
    """Keep these rows of both embeddings and of the head's bias."""
    kept = [values[rows] for values in _vocabulary_tensors(model)]
    model.resize_token_embeddings(len(rows), mean_resizing=False)
    for values, chosen in zip(_vocabulary_tensors(model), kept, strict=True):
        values.copy_(chosen)


def _vocabulary_tensors(model: PreTrainedModel) -> list[torch.Tensor]:
    """Every tensor with a row for each token; no gradient is kept through them."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    assert isinstance(embedding, nn.Embedding) and isinstance(head, nn.Linear)
    tensors = [embedding.weight, head.weight, *([] if head.bias is None else [head.bias])]
    return [tensor.detach() for tensor in tensors]


def _retokenize(
    spec: dict[str, Any], vocabulary: dict[str, int], emb_token: str
) -> PreTrainedTokenizerFast:
    specials = [token for token in (*SPECIALS, emb_token) if token in vocabulary]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    spec["model"]["vocab"] = vocabulary
    spec["added_tokens"] = [
        {"id": vocabulary[token], "content": token, "special": True, **flags} for token in specials
    ]
    ends = {
        token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]}
        for token in ("[CLS]", "[SEP]")
    }
    spec["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        ],
        "pair": [],
        "special_tokens": ends,
    }
    spec["truncation"] = spec["padding"] = None
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(spec)),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        additional_special_tokens=[emb_token],
    )
