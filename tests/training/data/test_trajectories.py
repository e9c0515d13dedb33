"""Reference thoughts and evidence from files: patterns, key terms, and what is refused."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reason_recipe import UNREFERENCED, make_thinking_room

from thought1.training.data.sources import read_sources
from thought1.training.data.trajectories import (
    FUNCTION_WORDS,
    key_terms,
    read_evidence,
    read_thoughts,
)
from thought1.training.recipe import SourceConfig
from thought1.types import Thought1Error

ANY = {"a": "any"}


def source(**fields: str | int) -> SourceConfig:
    return SourceConfig("facts", "beir", **fields)  # type: ignore[arg-type]


def write(folder: Path, *rows: object, name: str = "t.jsonl") -> str:
    (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return name


# -- thoughts ----------------------------------------------------------------------------------


def test_a_pattern_is_filled_with_the_fields_of_its_line(tmp_path: Path) -> None:
    name = write(
        tmp_path,
        {"_id": "a", "steps": ["ice melts", "water runs"], "end": "so it floods"},
        {"_id": "b", "steps": [], "end": "nothing"},
        {"_id": 7, "steps": ["one"], "end": ""},
        {"_id": "a", "steps": ["a second thought"], "end": "counts no more"},
    )
    settings = source(thoughts=name, thought="{steps}; {end}")
    found = read_thoughts(settings, tmp_path, dict.fromkeys(("b", "a", "7", "without"), "any"))
    assert found == {"a": "ice melts; water runs; so it floods", "b": "nothing", "7": "one"}


def test_a_thought_is_one_line(tmp_path: Path) -> None:
    name = write(tmp_path, {"_id": "a", "text": " two\n lines\t and  blanks "})
    found = read_thoughts(source(thoughts=name), tmp_path, ANY)
    assert found == {"a": "two lines and blanks"}


def test_a_compressed_file(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "t.jsonl.gz", "wt") as file:
        file.write('{"_id": "a", "text": "small"}\n')
    assert read_thoughts(source(thoughts="t.jsonl.gz"), tmp_path, ANY) == {"a": "small"}


def test_no_file_is_no_thought(tmp_path: Path) -> None:
    assert read_thoughts(source(), tmp_path, ANY) == {}


def test_thoughts_are_of_the_queries_and_cut_by_each_one_s_words(tmp_path: Path) -> None:
    rows = [{"_id": q, "text": "iron grows in heat"} for q in ("c", "b", "a")]
    settings = source(thoughts=write(tmp_path, *rows), thought_terms=2)
    found = read_thoughts(settings, tmp_path, {"a": "Why heat?", "b": "Does iron rust?"})
    assert list(found.items()) == [("a", "iron grows"), ("b", "grows heat")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"text": "x"}\n', 't.jsonl:1: field "_id" is missing; each row needs one'),
        ('{"_id": "", "text": "x"}\n', 't.jsonl:1: field "_id" is empty'),
        ('{"_id": null, "text": "x"}\n', 't.jsonl:1: field "_id" must be a string or an integer'),
        ('{"_id": "a"}\n', "t.jsonl:1: field 'text' is missing"),
        ('{"_id": "a", "text": "x"}\n{"_id"\n', "t.jsonl:2: "),
        (None, "t.jsonl does not exist"),
    ],
)
def test_a_broken_file_of_thoughts(tmp_path: Path, content: str | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(Thought1Error) as caught:
        read_thoughts(source(thoughts="t.jsonl"), tmp_path, ANY)
    assert problem in str(caught.value)


# -- evidence ----------------------------------------------------------------------------------


def test_evidence_is_a_list_of_texts(tmp_path: Path) -> None:
    rows = [{"_id": "a", "documents": ["one", "two"]}, {"_id": "b", "documents": []}]
    name = write(tmp_path, *rows)
    assert read_evidence(tmp_path / name) == {"a": ("one", "two"), "b": ()}


@pytest.mark.parametrize("documents", ["one text", [1], None, {"a": "b"}])
def test_evidence_of_another_kind_is_refused(tmp_path: Path, documents: object) -> None:
    name = write(tmp_path, {"_id": "a", "documents": documents})
    with pytest.raises(Thought1Error, match=r"t\.jsonl:1: 'documents' must be a list of texts"):
        read_evidence(tmp_path / name)


def test_evidence_without_its_query_is_refused(tmp_path: Path) -> None:
    name = write(tmp_path, {"_id": "a", "documents": []}, {"documents": ["one"]})
    with pytest.raises(Thought1Error, match=r't\.jsonl:2: field "_id" is missing'):
        read_evidence(tmp_path / name)


def test_a_missing_file_of_evidence(tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="does not exist"):
        read_evidence(tmp_path / "absent.jsonl")


# -- key terms ---------------------------------------------------------------------------------


def test_key_terms_are_content_words_that_the_query_lacks() -> None:
    thought = "Ice is frozen water; the FROZEN water expands, and expands. X-rays don't, 3 do."
    assert key_terms(thought, "Why does ice crack?", 99) == "frozen water expands x-rays don't"
    assert key_terms(thought, "Why does ICE crack?", 2) == "frozen water"
    assert key_terms("", "any", 5) == key_terms("it is the same", "any", 5) == ""
    assert key_terms("Größe ändert sich", "größe", 5) == "ändert sich"


words = st.sampled_from(["ice", "Water", "the", "of", "melts", "x", "sand", "Sand", "is"])
texts = st.lists(words, max_size=12).map(" ".join)


@given(thought=texts, query=texts, most=st.integers(1, 6))
def test_what_holds_for_all_key_terms(thought: str, query: str, most: int) -> None:
    found = key_terms(thought, query, most).split()
    assert len(found) == len(set(found)) <= most
    assert not set(found) & (set(query.lower().split()) | FUNCTION_WORDS | {"x"})
    lowered = thought.lower().split()
    assert [lowered.index(term) for term in found] == sorted(lowered.index(t) for t in found)
    whole = key_terms(thought, query, 99).split()
    assert found == whole[:most]
    assert set(whole) == set(lowered) - set(query.lower().split()) - FUNCTION_WORDS - {"x"}


# -- with their pairs --------------------------------------------------------------------------


def test_pairs_carry_what_belongs_to_their_ids(tmp_path: Path) -> None:
    room = make_thinking_room(tmp_path)
    settings = source(thoughts="thoughts.jsonl", thought="{steps}", evidence="evidence.jsonl")
    data = read_sources((settings,), room / "data", room, seed=0)
    by_id = {pair.query_id: pair for pair in data.pairs}
    assert len(by_id) == 12
    assert by_id["train:2"].thought == "iron and heat; number 2 and cold"
    assert by_id["train:2"].evidence == ("about iron", "of 2")
    assert (by_id[UNREFERENCED].thought, by_id[UNREFERENCED].evidence) == ("", ())
    assert {"thoughts.jsonl", "evidence.jsonl"} <= data.files.keys()
    terms = source(thoughts="thoughts.jsonl", thought="{steps}", thought_terms=2)
    (pair, *_) = read_sources((terms,), room / "data", room, seed=0).pairs
    assert pair.thought == "heat cold"
    assert pair.evidence == ()
