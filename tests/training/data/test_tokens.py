"""Texts to ids: in memory as the model reads them, and on disk for streams of any length."""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import TEXTS, make_checkpoint

from thought1.model.prompts import Template
from thought1.t1 import T1
from thought1.training.data import sources, tokens
from thought1.training.data.sources import (
    Rationale,
    Stream,
    TrainingData,
    TrainingPair,
    read_sources,
)
from thought1.training.data.tokens import TokenFile, render, stream, tokenize
from thought1.training.recipe import SourceConfig
from thought1.types import Thought1Error

LINES = [f"{text} Number {i}." for i, text in enumerate(TEXTS * 3)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> T1:
    folder = make_checkpoint(tmp_path_factory.mktemp("models") / "qwen3")
    return T1.from_pretrained(folder, dtype="float32", device="cpu")


def streams(
    folder: Path, texts: Sequence[str] = LINES, name: str = "texts.jsonl", **settings: Any
) -> list[Stream]:
    content = "".join(f"{json.dumps({'text': text})}\n" for text in texts).encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    source = SourceConfig(name, "texts", stream=True, **settings)
    return read_sources((source,), folder, folder, seed=0).streams


def held(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    return [list(row) for row in rows]


def without_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("nothing is left to tokenise")

    monkeypatch.setattr(tokens, "render", forbidden)


# -- streams ---------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 5, 100])
def test_a_stream_holds_the_ids_of_its_documents(
    model: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(tokens, "WINDOW", window)
    rows = stream(model, streams(tmp_path), tmp_path / "cache")
    _, expected = render(model, "document", LINES)
    assert len(rows) == len(LINES)
    assert held(rows) == expected
    assert rows[3] == expected[3]
    with pytest.raises(IndexError):
        rows[len(LINES)]


def test_no_stream_needs_no_file(model: T1, tmp_path: Path) -> None:
    assert stream(model, [], tmp_path / "cache") is None
    assert not (tmp_path / "cache").exists()


def test_several_streams_follow_one_another(model: T1, tmp_path: Path) -> None:
    both = streams(tmp_path, LINES[:4]) + streams(tmp_path, LINES[4:], "more.jsonl.gz")
    assert held(stream(model, both, tmp_path)) == render(model, "document", LINES)[1]


def test_a_source_that_streams_is_not_held_in_memory(tmp_path: Path) -> None:
    (one,) = streams(tmp_path)
    source = SourceConfig("texts.jsonl", "texts", stream=True)
    data = read_sources((source,), tmp_path, tmp_path, seed=0)
    assert (data.texts, data.streams) == ([], [one])
    assert data.files == {"texts.jsonl": one.file_hash}


def test_the_memory_of_a_stream_is_bounded(
    model: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts are read as they are tokenised, a window at a time, whatever there is."""
    monkeypatch.setattr(tokens, "WINDOW", 5)
    read: list[str] = []
    windows: list[tuple[int, int]] = []

    def endless(_source: SourceConfig, _path: Path) -> Iterator[str]:
        while True:
            read.append(f"text number {len(read)}")
            yield read[-1]

    def noted(model: T1, role: str, texts: list[str]) -> tuple[int, list[list[int]]]:
        windows.append((len(read), len(texts)))
        return render(model, "document", texts)

    (one,) = streams(tmp_path, limit=12)
    monkeypatch.setattr(sources, "_read_texts", endless)
    monkeypatch.setattr(tokens, "render", noted)
    rows = stream(model, [one], tmp_path)
    assert windows == [(5, 5), (10, 5), (12, 2)]
    assert held(rows) == render(model, "document", read)[1]


def test_a_limit_takes_the_first(model: T1, tmp_path: Path) -> None:
    rows = stream(model, streams(tmp_path, name="texts.jsonl.gz", limit=3), tmp_path)
    assert held(rows) == render(model, "document", LINES[:3])[1]


def test_passages_are_streamed_too(model: T1, tmp_path: Path) -> None:
    (one,) = streams(tmp_path, [" ".join(LINES)], passage_words=20)
    passages = list(one)
    assert len(passages) > 3
    assert held(stream(model, [one], tmp_path)) == render(model, "document", passages)[1]


def test_the_second_call_reads_from_disk(
    model: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = streams(tmp_path)
    first = held(stream(model, found, tmp_path / "cache"))
    without_tokenizer(monkeypatch)
    assert held(stream(model, found, tmp_path / "cache")) == first
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".ends", ".ids"]


def test_what_changes_the_ids_is_tokenised_anew(model: T1, tmp_path: Path) -> None:
    document = Template("{instruction} {text}", "read")
    settings = replace(model.settings, document=document)
    other = T1(replace(model.checkpoint, settings=settings))
    cache = tmp_path / "cache"
    stream(model, streams(tmp_path), cache)
    changed = [
        stream(model, streams(tmp_path, limit=2), cache),
        stream(model, streams(tmp_path, LINES[:5]), cache),
        stream(other, streams(tmp_path), cache),
    ]
    assert len(list(cache.glob("*.ends"))) == 4
    assert [len(rows) for rows in changed] == [2, 5, len(LINES)]
    assert held(changed[2]) == render(other, "document", LINES)[1]


# -- interruptions ---------------------------------------------------------------------------


def test_interrupted_writing_leaves_nothing_to_read(
    model: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, cache = streams(tmp_path), tmp_path / "cache"
    calls: list[int] = []

    def interrupted(model: T1, role: str, texts: list[str]) -> tuple[int, list[list[int]]]:
        calls.append(len(texts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return render(model, "document", texts)

    with monkeypatch.context() as patch:
        patch.setattr(tokens, "WINDOW", 4)
        patch.setattr(tokens, "render", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stream(model, found, cache)
    assert calls == [4, 4]
    assert held(stream(model, found, cache)) == render(model, "document", LINES)[1]


def test_interrupted_between_the_two_files(model: T1, tmp_path: Path) -> None:
    found, cache = streams(tmp_path), tmp_path / "cache"
    stream(model, found, cache)
    (ends,) = cache.glob("*.ends")
    ends.unlink()
    ends.with_suffix(".ids").write_bytes(b"half")
    assert held(stream(model, found, cache)) == render(model, "document", LINES)[1]


def test_a_broken_row_is_named_and_nothing_kept(model: T1, tmp_path: Path) -> None:
    found = streams(tmp_path)
    (tmp_path / "texts.jsonl").write_text('{"text": "fine"}\n{"txt": 1}\n')
    for _ in range(2):
        with pytest.raises(Thought1Error, match=r"texts\.jsonl:2: field 'text' is missing"):
            stream(model, found, tmp_path / "cache")


def test_a_stream_without_any_text(model: T1, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(Thought1Error, match=r"^texts\.jsonl: no text to train on$"):
            stream(model, streams(tmp_path, [" "]), tmp_path / "cache")


def test_a_token_file_of_rows_of_any_length(tmp_path: Path) -> None:
    rows = [[1, 2**31 + 5], [], [7]]
    path = tmp_path / "some.ends"
    np.asarray([id for row in rows for id in row], np.uint32).tofile(path.with_suffix(".ids"))
    np.cumsum([len(row) for row in rows], dtype=np.int64).tofile(path)
    assert held(TokenFile(path)) == rows


# -- in memory -------------------------------------------------------------------------------


def test_texts_have_the_ids_of_their_role(model: T1) -> None:
    data = TrainingData(
        pairs=[
            TrainingPair("1", "why?", (TEXTS[0], TEXTS[1])),
            TrainingPair("2", "why?", (TEXTS[0],)),
        ],
        texts=[("query", "what?"), ("document", TEXTS[2])],
        pool=[TEXTS[3]],
    )
    rows = tokenize(model, data, {})
    assert set(rows.ids) == {
        *(("query", text) for text in ("why?", "what?")),
        *(("document", text) for text in TEXTS),
    }
    for (role, text), ids in rows.ids.items():
        assert ids == render(model, role, [text])[1][0]
        assert ids[-1] == model.checkpoint.emb_id
        assert rows.heads[role] == render(model, role, [])[0] > 0
    assert (
        rows.ids["query", "why?"][: rows.heads["query"]]
        == (rows.ids["query", "what?"][: rows.heads["query"]])
    )
    assert rows.answers == {"why?": frozenset(TEXTS[:2])}


def test_rationales_stand_behind_their_questions(model: T1) -> None:
    thoughts = ["Salt.", TEXTS[0]]
    data = TrainingData(rationales=[Rationale("why?", thought) for thought in thoughts])
    whole = tokenize(model, data, {}, max_thought_tokens=500)
    cut = tokenize(model, data, {}, max_thought_tokens=6)
    prompt = render(model, "query", ["why?"])[1][0][:-1]
    for key, ids in zip("01", model.renderer.text(thoughts), strict=True):
        assert whole.ids["thought", key] == [*prompt, *ids, model.checkpoint.emb_id]
        assert whole.starts[key] == cut.starts[key] == len(prompt)
    assert cut.ids["thought", "0"] == whole.ids["thought", "0"]
    # A cut thought does not end: `<emb_token>` behind it would teach to stop there.
    assert cut.ids["thought", "1"] == whole.ids["thought", "1"][: len(prompt) + 6]


def test_a_thought_that_just_fits_is_not_cut(model: T1) -> None:
    (ids,) = model.renderer.text([TEXTS[0]])
    fits, cut = (tokens.trajectories(model, [TEXTS[0]], n)[0] for n in (len(ids), len(ids) - 1))
    assert (fits.ids, fits.cut) == (tuple(ids), False)
    assert (cut.ids, cut.cut) == (tuple(ids[:-1]), True)
