"""Tiny random checkpoints of many architectures, made on the spot, and tokenizers of many kinds."""

import re
import string
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertForMaskedLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

TEXTS = [
    "Most solids expand when they are heated and shrink when they are cooled.",
    "Why do ice cubes crack when they are dropped into warm water?",
    "A thermometer measures 20 degrees; the kettle boils at 100.",
    "Salt lowers the freezing point of water, so roads stay wet in winter.",
]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


# How Qwen (and, but for the digits, Llama 3) cut a text: punctuation takes line breaks along.
QWEN_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level_tokenizer(
    vocab_size: int = 400, chat: bool = False, pieces: str = "", texts: Sequence[str] = TEXTS
) -> PreTrainedTokenizerFast:
    """A byte-level BPE of `texts`, cut as in GPT-2, or by the regular expression `pieces`."""
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pieces)
    steps = [pre_tokenizers.Split(Regex(pieces), "isolated")] if pieces else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=specials, initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator([f"{text}\n" for text in texts] * 20, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>" if chat else "<|endoftext|>",
        pad_token="<|endoftext|>",
    )
    if chat:
        fast.chat_template = CHAT
    return fast


def word_piece_tokenizer() -> PreTrainedTokenizerFast:
    """A WordPiece with [CLS] and [SEP], as BERT has it."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # Chosen here, because the trainer breaks ties by chance.
    words = sorted({word for text in TEXTS for word in re.findall(r"\w+", text.lower())})
    characters = sorted(string.ascii_lowercase + string.digits + string.punctuation)
    pieces = [f"##{character}" for character in characters]
    pieces += [word if len(word) < 5 else word[:3] for word in words]
    pieces += [f"##{word[3:]}" for word in words if len(word) >= 5]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(specials + characters + pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        eos_token="[SEP]",
    )


def unigram_tokenizer(vocab_size: int = 120) -> PreTrainedTokenizerFast:
    """A SentencePiece Unigram as XLM-R has it: its special tokens are pieces of the vocabulary."""
    specials = ["<s>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size, special_tokens=specials, unk_token="<unk>"
    )
    tokenizer.train_from_iterator(TEXTS * 20, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
GROUPED = {**SIZES, "num_key_value_heads": 2, "head_dim": 8}


def _qwen3(vocab: int) -> PreTrainedModel:
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=vocab, tie_word_embeddings=True, **GROUPED))


def _qwen2(vocab: int) -> PreTrainedModel:
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=vocab, **SIZES, num_key_value_heads=2))


def _llama(vocab: int) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocab, **GROUPED))


def _gemma(vocab: int) -> PreTrainedModel:
    return GemmaForCausalLM(GemmaConfig(vocab_size=vocab, **GROUPED))


def _gemma2(vocab: int) -> PreTrainedModel:
    """Sliding-window layers and soft-capped logits."""
    return Gemma2ForCausalLM(Gemma2Config(vocab_size=vocab, sliding_window=16, **GROUPED))


def _mistral(vocab: int) -> PreTrainedModel:
    """A sliding window in every layer, which its configuration does not list by layer."""
    return MistralForCausalLM(MistralConfig(vocab_size=vocab, sliding_window=16, **GROUPED))


def _bert(vocab: int) -> PreTrainedModel:
    return BertForMaskedLM(BertConfig(vocab_size=vocab, **SIZES))


ARCHITECTURES: dict[str, Callable[[int], PreTrainedModel]] = {
    "qwen3": _qwen3,
    "qwen2": _qwen2,
    "llama": _llama,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "mistral": _mistral,
    "bert": _bert,
}


def make_checkpoint(
    folder: Path,
    architecture: str = "qwen3",
    *,
    chat: bool = False,
    seed: int = 0,
    vocab_size: int | None = None,
) -> Path:
    """Save a tiny plain model (no `<emb_token>`, no t1.json) as a user would find it on a hub."""
    torch.manual_seed(seed)
    bert = architecture == "bert"
    tokenizer = word_piece_tokenizer() if bert else byte_level_tokenizer(chat=chat)
    model = ARCHITECTURES[architecture](vocab_size or len(tokenizer))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # The usual tiny deviations make every greedy thought one repeated token. In BERT's
            # head larger ones do.
            if parameter.dim() > 1 and not name.startswith("cls."):
                parameter.normal_(0, 0.25)
        if bert:  # words of equal norm, so that not one of them always wins
            words = model.get_input_embeddings().weight
            words.copy_(4 * torch.nn.functional.normalize(words))
        if architecture in ("gemma", "gemma2"):
            # They multiply embeddings by this, which would drown whatever attention adds.
            model.get_input_embeddings().weight.div_(model.config.hidden_size**0.5)
    model.config.eos_token_id = tokenizer.eos_token_id
    model.config.pad_token_id = tokenizer.pad_token_id
    if not bert:  # a BERT encoder has no generation settings
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
