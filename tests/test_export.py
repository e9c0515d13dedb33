"""The exported folder gives T1's vectors in sentence-transformers."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from tiny import QWEN_PIECES, TEXTS, byte_level_tokenizer, make_checkpoint, unigram_tokenizer
from tokenizers import normalizers
from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

from thought1 import export
from thought1.export import RECORD, export_sentence_transformers
from thought1.model.prompts import Template
from thought1.t1 import T1
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LONG = "The kettle boils at 100 degrees, and salt lowers that point. " * 20
RAGGED = ["", "Ice?", *TEXTS, LONG, " \t\n outer space is not read \n", "Über 20 °C; naïve?\n\n🧊"]
INJECTED = [
    "A text with <emb_token> in it.",
    "<emb_token>",
    "Nested: <emb_<emb_token>token>",
    "[CLS] text [SEP] <|im_end|>\n<|im_start|>assistant\n</s> <s><unk>",
]


class Pair(NamedTuple):
    t1: T1
    exported: "SentenceTransformer"
    folder: Path


def exported_pair(t1: T1, folder: Path) -> Pair:
    from sentence_transformers import SentenceTransformer  # seconds that collecting can do without

    export_sentence_transformers(t1, folder)
    return Pair(t1, SentenceTransformer(str(folder), device="cpu"), folder)


def assert_same(pair: Pair, texts: list[str]) -> None:
    """Both sides, as one ragged batch and one by one."""
    for encode, expected in (
        (pair.exported.encode_document, pair.t1.encode_document(texts)),
        (pair.exported.encode_query, pair.t1.encode_query(texts, budget=0)),
    ):
        together = encode(texts, batch_size=len(texts))
        assert together.dtype == np.float32
        np.testing.assert_allclose(together, expected, atol=1e-5)
        np.testing.assert_allclose([encode(text) for text in texts], expected, atol=1e-5)


@pytest.fixture(
    scope="module",
    params=["qwen3", "qwen3 chat", "llama", "gemma", "mistral", "bert"],
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    architecture, _, chat = request.param.partition(" ")
    folder = tmp_path_factory.mktemp("export")
    plain = make_checkpoint(folder / "plain", architecture, chat=bool(chat))
    return exported_pair(T1.from_pretrained(plain), folder / "exported")


def test_vectors_are_those_of_t1(pair: Pair) -> None:
    truncated = pair.t1.truncated
    assert_same(pair, RAGGED)
    assert pair.t1.truncated > truncated  # the long text was cut on both sides
    assert not np.allclose(pair.t1.encode_document(TEXTS), pair.t1.encode_query(TEXTS, budget=0))


def test_special_tokens_in_a_text_inject_nothing(pair: Pair) -> None:
    assert_same(pair, INJECTED)
    features = pair.exported.preprocess(INJECTED, task="document")
    assert (features["input_ids"] == pair.t1.checkpoint.emb_id).sum(1).tolist() == [1] * 4


def test_instruction_and_side_can_be_chosen(pair: Pair) -> None:
    words = "Another instruction."
    for given, expected in (
        (pair.exported.encode(TEXTS), pair.t1.encode_document(TEXTS)),
        (pair.exported.encode(TEXTS, prompt_name="query"), pair.t1.encode_query(TEXTS, budget=0)),
        (
            pair.exported.encode_query(TEXTS, prompt=words),
            pair.t1.encode_query(TEXTS, budget=0, instruction=words),
        ),
    ):
        np.testing.assert_allclose(given, expected, atol=1e-5)


def test_nothing_is_loaded_at_random(pair: Pair) -> None:
    stored = pair.t1.checkpoint.model.base_model.state_dict()
    assert pair.exported.transformers_model.state_dict().keys() == stored.keys()


def test_lengths_are_those_of_each_side(tmp_path: Path) -> None:
    t1 = T1.from_pretrained(make_checkpoint(tmp_path / "plain", chat=True))
    settings = replace(t1.settings, max_query_tokens=90, max_document_tokens=120)
    t1.checkpoint.settings = settings
    pair = exported_pair(t1, tmp_path / "exported")
    for task, length in (("query", 91), ("document", 120)):
        assert pair.exported.preprocess([LONG], task=task)["input_ids"].shape == (1, length)
    # Around the limit a text loses no token, one, or more than the suffix has.
    assert_same(pair, ["a" * n for n in range(60)])


def qwen2_tokenizer() -> PreTrainedTokenizerFast:
    """A class that builds its own pre-tokenizer and normalizer, whatever tokenizer.json says."""
    model = json.loads(byte_level_tokenizer(500).backend_tokenizer.to_str())["model"]
    return Qwen2Tokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]])


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "punctuation with line breaks": lambda: byte_level_tokenizer(500, pieces=QWEN_PIECES),
    "a class of its own": qwen2_tokenizer,
    "unigram": unigram_tokenizer,
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_parts_are_tokenised_apart(name: str, tmp_path: Path) -> None:
    tokenizer = TOKENIZERS[name]()
    folder = make_checkpoint(tmp_path / "plain", vocab_size=len(tokenizer) + 8)
    (folder / "tokenizer.json").unlink()
    tokenizer.save_pretrained(folder)
    t1 = T1.from_pretrained(folder)
    t1.checkpoint.settings = replace(
        t1.settings,
        query=Template("{instruction}:{evidence}why{text}\nThought:{instruction}\n", 'Say "🧊"'),
        document=Template("note{text}\n\n"),
    )
    pair = exported_pair(t1, tmp_path / "exported")
    assert_same(pair, [*RAGGED, *INJECTED[:3], "?", "ends?", "s\n"])
    # A piece of the unigram vocabulary besides; T1 leaves it out.
    features = pair.exported.preprocess([f"held {tokenizer.eos_token} back"], task="document")
    assert tokenizer.eos_token_id not in features["input_ids"].tolist()[0]


def test_a_tokenizer_that_marks_where_texts_begin_is_refused(tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Prepend("_")
    folder = make_checkpoint(tmp_path / "plain")
    tokenizer.save_pretrained(folder)
    with pytest.raises(Thought1Error, match=r"cannot be exported: .* other vectors"):
        export_sentence_transformers(T1.from_pretrained(folder), tmp_path / "exported")
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]


@pytest.fixture
def t1(tmp_path: Path) -> T1:
    return T1.from_pretrained(make_checkpoint(tmp_path / "tiny-model"))


def test_readme_says_what_it_is_and_where_from(t1: T1, tmp_path: Path) -> None:
    t1.save_pretrained(tmp_path / "saved")
    folder = tmp_path / "new" / "exported"
    export_sentence_transformers(T1.from_pretrained(tmp_path / "saved"), folder)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    saved = T1.from_pretrained(tmp_path / "saved")
    assert (record["model"], record["weights_hash"]) == ("saved", saved.weights_hash)
    assert "`saved`" in readme and saved.weights_hash in readme and str(tmp_path) not in readme
    assert "up to 256 tokens and queries up\n  to 128," in readme
    for word in ("Think", "budgets", "evidence"):
        assert word in readme.partition("cannot do")[2]
    code = readme.partition("```python\n")[2].partition("```")[0]
    assert len(code.splitlines()) == 4
    names: dict[str, Any] = {}
    exec(code.replace("path/to/this/folder", str(folder)), names)
    expected = saved.encode_document(["Most solids expand when they are heated."])
    np.testing.assert_allclose(names["documents"], expected, atol=1e-5)
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_target_that_holds_something_else_is_refused(t1: T1, tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="not an earlier export"):
        export_sentence_transformers(t1, tmp_path / "tiny-model")
    with pytest.raises(Thought1Error, match="is a file"):
        export_sentence_transformers(t1, tmp_path / "tiny-model" / "config.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny-model"]


def test_earlier_export_is_replaced_as_a_whole(
    t1: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "exported"
    folder.mkdir()  # an empty folder is as good as none
    export_sentence_transformers(t1, folder)
    before = {path: path.stat().st_ino for path in folder.rglob("*")}

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(export, "_compare", interrupt)
        export_sentence_transformers(t1, folder)
    assert {path: path.stat().st_ino for path in folder.rglob("*")} == before

    (folder / "stale.txt").write_text("left over")
    export_sentence_transformers(t1, folder)
    assert {path.name for path in folder.rglob("*")} == {path.name for path in before}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exported", "tiny-model"]


def test_without_sentence_transformers(
    t1: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(Thought1Error, match=r'pip install "thought1\[export\]"'):
        export_sentence_transformers(t1, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
