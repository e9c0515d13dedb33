"""Checkpoints: what is loaded, what is written, and what is refused with which words."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny import (
    ARCHITECTURES,
    QWEN_PIECES,
    SIZES,
    TEXTS,
    byte_level_tokenizer,
    make_checkpoint,
    word_piece_tokenizer,
)
from tokenizers.processors import TemplateProcessing
from transformers import (
    ElectraConfig,
    ElectraForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from thought1.model import checkpoint_saving
from thought1.model import place as place_module
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.model.place import Place, bundled_folder, find_model
from thought1.model.prompts import Template
from thought1.model.settings import EMB_TOKEN, FILE_NAME, Settings, ThoughtSettings
from thought1.model.weights import hash_weights
from thought1.t1 import T1
from thought1.types import Thought1Error

QUESTION = "Why do ice cubes crack?"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain language model, as on a hub. Tests copy it before they change it."""
    return make_checkpoint(tmp_path_factory.mktemp("plain") / "qwen3")


@pytest.fixture(scope="module")
def saved(plain: Path) -> Path:
    """The same as a T1 checkpoint."""
    folder = plain.with_name("t1")
    load(plain).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def load(folder: Path, **options: Any) -> T1:
    return T1.from_pretrained(folder, device="cpu", **options)


def vectors(model: T1) -> np.ndarray:
    return np.concatenate([model.encode_document(TEXTS), model.encode_query(TEXTS, budget=3)])


def stored_tensors(folder: Path) -> dict[str, torch.Tensor]:
    tensors = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            tensors.update({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return tensors


def edit_json(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, **changes}), "utf-8")


# -- a plain language model becomes a T1 ---------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_plain_model_gets_the_token_its_mean_rows_and_a_warning(
    architecture: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_checkpoint(tmp_path / architecture, architecture)
    with caplog.at_level(logging.WARNING, "thought1"):
        checkpoint = load_checkpoint(folder, device="cpu")
    assert f"{folder} has no t1.json" in caplog.text
    assert "untrained as a retriever" in caplog.text
    new = checkpoint.emb_id
    assert checkpoint.tokenizer.convert_ids_to_tokens(new) == EMB_TOKEN
    assert checkpoint.tokenizer(f"a{EMB_TOKEN}b", add_special_tokens=False)["input_ids"][1] == new
    assert new in checkpoint.tokenizer.all_special_ids
    assert new == len(checkpoint.tokenizer) - 1
    model = checkpoint.model
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        assert layer.weight.shape[0] == model.config.vocab_size == new + 1
        torch.testing.assert_close(layer.weight[new], layer.weight[:new].mean(0))
    assert checkpoint.settings.backbone == str(folder)
    assert checkpoint.eos_ids == {checkpoint.tokenizer.eos_token_id}
    assert not model.training


