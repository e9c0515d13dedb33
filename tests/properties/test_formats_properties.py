"""Properties of the readers: what is written is read back, and no input breaks them."""

import gzip
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thought1.data.formats import CorpusOptions, open_corpus, read_queries
from thought1.data.markup import markdown_headings
from thought1.data.passages import Splitter, split_passages
from thought1.data.trec import read_qrels, read_run, write_run
from thought1.types import Document, Thought1Error

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
filled = text.filter(lambda x: bool(x.strip()))
names = text.filter(lambda x: x not in {"id", "_id", "text", "title", "metadata"})
scalars = (
    text
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
documents = st.lists(
    st.builds(Document, filled, filled, text, st.dictionaries(names, scalars, max_size=3)),
    min_size=1,
    max_size=8,
    unique_by=lambda document: document.id,
)


def as_json(document: Document) -> dict[str, object]:
    row = {"_id": document.id, "text": document.text, "title": document.title}
    return {**row, **document.metadata}


@settings(max_examples=60)
@given(documents, st.booleans(), st.booleans(), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_json_lines_round_trip(
    expected: list[Document], ascii_only: bool, nested: bool, end: str
) -> None:
    rows = [as_json(document) for document in expected]
    if nested:
        rows = [
            {"_id": d.id, "text": d.text, "title": d.title, "metadata": dict(d.metadata)}
            for d in expected
        ]
    content = "".join(json.dumps(row, ensure_ascii=ascii_only) + end for row in rows).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.jsonl.gz"
        path.write_bytes(gzip.compress(content, 1))
        corpus = open_corpus(path)
        assert corpus.validate().documents == len(expected)
        assert list(corpus) == expected
        assert [type(v) for d in corpus for v in d.metadata.values()] == [
            type(v) for d in expected for v in d.metadata.values()
        ]


pieces = st.lists(
    st.sampled_from(
        [b'{"_id": ', b'"text": ', b'"a"', b", ", b"}", b"[", b"1", b"null", b"NaN", b'"', b"\n",
         b"\r", b",", b"\t", b"_id,text\n", b"_id\ttext\n", b"\xff", b"\xef\xbb\xbf", b"\\ud800",
         b"<p>", b"<![x[", b"<script>", b"# t\n", b'{"_id": "a", "text": "x"}\n', b" ", b"\0"]
    ),
    max_size=20,
).map(b"".join)  # fmt: skip
content = st.binary(max_size=60) | pieces


@pytest.mark.parametrize(
    "name",
    ["c.jsonl", "c.jsonl.gz", "c.csv", "c.tsv", "c.parquet", "t/c.txt", "t/c.md", "t/c.html"],
)
@settings(max_examples=40)
@given(content)
@example(b"")
def test_arbitrary_bytes_raise_nothing_but_thought1_errors(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(content, 1) if name.endswith("gz") else content)
        corpus = open_corpus(
            path.parent if "/" in name else path, options=CorpusOptions(50, Splitter(8))
        )
        counts = []
        for skip_bad in (False, True):
            try:
                counts.append(corpus.validate(skip_bad).documents)
                found = list(corpus.documents(skip_bad))
                assert len(found) == counts[-1] > 0
                assert len({document.id for document in found}) == len(found)
            except Thought1Error as error:
                str(error).encode()  # can be printed
        # Where nothing is bad, skipping bad rows changes nothing.
        assert len(counts) < 2 or counts[0] == counts[1]


@pytest.mark.parametrize("read", [read_qrels, read_run, read_queries])
@settings(max_examples=40)
@given(content)
def test_arbitrary_bytes_as_lists(read: Callable[[Path], object], content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        try:
            read(path)
        except Thought1Error as error:
            str(error).encode()


prose = st.lists(
    st.sampled_from(
        [
            "a",
            "word",
            ". ",
            "\n# b\n",
            "\n## c\n",
            "! ",
            '."',
            "\n",
            "\r\n",
            "\n\n",
            " ",
            "\t",
            "\u3002",
            "\xa0",
        ]
    )
    | text,
    max_size=40,
).map("".join)


@given(prose, st.integers(1, 30))
def test_passages_cover_the_text_without_overlap(text: str, max_chars: int) -> None:
    spans = [(p.start, p.end) for p in split_passages(text, Splitter(max_chars))]
    borders = [0, *(place for span in spans for place in span), len(text)]
    assert borders == sorted(borders)
    for start, end in spans:
        assert 0 < end - start <= max_chars
        assert text[start:end] == text[start:end].strip()
    gaps = zip(borders[::2], borders[1::2], strict=True)
    assert not any(text[start:end].strip() for start, end in gaps)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Words and marks as the units of a length, as a tokenizer has them."""
    return [found.span() for found in re.finditer(r"\w+|[^\w\s]", text)]


@given(prose, st.integers(1, 12), st.integers(0, 6), st.sampled_from(["", "T"]))
def test_passages_of_units_fit_and_cover_the_text(
    text: str, limit: int, overlap: int, title: str
) -> None:
    splitter = Splitter(limit, min(overlap, limit // 2), word_spans)
    covered = 0
    for passage in split_passages(text, splitter, title, markdown_headings(text)):
        part = text[passage.start : passage.end]
        assert part == part.strip()
        assert len(part) >= 1
        assert len(word_spans(f"{passage.path}\n{part}")) <= limit
        assert passage.end > covered
        assert not text[covered : max(covered, passage.start)].strip()
        repeated = text[passage.start : covered] if passage.start < covered else ""
        assert len(word_spans(repeated)) <= splitter.overlap
        covered = passage.end
    assert not text[covered:].strip()


@pytest.mark.parametrize("suffix", [".txt", ".md"])
@settings(max_examples=50)
@given(prose.filter(lambda x: bool(x.strip())), st.booleans())
def test_offsets_point_into_the_decoded_file(suffix: str, content: str, bom: bool) -> None:
    content = content.removeprefix("\ufeff") or "x"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"note{suffix}"
        path.write_bytes(content.encode("utf-8-sig" if bom else "utf-8"))
        for number, document in enumerate(
            open_corpus(Path(folder), options=CorpusOptions(splitter=Splitter(12)))
        ):
            start, end = document.metadata["start"], document.metadata["end"]
            assert document.text == path.read_bytes().decode("utf-8-sig")[start:end]
            assert document.id == f"note{suffix}#{number}"
            assert document.title.strip()


words = st.from_regex(r"[!-~]{1,6}", fullmatch=True)
scores = st.floats(allow_nan=False, allow_infinity=False)
runs = st.dictionaries(words, st.dictionaries(words, scores, min_size=1, max_size=5), max_size=4)


@settings(max_examples=50)
@given(runs)
def test_runs_round_trip(run: dict[str, dict[str, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder) / "run", run, "t1")
        assert read_run(Path(folder) / "run") == run
