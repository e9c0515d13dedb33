"""A model from random weights: a small Qwen3 whose tokenizer is made from the training's texts.

    [model]
    base = "scratch"
    [model.scratch]
    layers = 4
    hidden_size = 192
    heads = 6

It knows texts and sizes, no files. torch's generator decides the weights: the caller seeds it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from thought1.model.adapt_lm import add_emb_token, default_settings
from thought1.model.checkpoint import Checkpoint
from thought1.model.place import Place
from thought1.model.prompts import Template
from thought1.model.settings import DOCUMENT_INSTRUCTION, EMB_TOKEN, QUERY_INSTRUCTION
from thought1.training.recipe.model import SCRATCH, ModelConfig, ScratchConfig
from thought1.types import Thought1Error

PAD, UNKNOWN, END = SPECIALS = ("<pad>", "<unk>", "<|endoftext|>")
BYTES = pre_tokenizers.ByteLevel.alphabet()


def build(config: ModelConfig, texts: Iterable[str]) -> Checkpoint:
    """A new model on the CPU in float32, with `<emb_token>` and default settings.

    Raises:
        Thought1Error: there are no texts to make a tokenizer from.
        ValueError: `config` has no `scratch`.
    """
    sizes = config.scratch
    if sizes is None:
        raise ValueError("nothing to build: config.scratch is None")
    held = list(texts)
    if not held:
        raise Thought1Error(
            "a tokenizer from scratch is made from the texts of all stages, and there are none: "
            "give one of them a source without `stream`"
        )
    if sizes.tokenizer == "words":
        backend = _words(held, _own_words(config), sizes.min_count)
    else:
        backend = _bpe(held, config.vocab_size - 1)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        clean_up_tokenization_spaces=False,
    )
    model = _model(sizes, tokenizer)
    add_emb_token(model, tokenizer, EMB_TOKEN)
    settings = default_settings(tokenizer, sizes.max_positions, SCRATCH)
    return Checkpoint(Place(SCRATCH, Path(SCRATCH)), model.eval(), tokenizer, settings)


def _own_words(config: ModelConfig) -> list[str]:
    """The words of templates and instructions; the default patterns hold slots only."""
    sides = (
        (config.query_template, config.query_instruction or QUERY_INSTRUCTION),
        (config.document_template, config.document_instruction or DOCUMENT_INSTRUCTION),
    )
    parts = [
        part
        for pattern, instruction in sides
        for part in Template(pattern or "{instruction} {text}", instruction).parts(None)
    ]
    return " ".join(parts).split()


def _words(texts: Sequence[str], own: Sequence[str], min_count: int) -> Tokenizer:
    """`own` words, then those of `texts`, the most frequent first."""
    counts = Counter(word for text in texts for word in text.split())
    frequent = sorted(
        (w for w, n in counts.items() if n >= min_count), key=lambda w: (-counts[w], w)
    )
    # A text that spells a special token must not mean one.
    words = [
        word for word in dict.fromkeys([*own, *frequent]) if word not in (*SPECIALS, EMB_TOKEN)
    ]
    vocabulary = {word: i for i, word in enumerate([*SPECIALS, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    # Line breaks of templates vanish like blanks. Without a decoder, tokens are joined by blanks.
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def _bpe(texts: Sequence[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIALS),
        initial_alphabet=BYTES,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _model(sizes: ScratchConfig, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    width = sizes.intermediate_size or -(-8 * sizes.hidden_size // (3 * 64)) * 64
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=sizes.hidden_size,
            intermediate_size=width,
            num_hidden_layers=sizes.layers,
            num_attention_heads=sizes.heads,
            num_key_value_heads=sizes.heads,
            head_dim=sizes.hidden_size // sizes.heads,
            max_position_embeddings=sizes.max_positions,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