def test_the_old_special_tokens_stay_special(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(make_checkpoint(tmp_path / "chat", chat=True), device="cpu")
    for token in ("<|im_start|>", "<|im_end|>", "<|endoftext|>"):
        (one,) = checkpoint.tokenizer(token, add_special_tokens=False)["input_ids"]
        assert checkpoint.tokenizer.added_tokens_decoder[one].special


def test_a_t1_checkpoint_loads_without_a_warning(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "thought1"):
        load(saved)
    assert caplog.text == ""


def test_every_end_of_text_id_counts(plain: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(plain, tmp_path / "ends"))
    edit_json(folder / "generation_config.json", eos_token_id=[5, 6])
    edit_json(folder / "config.json", eos_token_id=7)
    checkpoint = load_checkpoint(folder, device="cpu")
    assert checkpoint.eos_ids == {5, 6, 7, checkpoint.tokenizer.eos_token_id}


def test_default_lengths_fit_the_positions(plain: Path) -> None:
    settings = load_checkpoint(plain, device="cpu").settings
    assert (settings.max_query_tokens, settings.max_document_tokens) == (128, 256)
    model = load(plain)
    long = "thermometer " * 300
    assert model.encode_document(long).shape == (32,)
    assert model.think(long)[0].finish_reason == "budget"


@pytest.mark.parametrize("tied", [True, False])
def test_released_qwen3_scaled_down(tied: bool, tmp_path: Path) -> None:
    """ForwardAILabs/MRE-T1 has 151,670 rows. The tokenizer here is smaller: a spare row is used."""
    sizes = {**SIZES, "num_key_value_heads": 2, "head_dim": 8}
    config = Qwen3Config(vocab_size=151_670, tie_word_embeddings=tied, **sizes)
    model = Qwen3ForCausalLM(config)
    tokenizer = byte_level_tokenizer(chat=True, pieces=QWEN_PIECES)
    model.save_pretrained(tmp_path / "mre")
    tokenizer.save_pretrained(tmp_path / "mre")
    loaded = load(tmp_path / "mre")
    weights = loaded.checkpoint.model.get_input_embeddings().weight
    head = loaded.checkpoint.model.get_output_embeddings().weight
    assert weights.shape[0] == head.shape[0] == 151_670
    assert loaded.checkpoint.emb_id == len(tokenizer)
    torch.testing.assert_close(weights[len(tokenizer)], weights[: len(tokenizer)].mean(0))
    torch.testing.assert_close(head[len(tokenizer)], head[: len(tokenizer)].mean(0))
    assert (weights.data_ptr() == head.data_ptr()) is tied
    loaded.save_pretrained(tmp_path / "saved")
    again = load(tmp_path / "saved")
    assert again.checkpoint.model.config.vocab_size == 151_670
    np.testing.assert_array_equal(vectors(again), vectors(loaded))


def test_a_released_checkpoint_that_has_the_token_keeps_its_row(saved: Path, copy: Path) -> None:
    (copy / FILE_NAME).unlink()
    bare, whole = load_checkpoint(copy, device="cpu"), load_checkpoint(saved, device="cpu")
    assert bare.emb_id == whole.emb_id
    assert len(bare.tokenizer) == len(whole.tokenizer)
    for one, other in zip(bare.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_released_qwen2_scaled_down_with_tied_embeddings(tmp_path: Path) -> None:
    """CITech/CRE-T1-SFT-preview-1202 is a Qwen2.5-1.5B, whose head is its embedding."""
    config = Qwen2Config(
        vocab_size=151_936, tie_word_embeddings=True, num_key_value_heads=2, **SIZES
    )
    tokenizer = byte_level_tokenizer(chat=True, pieces=QWEN_PIECES)
    Qwen2ForCausalLM(config).save_pretrained(tmp_path / "cre")
    tokenizer.save_pretrained(tmp_path / "cre")
    loaded = load(tmp_path / "cre")
    model = loaded.checkpoint.model
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    loaded.save_pretrained(tmp_path / "saved", dtype="float16")
    assert "lm_head.weight" not in stored_tensors(tmp_path / "saved")
    again = load(tmp_path / "saved").checkpoint.model
    assert again.get_input_embeddings().weight is again.get_output_embeddings().weight


def test_an_electra_runs_as_a_decoder(tmp_path: Path) -> None:
    """Its embeddings are narrower than its hidden states."""
    tokenizer = word_piece_tokenizer()
    config = ElectraConfig(vocab_size=len(tokenizer), embedding_size=16, **SIZES)
    ElectraForCausalLM(config).save_pretrained(tmp_path / "electra")
    tokenizer.save_pretrained(tmp_path / "electra")
    model = load(tmp_path / "electra")
    model.save_pretrained(tmp_path / "saved")
    again = load(tmp_path / "saved")
    np.testing.assert_array_equal(vectors(again), vectors(model))
    # Causal: what comes later changes no earlier hidden state.
    one, other = (
        again.checkpoint.model.base_model(torch.tensor([[5, 6, last]])).last_hidden_state[0, :2]
        for last in (7, 8)
    )
    torch.testing.assert_close(one, other)


# -- chat templates ------------------------------------------------------------------------------


def test_a_chat_model_is_asked_as_a_user(tmp_path: Path) -> None:
    model = load(make_checkpoint(tmp_path / "chat", chat=True))
    query, document = model.settings.query, model.settings.document
    assert query.pattern == (
        "<|im_start|>user\n{instruction}\n{evidence}{text}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert document.pattern == "<|im_start|>user\n{instruction}\n{text}<|im_end|>\n"
    assert model.checkpoint.eos_ids == {model.tokenizer.convert_tokens_to_ids("<|im_end|>")}
    model.save_pretrained(tmp_path / "saved")
    np.testing.assert_array_equal(vectors(load(tmp_path / "saved")), vectors(model))


@pytest.mark.parametrize("by_tokenizer", [True, False])
def test_a_start_token_comes_once(by_tokenizer: bool, tmp_path: Path) -> None:
    """Whether only the chat template writes it, or the tokenizer puts it first as well."""
    folder = make_checkpoint(tmp_path / "chat", chat=True)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.bos_token = "<|endoftext|>"
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    if by_tokenizer:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", tokenizer.bos_token_id)]
        )
    tokenizer.save_pretrained(folder)
    model = load(folder)
    rendered = model.renderer.render(model.settings.query, [QUESTION], 128)
    start = model.tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_start|>"])
    assert list(rendered.prefix[:2]) == start
    assert start[0] not in rendered.prefix[1:]


# -- save and load -------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_round_trip(architecture: str, tmp_path: Path) -> None:
    first = load(make_checkpoint(tmp_path / "plain", architecture))
    first.save_pretrained(tmp_path / "one")
    second = load(tmp_path / "one")
    second.save_pretrained(tmp_path / "deep" / "er" / "two")
    third = load(tmp_path / "deep" / "er" / "two")
    assert first.settings == second.settings == third.settings
    np.testing.assert_array_equal(vectors(first), vectors(second))
    np.testing.assert_array_equal(vectors(second), vectors(third))
    assert second.think(TEXTS, budget=5) == first.think(TEXTS, budget=5)
    assert second.weights_hash == third.weights_hash
    assert first.templates_hash == second.templates_hash == third.templates_hash
    assert first.checkpoint.emb_id == third.checkpoint.emb_id
    assert first.checkpoint.eos_ids == third.checkpoint.eos_ids


def test_the_settings_round_trip(saved: Path, tmp_path: Path) -> None:
    model = load(saved)
    settings = Settings(
        query=Template("é {instruction}\n{evidence}{text} \n", "Frag: „Grüße“", "* {evidence}\n"),
        document=Template("{text}"),
        max_query_tokens=77,
        max_document_tokens=99,
        thought=ThoughtSettings(5, 0.5, 0.9),
        backbone="somebody/model",
        lineage=({"stage": "represent", "files": {"a": "b"}, "seed": 1},),
    )
    T1(replace(model.checkpoint, settings=settings)).save_pretrained(tmp_path / "new")
    assert load(tmp_path / "new").settings == settings


def test_save_in_float16_in_small_shards(tmp_path: Path) -> None:
    sizes = {**SIZES, "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 4}
    config = Qwen3Config(
        vocab_size=400, num_key_value_heads=2, head_dim=128, tie_word_embeddings=True, **sizes
    )
    Qwen3ForCausalLM(config).save_pretrained(tmp_path / "big")
    byte_level_tokenizer().save_pretrained(tmp_path / "big")
    model = load(tmp_path / "big")
    before = vectors(model)
    model.save_pretrained(tmp_path / "small", dtype="float16")
    shards = list((tmp_path / "small").glob("*.safetensors"))
    assert len(shards) > 1
    assert all(path.stat().st_size <= 15_000_000 for path in shards)
    tensors = stored_tensors(tmp_path / "small")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert "lm_head.weight" not in tensors
    assert json.loads((tmp_path / "small" / "config.json").read_text())["dtype"] == "float16"
    # The model in memory stays as it is, and the stored one is computed with in float32 again.
    np.testing.assert_array_equal(vectors(model), before)
    assert model.checkpoint.model.config.dtype == torch.float32
    again = load(tmp_path / "small")
    assert again.checkpoint.model.dtype == torch.float32
    documents = [model.encode_document(TEXTS), again.encode_document(TEXTS)]
    np.testing.assert_allclose(documents[0], documents[1], atol=5e-3)
    with pytest.raises(Thought1Error, match="unknown dtype 'int'"):
        model.save_pretrained(tmp_path / "never", dtype="int")
    assert not (tmp_path / "never").exists()


def test_saving_again_replaces_all_shards_and_keeps_other_files(copy: Path) -> None:
    (copy / "README.md").write_text("mine")
    for name in ("model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        (copy / name).write_bytes((copy / "model.safetensors").read_bytes())
    model = load(copy)
    model.save_pretrained(copy)
    assert {path.name for path in copy.glob("model*")} == {"model.safetensors"}
    assert (copy / "README.md").read_text() == "mine"
    np.testing.assert_array_equal(vectors(load(copy)), vectors(model))


def test_an_interrupted_save_leaves_the_old_checkpoint(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    model = load(copy)
    write = checkpoint_saving._write

    def interrupted(*arguments: Any) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_saving, "_write", interrupted)
    with torch.no_grad():
        model.checkpoint.model.get_input_embeddings().weight.add_(1)
    with pytest.raises(KeyboardInterrupt):
        model.save_pretrained(copy)
    with pytest.raises(KeyboardInterrupt):
        model.save_pretrained(copy.parent / "new")
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


@pytest.mark.parametrize("side", ["query", "document"])
def test_save_refuses_a_template_that_breaks_inside_a_token(
    side: str, saved: Path, tmp_path: Path
) -> None:
    model = load(saved)
    settings = replace(model.settings, **{side: Template("e{text}")})
    broken = T1(replace(model.checkpoint, settings=settings))
    with pytest.raises(Thought1Error, match="breaks inside a token"):
        broken.save_pretrained(tmp_path / "broken")
    assert list(tmp_path.iterdir()) == []


# -- hashes --------------------------------------------------------------------------------------


def test_the_weights_hash_knows_contents_and_no_shards(saved: Path, tmp_path: Path) -> None:
    model = load(saved).checkpoint.model
    whole = hash_weights(saved)
    model.save_pretrained(tmp_path / "cut", max_shard_size="20KB")
    assert len(list((tmp_path / "cut").glob("*.safetensors"))) > 2
    assert hash_weights(tmp_path / "cut") == whole
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1e-3
    model.save_pretrained(tmp_path / "other")
    model.to(torch.bfloat16).save_pretrained(tmp_path / "bfloat16")
    hashes = {hash_weights(tmp_path / name) for name in ("cut", "other", "bfloat16")}
    assert len(hashes) == 3
    assert load(saved, dtype="bfloat16").weights_hash == whole
    with pytest.raises(Thought1Error, match="holds no safetensors"):
        hash_weights(tmp_path)


CHANGES: list[Callable[[Settings], Settings]] = [
    lambda s: replace(s, query=replace(s.query, pattern="{text}")),
    lambda s: replace(s, query=replace(s.query, instruction="x")),
    lambda s: replace(s, query=replace(s.query, evidence="-{evidence}")),
    lambda s: replace(s, document=replace(s.document, pattern="{text}")),
    lambda s: replace(s, max_query_tokens=9),
    lambda s: replace(s, max_document_tokens=9),
]
SILENT: list[Callable[[Settings], Settings]] = [
    lambda s: replace(s, thought=ThoughtSettings(3)),
    lambda s: replace(s, backbone="x"),
    lambda s: replace(s, lineage=({"stage": "x"},)),
]


def test_the_templates_hash_changes_with_what_changes_a_vector(saved: Path) -> None:
    checkpoint = load_checkpoint(saved, device="cpu")
    hashes = {checkpoint.templates_hash}
    for change in CHANGES:
        hashes.add(replace(checkpoint, settings=change(checkpoint.settings)).templates_hash)
    assert len(hashes) == 1 + len(CHANGES)
    for change in SILENT:
        same = replace(checkpoint, settings=change(checkpoint.settings))
        assert same.templates_hash == checkpoint.templates_hash
    other = replace(checkpoint, tokenizer=word_piece_tokenizer())
    assert other.templates_hash not in hashes


def test_the_templates_hash_does_not_depend_on_what_was_done_before(copy: Path) -> None:
    """all-MiniLM-L6-v2 stores truncation and padding, which the first call switches off."""
    content = json.loads((copy / "tokenizer.json").read_text("utf-8"))
    content["truncation"] = {
        "max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"
    }  # fmt: skip
    (copy / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    fresh, used = load(copy), load(copy)
    used.encode_document(TEXTS)
    used.tokenizer(TEXTS, padding=True, truncation=True, max_length=4)
    assert fresh.templates_hash == used.templates_hash
    assert used.truncated == 0


# -- dtype and device ----------------------------------------------------------------------------


def test_bfloat16_is_close_to_float32(saved: Path) -> None:
    exact, rough = load(saved), load(saved, dtype="bfloat16")
    assert rough.checkpoint.model.dtype == torch.bfloat16
    assert load(saved, dtype=torch.bfloat16).checkpoint.model.dtype == torch.bfloat16
    thoughts = exact.think(TEXTS, budget=5)
    pairs = [
        (exact.encode_document(TEXTS), rough.encode_document(TEXTS)),
        (exact.encode_query(TEXTS, budget=0), rough.encode_query(TEXTS, budget=0)),
        (
            exact.encode_query(TEXTS, thoughts=thoughts),
            rough.encode_query(TEXTS, thoughts=thoughts),
        ),
    ]
    for one, other in pairs:
        assert other.dtype == np.float32
        assert (one * other).sum(1).min() >= 0.99
    assert len(rough.think(TEXTS, budget=5)) == 4


def test_an_unknown_dtype_or_device_is_refused(saved: Path) -> None:
    for dtype in ("float99", "nn", "int"):
        with pytest.raises(Thought1Error, match=f"unknown dtype '{dtype}': use float32"):
            load(saved, dtype=dtype)
    with pytest.raises(Thought1Error, match="unknown device 'gpu'"):
        T1.from_pretrained(saved, device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(Thought1Error, match="no GPU is available"):
            T1.from_pretrained(saved, device="cuda")


# -- names ---------------------------------------------------------------------------------------


def test_the_bundled_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout it lies beside `src`; in a wheel inside the package, which comes first."""
    package = tmp_path / "src" / "thought1"
    monkeypatch.setattr(place_module, "__file__", str(package / "model" / "place.py"))
    with pytest.raises(Thought1Error, match="does not include a model: name one"):
        bundled_folder("t1-nano")
    for folder in (tmp_path / "models" / "t1-nano", package / "models" / "t1-nano"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        assert bundled_folder("t1-nano") == folder
        assert find_model("t1-nano") == Place("t1-nano", folder)


def test_the_name_of_a_folder_is_its_whole_path(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved.parent)
    assert load(Path(saved.name)).name == load(saved).name == str(saved.resolve())
