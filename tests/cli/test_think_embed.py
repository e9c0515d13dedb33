"""`t1 think` and `t1 embed`: thoughts and files of vectors."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from t1_command import NOTES, QUERIES, T1Command

from thought1.t1 import T1


def test_think(t1: T1Command, model: str) -> None:
    asked = ["think", "why", "how", "--model", model, "--think", "6"]
    thoughts = t1(*asked, "--json").json()["thoughts"]
    assert [thought["query"] for thought in thoughts] == ["why", "how"]
    assert all(thought["tokens"] == 6 for thought in thoughts)
    ran = t1(*asked)
    assert ran.out.count("(6 tokens, ended by budget)") == 2
    hot = [*asked, "--json", "--temperature", "2", "--top-p", "0.95", "--seed"]
    first, again, other = (t1(*hot, seed).json() for seed in (1, 1, 2))
    assert first == again
    assert first != other
    own = t1("think", "--model", model, "--json", stdin=b"why\n").json()["thoughts"]
    assert own[0]["tokens"] == 8
    assert "need a --temperature" in t1(*asked, "--seed", "3").error()


@pytest.mark.parametrize("kind", ["query", "document"])
def test_embed(t1: T1Command, tmp_path: Path, model: str, kind: str) -> None:
    texts = ["first text", "", "third"]
    (tmp_path / "in.txt").write_text("first text\n\nthird")
    output = tmp_path / "out.npy"
    arguments = ["embed", "--type", kind, "--model", model, "--output"]
    ran = t1(*arguments, output, "--input", tmp_path / "in.txt")
    assert (ran.code, ran.out) == (0, f"{output}: 3 vectors of 32 dimensions\n")
    t1_model = T1.from_pretrained(model)
    encode = t1_model.encode_query if kind == "query" else t1_model.encode_document
    vectors = np.load(output)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, encode(texts), atol=1e-6)
    lines = t1(*arguments, tmp_path / "out.jsonl", "--input", "-", stdin=b"first text\n\nthird\n")
    assert lines.code == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["_id"] for row in rows] == ["1", "2", "3"]
    assert np.array_equal(np.array([row["vector"] for row in rows], np.float32), vectors)
    assert sorted(os.listdir(tmp_path)) == ["in.txt", "out.jsonl", "out.npy"]


def test_embed_json_lines(t1: T1Command, tmp_path: Path, model: str, collection: Path) -> None:
    arguments = ["embed", "--model", model, "--output", tmp_path / "o.jsonl", "--input"]
    for kind, name, ids in [
        ("document", "corpus.jsonl", [note[0] for note in NOTES]),
        ("query", "queries.jsonl", list(QUERIES)),
    ]:
        assert t1(*arguments, collection / name, "--type", kind).code == 0
        lines = (tmp_path / "o.jsonl").read_text().splitlines()
        assert [json.loads(line)["_id"] for line in lines] == ids
    (tmp_path / "bad.jsonl").write_text('{"_id": "1", "text": "x"}\n{"_id": "2"}\n')
    before = (tmp_path / "o.jsonl").read_bytes()
    for kind in ("query", "document"):
        message = t1(*arguments, tmp_path / "bad.jsonl", "--type", kind).error()
        assert 'bad.jsonl:2: field "text" is missing' in message
        assert "--skip-bad" not in message  # which this command does not have
    assert (tmp_path / "o.jsonl").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["bad.jsonl", "o.jsonl"]


@pytest.mark.parametrize("kind", ["query", "document"])
@pytest.mark.parametrize(
    "name", ["t.JSONL", "t.ndjson", "t.jsonl.gz", "t.csv", "t.tsv", "t.csv.gz", "t.parquet"]
)
def test_embed_reads_what_index_reads(
    t1: T1Command, tmp_path: Path, model: str, kind: str, name: str
) -> None:
    rows = [
        {"_id": "a", "text": "Whales, too, sing.", "title": "Sea"},
        {"_id": "b", "text": "Bats hear", "title": "Air"},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        content = lines
        if ".csv" in name or ".tsv" in name:
            delimiter = "\t" if ".tsv" in name else ","
            table = [list(rows[0]), *(list(row.values()) for row in rows)]
            content = "".join(delimiter.join(f'"{c}"' for c in cells) + "\n" for cells in table)
        packed = gzip.compress(content.encode()) if name.endswith(".gz") else content.encode()
        (tmp_path / name).write_bytes(packed)
    (tmp_path / "plain.jsonl").write_text(lines)
    arguments = ["embed", "--type", kind, "--model", model, "--output", tmp_path / "o.jsonl"]
    found = []
    for file in ("plain.jsonl", name):
        assert t1(*arguments, "--input", tmp_path / file).code == 0
        found.append((tmp_path / "o.jsonl").read_bytes())
    assert found[0] == found[1]
    assert found[0].count(b"\n") == 2


@pytest.mark.parametrize(
    ("first", "what"),
    [
        ('{"_id": "a", "text": "x"}', "is JSON"),
        ('{"question": "x"}', "is JSON"),
        ('[{"_id": "a"}]', "is JSON"),
        ("{", "is JSON"),
        ("_id,text,year", "is the header of a table"),
        ('"text"\t"id"', "is the header of a table"),
    ],
)
def test_no_source_is_embedded_as_plain_text(
    t1: T1Command, tmp_path: Path, model: str, first: str, what: str
) -> None:
    (tmp_path / "in.txt").write_text(f"{first}\nx\n")
    output = tmp_path / "o.npy"
    arguments = ["embed", "--type", "document", "--model", model, "--output", output, "--input"]
    message = t1(*arguments, tmp_path / "in.txt").error()
    assert f"in.txt:1 {what}, but here each line is taken for a text: name the file" in message
    for command in (["think", "--model", model], [*arguments, "-"]):
        message = t1(*command, stdin=f"{first}\nx\n".encode()).error()
        assert f"line 1 of stdin {what}" in message
    assert not output.exists()


def test_plain_text_may_look_like_json_or_a_table(
    t1: T1Command, tmp_path: Path, model: str
) -> None:
    lines = ["[1] see the text, id or not", "{", "[1, 2]", "_id,text", '{"never": closed}', "text"]
    arguments = ["embed", "--type", "query", "--model", model, "--output", tmp_path / "o.npy"]
    assert t1(*arguments, "--input", "-", stdin="\n".join(lines).encode()).code == 0
    assert np.load(tmp_path / "o.npy").shape == (6, 32)


def test_embed_nothing_and_many(t1: T1Command, tmp_path: Path, model: str) -> None:
    arguments = ["embed", "--model", model, "--output", tmp_path / "o.npy", "--no-think"]
    arguments += ["--input", "-", "--type", "query"]
    assert t1(*arguments, stdin=b"").code == 0
    assert np.load(tmp_path / "o.npy").shape == (0, 32)
    assert t1(*arguments, stdin=b"one\ntwo\n" * 300).code == 0  # more than one batch
    vectors = np.load(tmp_path / "o.npy")
    assert vectors.shape == (600, 32)
    np.testing.assert_allclose(vectors[:2], vectors[-2:], atol=1e-5)


def test_embed_refuses_what_cannot_work(t1: T1Command, tmp_path: Path, model: str) -> None:
    def refused(kind: str, source: object, output: object, *more: object) -> str:
        options = ["--type", kind, "--input", source, "--output", output, "--model", model]
        return t1("embed", *options, *more, stdin=b"x\n").error()

    for name in ("t.json", "t.md", "t", "t.parquet.gz"):
        (tmp_path / name).write_text("{}")
        for kind in ("query", "document"):
            message = refused(kind, tmp_path / name, tmp_path / "o.npy")
            assert f"{name} is not a supported file: texts come from a .txt file" in message
        (tmp_path / name).unlink()
    assert "is not a file" in refused("query", tmp_path / "none", tmp_path / "o.npy")
    assert "must end in .npy or .jsonl" in refused("query", "-", tmp_path / "o.csv")
    assert "cannot be written" in refused("query", "-", tmp_path / "none" / "o.npy")
    assert "documents are encoded without thinking" in refused(
        "document", "-", tmp_path / "o.npy", "--no-think"
    )
    assert os.listdir(tmp_path) == []


def test_the_default_model_is_told_beside_the_output(
    t1: T1Command, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T1_MODEL", model)
    ran = t1("think", "why do ice cubes crack", "--json")
    assert ran.err == f"no model is named: {model} (set by T1_MODEL)\n"
    assert ran.json() == t1("think", "why do ice cubes crack", "--json", "--model", model).json()
