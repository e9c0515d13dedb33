"""A start from random weights: both tokenizers, the seed, refusals, and a training that uses it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_recipe import RECIPE, recipe
from transformers import set_seed

from thought1.model.checkpoint import Checkpoint
from thought1.model.checkpoint_saving import save_checkpoint
from thought1.model.prompts import PROBES
from thought1.model.settings import EMB_TOKEN
from thought1.t1 import T1
from thought1.training.model.base_model import start_checkpoint
from thought1.training.model.scratch import build
from thought1.training.recipe import ModelConfig, ScratchConfig, load_recipe
from thought1.training.recipe.model import SMALLEST_BPE
from thought1.training.run import train
from thought1.types import Thought1Error

TEXTS = [
    "Uveo lives in Sarn .",
    "Sarn lies on the river Tor .",
    "Where does Uveo live ?",
    "<|endoftext|> and <emb_token> are words here .",
]
SIZES = ScratchConfig(layers=2, hidden_size=24, heads=3, max_positions=64)
WORDS = ModelConfig(
    "scratch",
    query_template="Q: {instruction}\n{evidence}{text} \n",
    document_template="D:\n{text}\n",
    query_instruction="think first",
    max_query_tokens=40,
    max_document_tokens=60,
    thought_budget=8,
    scratch=SIZES,
)
BPE = replace(WORDS, vocab_size=300, scratch=replace(SIZES, tokenizer="bpe"))
CONFIGS = pytest.mark.parametrize("config", [WORDS, BPE], ids=["words", "bpe"])


def start(config: ModelConfig, seed: int = 1) -> Checkpoint:
    set_seed(seed)
    return start_checkpoint(config, iter(TEXTS))


# -- tokenizers ------------------------------------------------------------------------------


@CONFIGS
def test_special_tokens_and_sizes(config: ModelConfig) -> None:
    found = start(config)
    tokenizer = found.tokenizer
    assert tokenizer.convert_ids_to_tokens([0, 1, 2]) == ["<pad>", "<unk>", "<|endoftext|>"]
    assert (found.model.config.pad_token_id, found.eos_ids) == (0, frozenset({2}))
    assert found.emb_id == len(tokenizer) - 1
    rows_VD = found.model.get_input_embeddings().weight
    assert rows_VD is found.model.get_output_embeddings().weight
    assert rows_VD.shape == (len(tokenizer), 24)
    assert torch.allclose(rows_VD[-1], rows_VD[:-1].mean(0))
    if config is BPE:
        assert len(tokenizer) == 300


@CONFIGS
def test_a_thought_is_read_as_it_was_written(config: ModelConfig) -> None:
    found = T1(start(config))
    thought = "Uveo lives in Sarn . Sarn lies on the river Tor ."
    assert found.tokenizer.decode(found.renderer.text([thought])[0]) == thought


@CONFIGS
def test_a_text_cannot_spell_special_tokens(config: ModelConfig) -> None:
    found = start(config)
    special = {0, 2, found.emb_id}
    ids = T1(found).renderer.text(["<pad> <|endoftext|> <emb_token> Uveo", f"{EMB_TOKEN}."])
    assert ids[0] and not special & {i for row in ids for i in row}


def test_words_as_they_come() -> None:
    found = T1(start(WORDS))
    ids = found.renderer.text(["Uveo uveo\nTor Tor. ?"])[0]
    assert found.tokenizer.convert_ids_to_tokens(ids) == ["Uveo", "<unk>", "Tor", "<unk>", "?"]


def test_words_of_templates_are_known_however_rare() -> None:
    config = replace(WORDS, scratch=replace(SIZES, min_count=2))
    known = set(start(config).tokenizer.get_vocab())
    assert known >= {"Q:", "D:", "think", "first"}
    assert {"Uveo", "Sarn", "."} <= known and not {"Tor", "river"} & known


def test_words_of_the_default_instructions_are_known() -> None:
    found = T1(start(replace(WORDS, query_template="", query_instruction="")))
    head = found.settings.query.parts(None)[0]
    ids = found.renderer.words(head)
    assert found.tokenizer.decode(ids) == head.strip()


def test_the_vocabulary_does_not_depend_on_the_order_of_texts() -> None:
    for config in (WORDS, BPE):
        straight, reverse = build(config, TEXTS), build(config, TEXTS[::-1])
        assert straight.tokenizer.get_vocab() == reverse.tokenizer.get_vocab()


def test_bpe_reads_everything() -> None:
    found = T1(start(BPE))
    for probe, ids in zip(PROBES, found.renderer.text(PROBES), strict=True):
        assert found.tokenizer.decode(ids) == probe


# -- weights ---------------------------------------------------------------------------------


def weights(config: ModelConfig, seed: int) -> dict[str, Any]:
    return dict(start(config, seed).model.state_dict())


@CONFIGS
def test_the_seed_decides_the_weights(config: ModelConfig) -> None:
    one, same, other = weights(config, 1), weights(config, 1), weights(config, 2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    matrices = [name for name in one if one[name].dim() > 1]
    assert matrices and not any(torch.equal(one[name], other[name]) for name in matrices)


@pytest.mark.parametrize(
    ("hidden", "given", "expected"), [(24, 0, 64), (96, 0, 256), (192, 0, 512), (24, 40, 40)]
)
def test_architecture(hidden: int, given: int, expected: int) -> None:
    sizes = replace(SIZES, hidden_size=hidden, intermediate_size=given)
    config = start(replace(WORDS, scratch=sizes)).model.config
    assert (config.model_type, config.num_hidden_layers) == ("qwen3", 2)
    assert (config.hidden_size, config.head_dim) == (hidden, hidden // 3)
    assert (config.num_attention_heads, config.num_key_value_heads) == (3, 3)
    assert (config.intermediate_size, config.max_position_embeddings) == (expected, 64)


@CONFIGS
def test_saved_and_loaded_it_gives_the_same_vectors(config: ModelConfig, tmp_path: Path) -> None:
    checkpoint = start(config)
    save_checkpoint(checkpoint, tmp_path / "saved")
    model, loaded = T1(checkpoint), T1.from_pretrained(tmp_path / "saved", device="cpu")
    assert loaded.settings == checkpoint.settings
    assert loaded.settings.backbone == "scratch"
    query = "Where does Uveo live ?"
    (thought,) = model.think([query], budget=8)
    assert loaded.think([query], budget=8)[0].text == thought.text
    assert loaded.templates_hash == model.templates_hash
    for encode in (T1.encode_query, T1.encode_document):
        vectors_ND = encode(model, [query, "Tor Sarn", "never seen"])
        assert np.isfinite(vectors_ND).all() and vectors_ND.shape == (3, 24)
        again_ND = encode(loaded, [query, "Tor Sarn", "never seen"])
        np.testing.assert_allclose(again_ND, vectors_ND, rtol=0, atol=1e-6)


# -- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "changes", "problem"),
    [
        (WORDS, {"scratch": None}, "needs a table [model.scratch]"),
        (WORDS, {"base": "owner/name"}, "base is 'owner/name'"),
        (SIZES, {"heads": 5}, "hidden_size 24 over 5 heads"),
        (SIZES, {"heads": 8}, "hidden_size 24 over 8 heads"),
        (WORDS, {"vocab_size": 300}, "vocab_size is not for"),
        (BPE, {"vocab_size": 0}, f"vocab_size of {SMALLEST_BPE} or more"),
        (BPE, {"vocab_size": SMALLEST_BPE - 1}, f"vocab_size of {SMALLEST_BPE} or more"),
    ],
)
def test_refused_before_a_text_is_read(config: Any, changes: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        replace(config, **changes)


def test_the_smallest_bpe() -> None:
    assert len(start(replace(BPE, vocab_size=SMALLEST_BPE)).tokenizer) == SMALLEST_BPE


def test_no_texts() -> None:
    with pytest.raises(Thought1Error, match="without `stream`"):
        start_checkpoint(WORDS, [])


def test_a_template_that_touches_the_text() -> None:
    with pytest.raises(Thought1Error, match="breaks inside a token"):
        start(replace(WORDS, document_template="D:{text}"))


def test_more_tokens_than_positions() -> None:
    with pytest.raises(Thought1Error, match="scratch has 64 positions"):
        start(replace(WORDS, max_document_tokens=65))


# -- recipes ---------------------------------------------------------------------------------

TABLE = """
[model.scratch]
layers = 1
hidden_size = 16
heads = 2
"""
BASE = 'model.base="scratch"'


def test_a_recipe_from_scratch(room: Path) -> None:
    text = RECIPE.replace("[[stages]]", TABLE + "[[stages]]", 1)
    found = train(recipe(room, room / "whole", BASE, "stages.0.max_steps=1", text=text))
    model = T1.from_pretrained(found, device="cpu")
    assert model.settings.backbone == "scratch"
    assert {"ask", "tell", "glass", "change?"} <= set(model.tokenizer.get_vocab())
    assert [entry["steps"] for entry in model.settings.lineage] == [1]
    assert model.encode_query(["Why does ice change?"]).shape == (1, 16)


def test_min_count_is_for_words(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    extra = 'tokenizer = "bpe"\nmin_count = 2\n'
    path.write_text(f'name = "x"\nstages = []\n[model]\nbase = "scratch"\n{TABLE}{extra}')
    with pytest.raises(Thought1Error, match="'min_count' is read with tokenizer = 'words' only"):
        load_recipe(path)
