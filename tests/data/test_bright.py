"""BRIGHT's files: what is read, what is refused, and the sentences that come with them."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bright_files import (
    LONG_NOTES,
    NOTES,
    QUERIES,
    Example,
    write_documents,
    write_examples,
    write_subset,
)

from thought1.data.bright import LONG, REASONED, SHORT, BrightSource, BrightSubset, instruction_for
from thought1.types import Thought1Error


def load(folder: Path, **options: object) -> BrightSubset:
    return BrightSource(str(folder)).load("biology", **options)  # type: ignore[arg-type]


def refusal(folder: Path, **options: object) -> str:
    with pytest.raises(Thought1Error) as error:
        load(folder, **options)
    return str(error.value)


def test_short_documents(tmp_path: Path) -> None:
    subset = load(write_subset(tmp_path))
    assert [(d.id, d.full_text) for d in subset.documents()] == list(NOTES.items())
    assert subset.pool == NOTES.keys()
    first, second = subset.queries
    assert (first.id, first.text) == ("0", "why did my pots crack")
    assert first.excluded == frozenset()  # the sentinel names nothing
    assert second.excluded == {"rope/rope_0.txt"}
    assert subset.qrels() == {"0": {"kiln/kiln_0.txt": 1}, "1": {"mill/mill_0.txt": 1}}
    same = {"mill/mill_0.txt", "mill/mill_copy.txt"}
    assert subset.copies == dict.fromkeys(same, same)
    assert subset.missing_excluded == 0
    path = tmp_path / "examples" / "biology-00000-of-00001.parquet"
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    hashes = subset.hashes()
    assert hashes.pop(f"examples/{path.name}") == expected
    assert list(hashes) == [f"documents/{path.name}"]


def test_long_documents_and_rewritten_queries(tmp_path: Path) -> None:
    write_subset(tmp_path)
    write_documents(tmp_path, "biology", LONG_NOTES, config="long_documents")
    rewritten = [replace(q, query=f"thoughts: {q.query}") for q in QUERIES]
    write_examples(tmp_path, "biology", rewritten, config="gpt4_reason")
    subset = load(tmp_path, long=True, queries="gpt4_reason")
    assert subset.pool == LONG_NOTES.keys()
    assert subset.qrels() == {"0": {"kiln": 1}, "1": {"mill": 1}}
    assert subset.queries[0].text == "thoughts: why did my pots crack"
    assert subset.missing_excluded == 1  # of the short pool


def test_documents_in_parts(tmp_path: Path) -> None:
    write_examples(tmp_path, "biology", QUERIES)
    write_documents(tmp_path, "biology", NOTES, parts=3)
    assert [d.id for d in load(tmp_path).documents()] == list(NOTES)
    (tmp_path / "documents" / "biology-00001-of-00003.parquet").unlink()
    assert "biology-00001-of-00003.parquet" in refusal(tmp_path)


def test_documents_are_streamed(tmp_path: Path) -> None:
    many = {f"d{i}": f"text {i}" for i in range(1000)}
    write_subset(tmp_path, documents=many, examples=[Example("0", "text", ["d3"])])
    before = pa.total_allocated_bytes()
    stream = load(tmp_path).documents()
    assert next(stream).id == "d0"
    assert pa.total_allocated_bytes() - before < 200_000
    assert sum(1 for _ in stream) == 999


def test_unknown_names(tmp_path: Path) -> None:
    source = BrightSource(str(tmp_path))
    with pytest.raises(Thought1Error, match='has no subset "botany"; it has: biology'):
        source.load("botany")
    with pytest.raises(Thought1Error, match="aops has no long documents; these have: biology"):
        source.load("aops", long=True)
    with pytest.raises(Thought1Error, match=r'has no query set "gpt5".*gpt4_reason'):
        source.load("biology", queries="gpt5")
    assert "lacks examples/biology-00000-of-00001.parquet" in refusal(tmp_path)
    with pytest.raises(Thought1Error, match="not a hub id"):
        BrightSource("no/such/place").load("biology")


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([Example("0", "q", ["nowhere"])], 'has a gold id that the pool lacks: "nowhere"'),
        ([QUERIES[0], QUERIES[0]], "occurs twice"),
        ([Example("0", "q", ["bees/bees_0.txt"], ["bees/bees_0.txt"])], "both excludes and seeks"),
        ([Example("0", "q", ["N/A"])], "holds no query with a gold id"),
    ],
)
def test_queries_that_contradict(tmp_path: Path, examples: list[Example], message: str) -> None:
    assert message in refusal(write_subset(tmp_path, examples=examples))


def test_what_is_counted_instead(tmp_path: Path) -> None:
    examples = [*QUERIES, Example("2", "q"), Example("3", "q", ["bees/bees_0.txt"], ["x", "y"])]
    subset = load(write_subset(tmp_path, examples=examples))
    assert subset.missing_excluded == 2
    assert "2" not in subset.qrels()


def test_files_that_are_wrong(tmp_path: Path) -> None:
    write_subset(tmp_path)
    path = tmp_path / "documents" / "biology-00000-of-00001.parquet"

    def store(columns: dict[str, object]) -> str:
        pq.write_table(pa.table(columns), path)
        return refusal(tmp_path)

    assert "occurs twice" in store({"id": ["a", "a"], "content": ["x", "y"]})
    assert "has no column content; it has: id, text" in store({"id": ["a"], "text": ["x"]})
    assert "id must hold texts, not int64" in store({"id": [1], "content": ["x"]})
    assert "row 2: content is null" in store({"id": ["a", "b"], "content": ["x", None]})
    path.write_bytes(b"PAR1 and then nothing")
    assert "cannot be read as Parquet" in refusal(tmp_path)
    write_subset(tmp_path)
    examples = tmp_path / "examples" / path.name
    table = pq.read_table(examples)
    pq.write_table(table.drop_columns("gold_ids"), examples)
    assert "has no column gold_ids" in refusal(tmp_path)
    pq.write_table(table.set_column(3, "excluded_ids", pa.array(["N/A", "N/A"])), examples)
    assert "excluded_ids must hold lists of texts" in refusal(tmp_path)


def test_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the files of the subset are asked for; they are read like those of a folder."""
    asked = []

    def snapshot(name: str, **options: object) -> str:
        asked.append((name, options))
        return str(write_subset(tmp_path))

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    subset = BrightSource("xlangai/BRIGHT", revision="abc").load("biology")
    assert len(subset.pool) == len(NOTES)
    patterns = ["examples/biology-*.parquet", "documents/biology-*.parquet"]
    options = {"repo_type": "dataset", "revision": "abc", "allow_patterns": patterns}
    assert asked == [("xlangai/BRIGHT", options)]


def test_the_hub_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # conftest.py sets HF_HUB_OFFLINE: the hub is out of reach, and the cache is empty.
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(Thought1Error, match="the hub could not deliver the data set"):
        BrightSource("xlangai/BRIGHT").load("biology")


def test_instructions() -> None:
    assert len(SHORT) == 12
    assert len(LONG) == 8
    assert set(LONG) < set(SHORT)
    assert len(REASONED) == 5
    biology = "Given a biology post, retrieve relevant passages that help answer the post"
    assert instruction_for("official", "biology") == biology
    longer = "Given a pony question, retrieve relevant documents that help answer the question"
    assert instruction_for("official", "pony", long=True) == longer
    theorems = "Represent this Math problem for searching relevant theorems: "
    assert instruction_for("mteb", "theoremqa_theorems") == theorems
    assert instruction_for("Find it", "aops") == "Find it"
    for name in SHORT:
        for choice in ("official", "generic", "mteb"):
            assert len(instruction_for(choice, name)) > 20
            assert name not in LONG or len(instruction_for(choice, name, long=True)) > 20
