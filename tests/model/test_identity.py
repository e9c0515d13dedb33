"""What identifies the model of an index: what encodes its documents, on any day, and no more."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import (
    CHAT,
    byte_level_tokenizer,
    make_checkpoint,
    unigram_tokenizer,
    word_piece_tokenizer,
)
from tokenizers import Tokenizer, normalizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from thought1.index import Index
from thought1.model.adapt_lm import TEMPLATE_DATE, default_templates
from thought1.model.identity import canonical, hash_tokenizer
from thought1.model.settings import Settings, ThoughtSettings
from thought1.registry import store_type
from thought1.t1 import T1
from thought1.testing import FakeModel
from thought1.types import Document, Thought1Error

DOCUMENTS = [Document("ice", "Ice floats on water."), Document("salt", "Salt melts ice.")]

# The ways in which the chat templates of public models write the date.
DATED = {
    "mistral": "{%- set today = strftime_now('%Y-%m-%d') -%}It is {{ today }}.\n",
    "llama-3": (
        "{%- if not date_string is defined -%}{%- if strftime_now is defined -%}"
        "{%- set date_string = strftime_now('%d %b %Y') -%}{%- else -%}"
        "{%- set date_string = '26 Jul 2024' -%}{%- endif -%}{%- endif -%}"
        "Today Date: {{ date_string }}\n"
    ),
    "granite": "  Today's Date: {{ strftime_now('%B %d, %Y') }}.\n",
    "in words": "\n{% set f = '%A, %-d %B %Y' %}{{ strftime_now(f) }} \n",
}


def on(day: date, patch: pytest.MonkeyPatch) -> None:
    """From now on it is that day, for the chat templates of transformers."""

    class Day(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Day":
            return cls(day.year, day.month, day.day)

    patch.setattr(chat_template_utils, "datetime", Day)


def dated_tokenizer(name: str) -> PreTrainedTokenizerFast:
    tokenizer = byte_level_tokenizer(chat=True)
    tokenizer.chat_template = DATED[name] + CHAT
    return tokenizer


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model whose chat template writes the date."""
    folder = make_checkpoint(tmp_path_factory.mktemp("dated") / "plain", chat=True)
    dated_tokenizer("llama-3").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    load(make_checkpoint(folder / "plain")).save_pretrained(folder / "t1")
    return folder / "t1"


def load(folder: Path) -> T1:
    return T1.from_pretrained(folder, device="cpu")


def changed(model: T1, change: Callable[[Settings], Settings]) -> T1:
    return T1(replace(model.checkpoint, settings=change(model.settings)))


# -- the date of a chat template -----------------------------------------------------------------


