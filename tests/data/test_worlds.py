"""Generated worlds: sizes, determinism, words, nothing for BM25, thoughts, the folder.

Leaks and right answers: properties/test_worlds_properties.py.
"""

import hashlib
import json
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import bm25s
import pytest
import Stemmer

from thought1 import __version__
from thought1.data.formats import BeirFolder, read_thoughts
from thought1.data.worlds import World, WorldSettings, make_world, write_world
from thought1.data.worlds.documents import relevant
from thought1.data.worlds.facts import make_encyclopedia
from thought1.data.worlds.language import EVIDENCE_RELATIONS, KINDS, RELATIONS
from thought1.data.worlds.questions import COMPOSED
from thought1.metrics import ndcg
from thought1.types import Thought1Error

GOLDEN = "20d9b5f147bec1473a440ecbba31e9d12b0b655b0e192b0c6ab31fe978a2e2c4"
"""SHA-256 over the files of the standard world, world.json aside: it holds the version."""

SHARED_WORDS = {"the", "of", "and", "is", ",", "."}
"""All that questions and documents share, apart from names."""

SMALL = WorldSettings(entities=80, distractors=10, questions=150, tests=6)


@pytest.fixture(scope="module")
def standard() -> World:
    return make_world(WorldSettings())


@pytest.fixture(scope="module")
def folder(standard: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds") / "standard"
    write_world(standard, folder)
    return folder


def bm25(documents: dict[str, str], queries: dict[str, str]) -> dict[str, list[str]]:
    """The best ten documents that share a word with the query (bm25s, stemmed as benchmarks/)."""
    stemmer = Stemmer.Stemmer("english")

    def words(texts: list[str]) -> list[list[str]]:
        found = bm25s.tokenize(
            texts, stopwords="english", stemmer=stemmer, return_ids=False, show_progress=False
        )
        assert isinstance(found, list)
        return found

    index = bm25s.BM25()
    index.index(words(list(documents.values())), show_progress=False)
    ids = list(documents)
    rankings = {}
    for query, tokens in zip(queries, words(list(queries.values())), strict=True):
        scores = index.get_scores(tokens)
        best = (-scores).argsort(kind="stable")[:10]
        rankings[query] = [ids[i] for i in best if scores[i] > 0]
    return rankings


def test_standard_sizes(standard: World) -> None:
    counts = standard.counts()
    assert counts["entities"] == 500
    assert counts["facts"] >= 2000
    assert counts["documents"] == 1200
    assert counts["words"] < 1200
    assert 2500 <= counts["train"] <= 4000
    assert counts["test"] == 6 * 200
    assert all(counts[f"test-{kind}"] == 200 for kind in ("hop1", *COMPOSED))
    assert counts["thoughts"] == counts["train"] + 7 * 200
    assert max(len(document.text.split()) for document in standard.documents) <= 35
    for question in standard.questions:
        assert len(question.text.split()) <= 22
        assert len(standard.thoughts[question.id].split()) <= 10 * len(question.steps) + 4
        if question.kind == "hop3":
            assert len(standard.thoughts[question.id].split()) <= 30


def test_standard_world_has_these_bytes(folder: Path) -> None:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.*")):
        if path.name != "world.json":
            digest.update(path.relative_to(folder).as_posix().encode() + b"\n" + path.read_bytes())
    assert digest.hexdigest() == GOLDEN, "a changed world is another data set: say so in CHANGELOG"


def test_the_page_about_worlds_quotes_the_standard_world(folder: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "worlds.md"
    quoted = page.read_text("utf-8").split("```")[3].strip().splitlines()[1:]
    files = "".join(path.read_text("utf-8") for path in folder.glob("*.jsonl"))
    long = make_world(WorldSettings(thoughts="long"))
    files += "".join(f'"{thought}"' for thought in long.thoughts.values())
    assert len(quoted) >= 20
    for line in quoted:
        text = line.partition("  ")[2].strip()
        assert f'"{text}"' in files, f"docs/worlds.md: {text!r} is not in the standard world"


def test_the_seed_alone_decides() -> None:
    def texts(seed: int, *, tests: int = 6) -> tuple[list[str], list[str]]:
        made = make_world(WorldSettings(seed, 80, 10, 150, tests))
        return [d.text for d in made.documents], [q.text for q in made.questions]

    assert texts(1) == texts(1)
    assert not set(texts(1)[0]) & set(texts(2)[0])
    assert texts(1, tests=5)[0] == texts(1)[0]


def test_names_are_single_invented_words() -> None:
    for entities in (50, 2001):
        world = make_encyclopedia(entities, random.Random(3))
        assert len(world.kinds) == entities
        assert set(world.kinds.values()) == set(KINDS)
        assert all(name.isascii() and name.isalpha() and name.islower() for name in world.kinds)


def test_words_of_questions_and_documents_are_disjoint(standard: World) -> None:
    stem = Stemmer.Stemmer("english").stemWord
    names = standard.encyclopedia.kinds.keys()
    documents = {w for d in standard.documents for w in d.text.split()} - names
    questions = {w for q in standard.questions for w in q.text.split()} - names
    told = {stem(word) for word in documents}
    assert {word for word in questions if stem(word) in told} == SHARED_WORDS
    for relation in (RELATIONS | EVIDENCE_RELATIONS).values():
        used = {word for phrase in relation.phrases for word in phrase.split()} - {"{}"}
        assert used <= questions


def test_a_phrase_belongs_to_one_relation() -> None:
    relations = (RELATIONS | EVIDENCE_RELATIONS).values()
    phrases = [phrase for relation in relations for phrase in relation.phrases]
    assert len(phrases) == len(set(phrases))
    for relation in relations:
        assert {relation.subject, relation.value} <= KINDS.keys()
        assert len(relation.phrases) >= 2
        assert all(phrase.count("{}") == 1 for phrase in relation.phrases)
        for sentence in (relation.thought, *relation.documents):
            assert sentence.count("{s}") == sentence.count("{v}") == 1
            assert len(sentence.split()) <= 10


def test_bm25_is_near_chance_unless_it_reads_the_thought(standard: World) -> None:
    documents = {document.id: document.text for document in standard.documents}
    questions = {question.id: question for question in standard.splits()["test"]}

    def quality(queries: dict[str, str]) -> dict[str, float]:
        values: dict[str, list[float]] = {kind: [] for kind in COMPOSED}
        for id, ranking in bm25(documents, queries).items():
            grades = dict.fromkeys(relevant(questions[id].answer), 1)
            values[questions[id].kind].append(ndcg(ranking, grades, 10))
        return {kind: sum(found) / len(found) for kind, found in values.items()}

    bare = quality({id: question.text for id, question in questions.items()})
    thought = quality({id: standard.thoughts[id] for id in questions})
    assert max(bare.values()) < 0.05
    assert min(thought.values()) > 0.3


def test_long_thoughts_tell_the_same_and_more() -> None:
    short = make_world(SMALL)
    long = make_world(replace(SMALL, thoughts="long"))
    assert long.questions == short.questions
    for id, thought in short.thoughts.items():
        assert 2 <= len(long.thoughts[id].split()) / len(thought.split()) <= 3
        rest = iter(long.thoughts[id].split(" . "))
        assert all(sentence in rest for sentence in thought.split(" . ")), "another order"


def test_a_share_of_the_composed_thoughts_is_kept() -> None:
    def kept(share: float) -> set[str]:
        return set(make_world(replace(SMALL, share_thoughts=share)).thoughts)

    everything, some, none = kept(1), kept(0.1), kept(0)
    assert none < some < kept(0.5) < everything
    assert {id.partition("-")[0] for id in none if id.startswith("train:")} == {"train:hop1"}
    assert {id for id in none if id.startswith("test:")} == {
        id for id in everything if id.startswith("test:")
    }
    counts = Counter(id.partition("-")[0] for id in some - none)
    assert counts["train:hop2"] == round(0.1 * round(COMPOSED["hop2"] * SMALL.questions))


def test_the_folder_is_read_as_beir(standard: World, folder: Path) -> None:
    beir = BeirFolder(folder)
    beir.corpus().validate()
    assert list(beir.corpus()) == standard.documents
    assert [(q.id, q.text) for q in beir.queries()] == [(q.id, q.text) for q in standard.questions]
    assert beir.splits() == sorted(["train", "test", *(f"test-{k}" for k in ("hop1", *COMPOSED))])
    for split, questions in standard.splits().items():
        grades = {q.id: dict.fromkeys(relevant(q.answer), 1) for q in questions}
        assert beir.qrels(split) == grades
        assert all(id.startswith(f"{split.partition('-')[0]}:") for id in grades)
    assert read_thoughts(folder / "thoughts.jsonl") == standard.thoughts
    header = (folder / "qrels" / "test.tsv").read_text().partition("\n")[0]
    assert header == "query-id\tcorpus-id\tscore"


def test_the_folder_holds_evidence_metadata_and_settings(standard: World, folder: Path) -> None:
    def rows(name: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]

    assert rows("evidence.jsonl") == [
        {"_id": q.id, "documents": [note.text for note in q.notes]}
        for q in standard.questions
        if q.kind == "evidence"
    ]
    first = standard.questions[0]
    assert rows("queries.jsonl")[0]["metadata"] == {
        "kind": "hop1",
        "answer": first.answer,
        "starts": list(first.starts),
        "path": list(first.path),
    }
    about = json.loads((folder / "world.json").read_text())
    assert (about["format"], about["thought1"]) == (1, __version__)
    assert WorldSettings(**about["settings"]) == standard.settings
    assert about["counts"] == standard.counts()


def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(SMALL)
    (tmp_path / "empty").mkdir()
    write_world(world, tmp_path / "empty")
    written = (tmp_path / "empty" / "corpus.jsonl").read_bytes()
    (tmp_path / "file").touch()
    for taken in ("empty", "file"):
        with pytest.raises(Thought1Error, match=f"{taken} exists and is not an empty folder"):
            write_world(world, tmp_path / taken)
    assert (tmp_path / "empty" / "corpus.jsonl").read_bytes() == written

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("thought1.data.worlds.write._qrels", fail)
    with pytest.raises(OSError, match="disk full"):
        write_world(world, tmp_path / "new")
    shutil.rmtree(tmp_path / "empty")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"entities": 49}, "50 to 50000 entities, not 49"),
        ({"distractors": -1}, "distractors cannot be fewer than 0"),
        ({"questions": 99}, "at least 100 composed training questions"),
        ({"tests": 0}, "at least 100 composed training questions and 1 test question"),
        ({"share_thoughts": 1.5}, "between 0 and 1, not 1.5"),
        (
            {"entities": 50, "questions": 5000, "tests": 1},
            "50 entities has no 1400 questions of the kind hop2",
        ),
        ({"entities": 50, "tests": 5000}, "50 entities has no 5000 questions of the kind hop1"),
    ],
)
def test_settings_that_make_no_world_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        make_world(WorldSettings(**changed))
