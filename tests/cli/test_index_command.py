"""`t1 index`: what it says, what it refuses, and that nothing is written then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from t1_command import Ran, T1Command, small_checkpoint, write_lines
from tiny import make_checkpoint

from thought1.index import Index
from thought1.t1 import T1


def test_index_tells_what_became_of_the_documents(
    t1: T1Command, tmp_path: Path, model: str
) -> None:
    rows = [{"_id": str(n), "text": f"note {n}"} for n in range(3)]
    corpus, folder = write_lines(tmp_path / "c.jsonl", rows), tmp_path / "i"
    ran = t1("index", corpus, "-o", folder, "--model", model)
    assert ran.code == 0
    assert "3 documents (3 added, 0 unchanged, 0 replaced, 0 skipped, 0 truncated)" in ran.out
    write_lines(corpus, [*rows[:2], {"_id": "2", "text": "changed"}, {"_id": "3", "text": "new"}])
    again = t1("index", corpus, "-o", folder)  # with the model that the index remembers
    assert "4 documents (1 added, 2 unchanged, 1 replaced" in again.out
    over = t1("index", corpus, "-o", folder, "--model", model, "--overwrite", "--optimize")
    assert "4 documents (4 added, 0 unchanged" in over.out


def test_optimize_alone_needs_neither_corpus_nor_model(
    t1: T1Command, tmp_path: Path, model: str
) -> None:
    corpus = write_lines(tmp_path / "c.jsonl", [{"_id": "a", "text": "snow is white"}])
    assert t1("index", corpus, "-o", tmp_path / "i", "--model", model).code == 0
    assert t1("index", "--optimize", "-o", tmp_path / "i") == Ran(
        0, f"{tmp_path / 'i'}: optimized\n", ""
    )
    found = t1("search", tmp_path / "i", "snow", "--mode", "bm25", "--json").json()
    assert [hit["id"] for hit in found["results"][0]["hits"]] == ["a"]
    assert "need a corpus" in t1("index", "--optimize", "--skip-bad", "-o", tmp_path / "i").error()
    assert "name a corpus" in t1("index", "-o", tmp_path / "i").error()


def test_a_bad_row_is_named_and_nothing_is_written(
    t1: T1Command, tmp_path: Path, model: str
) -> None:
    corpus, folder = tmp_path / "c.jsonl", tmp_path / "i"
    corpus.write_text('{"_id": "1", "text": "good"}\nnot json\n{"_id": "2", "text": "good"}\n')
    message = t1("index", corpus, "-o", folder).error()
    assert f"{corpus}:2: not valid JSON" in message
    assert message.endswith("(or use --skip-bad)")
    assert not folder.exists()
    ran = t1("index", corpus, "-o", folder, "--model", model, "--skip-bad")
    assert "2 documents (2 added, 0 unchanged, 0 replaced, 1 skipped" in ran.out
    assert f"warning: skipped {corpus}:2: not valid JSON" in ran.err
    corpus.write_text('{"_id": "3", "text": "new"}\n{"_id": "3"}\n')
    assert f'{corpus}:2: field "text" is missing' in t1("index", corpus, "-o", folder).error()
    assert len(Index.open(folder, T1.from_pretrained(model))) == 2


def test_index_refuses_what_cannot_work(
    t1: T1Command, tmp_path: Path, collection: Path, built: str, model: str
) -> None:
    assert "does not exist" in t1("index", tmp_path / "none", "-o", tmp_path / "i").error()
    assert "no such folder" in t1("index", collection, "-o", tmp_path / "i", "--model", "x").error()
    assert not (tmp_path / "i").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    into_mine = ["index", collection, "-o", tmp_path / "mine", "--model", model]
    assert "there is no index at" in t1(*into_mine).error()
    assert "something other than an index" in t1(*into_mine, "--overwrite").error()
    assert os.listdir(tmp_path / "mine") == ["letter.txt"]


def test_another_model_is_refused(
    t1: T1Command, tmp_path: Path, collection: Path, built: str, model: str
) -> None:
    other = small_checkpoint(tmp_path, seed=1)
    for command in (["index", collection, "-o", built], ["search", built, "question"]):
        message = t1(*command, "--model", other).error()
        assert repr(model) in message  # which model it needs
        assert "differs in weights" in message


def test_interrupted_indexing_says_how_to_go_on(
    t1: T1Command, tmp_path: Path, collection: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("thought1.index.Index.add", interrupt)
        ran = t1("index", collection, "-o", tmp_path / "i", "--model", model)
    assert (ran.code, ran.out) == (130, "")
    assert ran.err.endswith("the same command resumes from there\ninterrupted\n")
    assert "4 added" in t1("index", collection, "-o", tmp_path / "i", "--model", model).out


def test_warnings_are_plain_lines(t1: T1Command, tmp_path: Path) -> None:
    untrained = make_checkpoint(tmp_path / "plain")
    texts = ["word " * 400, "short", "word " * 500]
    corpus = write_lines(
        tmp_path / "c.jsonl", [{"_id": str(n), "text": t} for n, t in enumerate(texts)]
    )
    ran = t1("index", corpus, "-o", tmp_path / "i", "--model", untrained)
    assert "2 truncated" in ran.out
    first, second = ran.err.splitlines()
    assert first.startswith("warning: ") and "untrained" in first
    assert second == "warning: 2 of 3 documents were cut to the model's maximum length"


def test_two_commands_at_once_store_each_id_once(tmp_path: Path, model: str) -> None:
    """Also where both find no index yet, and each would make one."""
    rows = [{"_id": f"d{n}", "text": f"kettle number {n}"} for n in range(40)]
    corpus = write_lines(tmp_path / "c.jsonl", rows)
    folder = tmp_path / "i"
    command = [sys.executable, "-m", "thought1.cli", "index", str(corpus), "-o", str(folder)]
    both = [
        subprocess.Popen(
            [*command, "--model", model], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ended = [(one.communicate(timeout=120), one.returncode) for one in both]
    assert [code for _, code in ended] == [0, 0], ended
    index = Index.open(folder, T1.from_pretrained(model))
    assert len(index) == 40
    hits = index.search("kettle", 100, mode="bm25").hits
    assert len(hits) == len({hit.id for hit in hits}) == 40


def test_an_index_remembers_the_model_that_was_not_named(
    t1: T1Command, tmp_path: Path, collection: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T1_MODEL", model)
    ran = t1("index", collection, "-o", tmp_path / "i")
    assert f"no model is named: {model} (set by T1_MODEL)" in ran.err.splitlines()
    monkeypatch.setenv("T1_MODEL", "/nowhere")
    ran = t1("search", tmp_path / "i", "snow", "--json")
    assert ran.code == 0 and "no model is named" not in ran.err
