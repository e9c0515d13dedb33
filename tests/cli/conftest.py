"""A model, a collection and an index for the tests of `t1`, and `t1` itself in this process."""

import io
import sys
from pathlib import Path

import pytest
from t1_command import NOTES, QRELS, QUERIES, Ran, T1Command, small_checkpoint, write_lines

from thought1.cli import main


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_checkpoint(tmp_path_factory.mktemp("model"), seed=0)


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beir")
    names = ("_id", "text", "year", "lang")
    write_lines(folder / "corpus.jsonl", [dict(zip(names, n, strict=True)) for n in NOTES])
    write_lines(folder / "queries.jsonl", [{"_id": q, "text": t} for q, t in QUERIES.items()])
    (folder / "qrels").mkdir()
    (folder / "qrels" / "dev.tsv").write_text(QRELS)
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, collection: Path, model: str) -> str:
    folder = tmp_path_factory.mktemp("built") / "notes.index"
    assert main(["index", str(collection), "-o", str(folder), "--model", model]) == 0
    return str(folder)


@pytest.fixture
def t1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> T1Command:
    def run(*arguments: object, stdin: bytes | None = None) -> Ran:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run
