"""What cannot be loaded as a checkpoint, and the words that say so."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tiny import SIZES, byte_level_tokenizer, make_checkpoint
from transformers import RobertaConfig, RobertaModel, T5Config, T5ForConditionalGeneration

from thought1.model import place as place_module
from thought1.model.prompts import Template
from thought1.model.settings import FILE_NAME, Settings
from thought1.t1 import T1
from thought1.types import Thought1Error


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T1 checkpoint. Tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("refused")
    load(make_checkpoint(folder / "plain")).save_pretrained(folder / "t1")
    return folder / "t1"


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def load(folder: Path) -> T1:
    return T1.from_pretrained(folder, device="cpu")


def edit_json(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, **changes}), "utf-8")


# -- t1.json -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "newer than the 1 that this version .* upgrade thought1"),
        ({"format_version": None}, '"format_version" is missing'),
        ({"format_version": "1"}, '"format_version" is missing or not a number'),
        ({"prompt": "x", "size": 3}, r"unknown entries \['prompt', 'size'\]"),
        ({"query": {"pattern": "no slot"}}, r"slot \{text\} exactly once"),
        ({"query": {"pattern": "{text}", "colour": 1}}, "colour"),
        ({"query": "{text}"}, "not a valid t1.json"),
        ({"document": {"pattern": 3}}, "not a valid t1.json"),
        ({"thought": {"budget": 3}}, "budget"),
        ({"thought": None}, "not a valid t1.json"),
        ({"max_query_tokens": "256"}, '"max_query_tokens" must be a whole number'),
        ({"max_document_tokens": 25.6}, '"max_document_tokens" must be a whole number'),
    ],
)
def test_a_broken_t1_json(change: dict[str, Any], message: str, copy: Path) -> None:
    edit_json(copy / FILE_NAME, **change)
    with pytest.raises(Thought1Error, match=message) as error:
        load(copy)
    assert str(copy / FILE_NAME) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b'{"format_version": 1}', b"\xff\xfe"])
def test_t1_json_that_is_no_settings_at_all(content: bytes, copy: Path) -> None:
    (copy / FILE_NAME).write_bytes(content)
    with pytest.raises(Thought1Error, match=FILE_NAME):
        load(copy)


def test_entries_with_a_default_may_be_left_out(copy: Path) -> None:
    query, document = Template("{text} \n"), Template("{text}")
    minimal = {"format_version": 1, "query": asdict(query), "document": {"pattern": "{text}"}}
    (copy / FILE_NAME).write_text(json.dumps(minimal))
    assert load(copy).settings == Settings(query, document)


# -- what cannot be loaded -----------------------------------------------------------------------


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="it is not a model folder"):
        T1.from_pretrained(tmp_path)
    with pytest.raises(Thought1Error, match="no such folder, and not a hub id"):
        T1.from_pretrained(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(Thought1Error, match="no such folder"):
        T1.from_pretrained(tmp_path / "file")


@pytest.mark.parametrize("name", ["no slashes", "a/b/c", "owner/na me", "-/.", "owner/--"])
def test_a_bad_hub_id(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Thought1Error, match="no such folder"):
        T1.from_pretrained(name)


def test_a_hub_that_is_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Thought1Error, match="the hub could not deliver it"):
        T1.from_pretrained("somebody/model")


def test_a_hub_error_without_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(place_module, "snapshot_download", fail)
    with pytest.raises(Thought1Error, match=r"could not deliver it \(OSError\)"):
        T1.from_pretrained("somebody/model")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def half_the_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def unknown_architecture(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="perceptron-9000")


def other_sizes(folder: Path) -> None:
    edit_json(folder / "config.json", hidden_size=64)


@pytest.mark.parametrize(
    "damage",
    [no_weights, half_the_weights, no_tokenizer, broken_config, unknown_architecture, other_sizes],
)
def test_a_damaged_model_folder(damage: Callable[[Path], None], copy: Path) -> None:
    damage(copy)
    with pytest.raises(Thought1Error, match="cannot be loaded as a causal language model") as error:
        load(copy)
    assert "\n" not in str(error.value)


def test_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    config = T5Config(vocab_size=400, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
    byte_level_tokenizer().save_pretrained(tmp_path / "t5")
    with pytest.raises(Thought1Error, match="cannot be loaded as a causal language model"):
        load(tmp_path / "t5")


def test_a_roberta_is_refused(tmp_path: Path) -> None:
    RobertaModel(RobertaConfig(vocab_size=400, **SIZES)).save_pretrained(tmp_path / "roberta")
    byte_level_tokenizer().save_pretrained(tmp_path / "roberta")
    with pytest.raises(Thought1Error, match="RoBERTa counts positions from 2"):
        load(tmp_path / "roberta")