@pytest.mark.parametrize("name", DATED)
def test_default_templates_hold_a_date_that_stays(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written where, and as, transformers would write it on that day."""
    tokenizer = dated_tokenizer(name)
    content = "{instruction}\n{text}"
    found = []
    for day in (date(2026, 11, 5), TEMPLATE_DATE):
        on(day, monkeypatch)
        found.append(default_templates(tokenizer))
        expected = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False
        )
        assert default_templates(tokenizer, day)[1].pattern == expected
        assert str(day.year) in expected
    assert found[0] == found[1]
    assert found[1][1].pattern == expected


def test_an_index_of_a_dated_model_opens_on_the_next_day(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(date(2026, 11, 25), monkeypatch)
    Index.create(tmp_path / "index", load(plain)).add(DOCUMENTS)
    on(date(2026, 11, 26), monkeypatch)
    index = Index.open(tmp_path / "index", load(plain))
    assert index.add(DOCUMENTS).unchanged == 2
    load(plain).save_pretrained(tmp_path / "t1")
    on(date(2027, 1, 1), monkeypatch)
    assert load(tmp_path / "t1").settings.document == index.model.settings.document


# -- indexes of format 1 -------------------------------------------------------------------------


def test_an_index_of_the_commit_a569a32_opens_and_grows(tmp_path: Path) -> None:
    """Made with t1-nano by the code before format 2."""
    shutil.copytree(Path(__file__).parents[1] / "golden" / "format-1.index", tmp_path / "index")
    model = T1.from_pretrained("t1-nano", device="cpu")
    index = Index.open(tmp_path / "index", model)
    assert (index.info.format, list(index.info.identity)) == (1, ["weights", "templates"])
    assert index.search("Why do ice cubes crack?", mode="dense").hits[0].id == "ice"
    assert index.search("yeast", where={"year": 1990}).hits[0].id == "bread"
    old = Document("moon", "The moon pulls the sea and makes tides.", "Tides", {"year": 2010})
    report = index.add([old, *DOCUMENTS])
    assert (report.added, report.replaced, report.unchanged) == (1, 1, 1)
    again = Index.open(tmp_path / "index", model)
    assert (len(again), again.info) == (4, index.info)
    (hit,) = again.search(old.full_text, 1, mode="dense").hits
    query = model.think(old.full_text)[0].vector
    stored = float(np.asarray(model.encode_document(old.full_text)) @ query)
    assert hit.id == "moon"
    assert hit.score == pytest.approx(stored, abs=1e-4)
    for other, words in (
        (FakeModel(dim=384), "needs the model 't1-nano'.*differs in weights and templates"),
        (changed(model, lambda s: replace(s, max_document_tokens=9)), "differs in templates"),
    ):
        with pytest.raises(Thought1Error, match=words):
            Index.open(tmp_path / "index", other)


def test_a_dated_index_of_format_1_is_checked_as_of_its_day(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Created early on the 26th in UTC, which was still the 25th where it was made."""
    model = load(plain)
    query, document = default_templates(model.tokenizer, date(2026, 11, 25))
    old = replace(model.settings, query=query, document=document)
    info = {
        "format": 1,
        "model": model.name,
        "weights_hash": model.weights_hash,
        "templates_hash": replace(model.checkpoint, settings=old).templates_hash,
        "dim": model.dim,
        "thought1_version": "0.1.0",
        "created": "2026-11-26T00:30:00+00:00",
    }
    store_type("lance").create(tmp_path / "index", model.dim, info)
    on(date(2026, 12, 24), monkeypatch)
    Index.open(tmp_path / "index", load(plain))
    assert "create the index again" in caplog.text
    created = {**info, "created": "2026-11-28T00:30:00+00:00"}
    store_type("lance").create(tmp_path / "other", model.dim, created)
    with pytest.raises(Thought1Error, match="differs in templates"):
        Index.open(tmp_path / "other", load(plain))


# -- what is part of it --------------------------------------------------------------------------

ENCODES: dict[str, Callable[[Settings], Settings]] = {
    "document template": lambda s: replace(s, document=replace(s.document, pattern="{text}\n")),
    "document  template": lambda s: replace(s, document=replace(s.document, instruction="x")),
    "document length": lambda s: replace(s, max_document_tokens=9),
    "emb_token": lambda s: replace(s, emb_token="<|endoftext|>"),
}
ASKS: list[Callable[[Settings], Settings]] = [
    lambda s: replace(s, query=replace(s.query, pattern="{text} \n")),
    lambda s: replace(s, query=replace(s.query, instruction="x")),
    lambda s: replace(s, query=replace(s.query, evidence="-{evidence}")),
    lambda s: replace(s, document=replace(s.document, evidence="-{evidence}")),
    lambda s: replace(s, max_query_tokens=64),
    lambda s: replace(s, thought=ThoughtSettings(3)),
    lambda s: replace(s, backbone="x", lineage=({"stage": "x"},)),
]


@pytest.fixture
def index(saved: Path, tmp_path: Path) -> Path:
    Index.create(tmp_path / "index", load(saved)).add(DOCUMENTS)
    return tmp_path / "index"


@pytest.mark.parametrize("name", ENCODES)
def test_what_encodes_documents_is_needed_and_named(name: str, saved: Path, index: Path) -> None:
    other = changed(load(saved), ENCODES[name])
    with pytest.raises(Thought1Error, match=f"differs in {name.replace('  ', ' ')}\\. Open it"):
        Index.open(index, other)


def test_other_weights_and_tokenizers_are_named(saved: Path, index: Path, tmp_path: Path) -> None:
    content = json.loads((saved / "tokenizer.json").read_text("utf-8"))
    content["normalizer"] = {"type": "Lowercase"}
    shutil.copytree(saved, tmp_path / "lower")
    (tmp_path / "lower" / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(Thought1Error, match=r"differs in tokenizer\."):
        Index.open(index, load(tmp_path / "lower"))
    load(make_checkpoint(tmp_path / "plain", seed=1)).save_pretrained(tmp_path / "other")
    with pytest.raises(Thought1Error, match=r"differs in weights\."):
        Index.open(index, load(tmp_path / "other"))


def test_another_thinker_searches_the_same_index(saved: Path, index: Path) -> None:
    for change in ASKS:
        opened = Index.open(index, changed(load(saved), change))
        assert opened.add(DOCUMENTS).unchanged == 2
        assert len(opened.search("ice", think=2).hits) == 2


def test_words_that_come_out_the_same_are_the_same(saved: Path, index: Path) -> None:
    words = load(saved).settings.document.parts(None)
    pattern = "{text}".join(("".join(words[:2]), words[2]))
    same = changed(load(saved), lambda s: replace(s, document=type(s.document)(pattern)))
    assert len(Index.open(index, same)) == 2


# -- tokenizers ----------------------------------------------------------------------------------


def written_before(spec: dict[str, Any]) -> dict[str, Any]:
    """As older versions of tokenizers wrote it: other keys, merges as strings, another order."""
    if isinstance(spec, dict):
        new = ("ignore_merges", "byte_fallback", "use_regex", "fuse_unk")
        kept = {k: v for k, v in spec.items() if k not in new or (v and k != "use_regex")}
        merges = kept.get("merges")
        if merges:
            kept["merges"] = [" ".join(pair) for pair in merges]
        return {key: written_before(kept[key]) for key in reversed(kept)}
    return [written_before(item) for item in spec] if isinstance(spec, list) else spec


@pytest.mark.parametrize("make", [byte_level_tokenizer, word_piece_tokenizer, unigram_tokenizer])
def test_a_tokenizer_is_the_same_whatever_version_wrote_it(
    make: Callable[[], PreTrainedTokenizerBase],
) -> None:
    spec = json.loads(make().backend_tokenizer.to_str())
    before = written_before(spec)
    assert before != spec or make is word_piece_tokenizer
    assert json.dumps(canonical(before), sort_keys=True) == json.dumps(
        canonical({**spec, "a later option": None}), sort_keys=True
    )


def test_a_tokenizer_is_the_same_after_use_and_with_another_decoder() -> None:
    tokenizer = byte_level_tokenizer()
    before = hash_tokenizer(tokenizer)
    tokenizer(["ice", "salt water"], padding=True, truncation=True, max_length=2)
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    assert content["truncation"] and content["padding"]
    content["decoder"] = None
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(content))
    assert hash_tokenizer(tokenizer) == before


def _without_merge(spec: dict[str, Any]) -> None:
    spec["model"]["merges"].pop()


def _swapped(spec: dict[str, Any]) -> None:
    vocabulary = spec["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]


def _other_pieces(spec: dict[str, Any]) -> None:
    spec["pre_tokenizer"]["pretokenizers"][0]["use_regex"] = False


def _prefix_space(spec: dict[str, Any]) -> None:
    spec["pre_tokenizer"]["pretokenizers"][0]["add_prefix_space"] = True


def _start_token(spec: dict[str, Any]) -> None:
    name = "<|endoftext|>"
    spec["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": name, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [],
        "special_tokens": {name: {"id": name, "ids": [0], "tokens": [name]}},
    }


def _no_special(spec: dict[str, Any]) -> None:
    spec["added_tokens"][1]["special"] = False


def _normalized(spec: dict[str, Any]) -> None:
    spec["normalizer"] = json.loads(normalizers.NFC().__getstate__())


@pytest.mark.parametrize(
    "change",
    [
        _without_merge,
        _swapped,
        _other_pieces,
        _prefix_space,
        _start_token,
        _no_special,
        _normalized,
    ],
)
def test_whatever_changes_the_ids_is_another_tokenizer(
    change: Callable[[dict[str, Any]], None],
) -> None:
    tokenizer = byte_level_tokenizer()
    before = hash_tokenizer(tokenizer)
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    change(spec)
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(spec))
    assert hash_tokenizer(tokenizer) != before
