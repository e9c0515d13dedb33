"""Worlds to read in: facts that only documents state, and questions that only evidence answers."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thought1.data.worlds import World, WorldSettings, make_world, write_world
from thought1.data.worlds.documents import fact_wordings
from thought1.data.worlds.questions import INDEXED, READING
from thought1.data.worlds.thoughts import statement
from thought1.types import Thought1Error

SETTINGS = WorldSettings(
    entities=200, questions=300, tests=20, distractors=20, share_indexed=0.4, reading=200
)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SETTINGS)


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds") / "reading"
    write_world(world, folder)
    return folder


def test_what_is_only_indexed_is_taught_nowhere(world: World, folder: Path) -> None:
    share = len(world.indexed) / len(world.encyclopedia.kinds)
    assert share == pytest.approx(SETTINGS.share_indexed, abs=0.02)
    facts = world.encyclopedia.facts
    hidden = [fact for name in world.indexed for fact in facts[name].values()]
    taught = (folder / "facts.jsonl").read_text()
    taught += "".join(
        f"{world.thoughts[q.id]} {' '.join(note.text for note in q.notes)}\n"
        for q in world.splits()["train"]
    )
    for fact in hidden:
        assert statement(fact) not in taught
        assert not any(text in taught for text in fact_wordings(world.encyclopedia, fact))
    known = [fact for name in facts if name not in world.indexed for fact in facts[name].values()]
    assert all(statement(fact) in taught for fact in known)


def test_the_tests_of_indexed_facts_need_nothing_else(world: World) -> None:
    corpus = {document.id: document.text for document in world.documents}
    for number, kind in enumerate(INDEXED, 1):
        questions = world.splits()[f"test-{kind}"]
        assert len(questions) == SETTINGS.tests
        for question in questions:
            assert len(question.steps) == number
            assert question.steps[-1].value == question.answer
            for step in question.steps:
                assert step.subject in world.indexed
                both = corpus[f"{step.subject}:article"] + corpus[f"{step.subject}:note"]
                wordings = fact_wordings(world.encyclopedia, step)
                assert any(wording in both for wording in wordings)
    others = [q for q in world.questions if q.kind not in (*INDEXED, READING)]
    assert not any(step.subject in world.indexed for q in others for step in q.steps)


def test_what_is_shown_answers_a_reading_question(world: World) -> None:
    true = world.encyclopedia.facts
    questions = [q for q in world.questions if q.kind == READING]
    composed = [q for q in world.questions if q.split == "test" and q.kind != "hop1"]
    held_out = {name for q in composed for name in q.starts}
    assert len(questions) == SETTINGS.reading
    assert Counter(q.split for q in questions) == {"train": SETTINGS.reading}
    for question in questions:
        facts = {name: dict(found) for name, found in true.items()}
        shown = [note.fact for note in question.notes if note.fact is not None]
        for fact in shown:
            assert fact != true[fact.subject][fact.relation]
            facts[fact.subject][fact.relation] = fact
        (name,) = question.starts
        for relation in question.path:
            name = facts[name][relation].value
        assert name == question.answer
        assert question.steps[0] in shown or (
            len(question.steps) > 1 and question.starts[0] not in held_out
        )
        for step in question.steps:
            assert (step in shown) or step == true[step.subject][step.relation]
        assert world.thoughts[question.id].endswith(f" {question.answer}")
        texts = [note.text for note in question.notes]
        assert len(texts) > len([step for step in question.steps if step in shown])
        named = re.findall(r"\w+", " ".join(texts))
        assert question.answer in named or question.steps[-1] not in shown


def test_a_reader_cannot_go_by_the_kind_of_a_name_alone(world: World) -> None:
    facts = world.encyclopedia.facts
    reading = [q for q in world.questions if q.kind == READING]
    rivals = 0
    for question in reading:
        chain = {question.answer, *(step.subject for step in question.steps)}
        relations = set(question.path)
        rival = [
            note.fact
            for note in question.notes
            if note.fact and note.fact.relation in relations and note.fact.subject not in chain
        ]
        assert not any(fact == facts[fact.subject][fact.relation] for fact in rival)
        rivals += bool(rival)
    assert rivals > 0.5 * len(reading)


def test_some_reading_questions_need_nothing_that_is_shown(world: World) -> None:
    facts = world.encyclopedia.facts
    tests = {(q.starts, q.path) for q in world.questions if q.split == "test"}
    reading = [q for q in world.questions if q.kind == READING]
    recalled = [q for q in reading if all(s == facts[s.subject][s.relation] for s in q.steps)]
    assert 0.1 * len(reading) < len(recalled) < 0.3 * len(reading)
    for question in recalled:
        assert question.notes and len(question.steps) > 1
        assert (question.starts, question.path) not in tests


def test_an_indexed_entity_is_never_recalled_in_a_reading_question(world: World) -> None:
    for question in world.questions:
        if question.kind == READING:
            shown = {note.fact for note in question.notes}
            assert all(s in shown for s in question.steps if s.subject in world.indexed)


def test_the_folder_names_the_new_splits(world: World, folder: Path) -> None:
    splits = {path.stem for path in (folder / "qrels").iterdir()}
    assert {f"test-{kind}" for kind in INDEXED} <= splits
    evidence = [json.loads(line) for line in (folder / "evidence.jsonl").read_text().splitlines()]
    kinds = Counter(row["_id"].split(":")[1].split("-")[0] for row in evidence)
    assert kinds[READING] == SETTINGS.reading and set(kinds) == {READING, "evidence"}
    about = json.loads((folder / "world.json").read_text())
    assert about["counts"]["test-indexed3"] == SETTINGS.tests
    assert WorldSettings(**about["settings"]) == SETTINGS


def test_without_them_the_rest_stays(world: World) -> None:
    fewer = make_world(replace(SETTINGS, reading=0))
    others = [q for q in world.questions if q.kind != READING]
    assert fewer.questions == others
    assert fewer.documents == world.documents


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"share_indexed": 0.7}, "a number from 0 to 0.6, not 0.7"),
        ({"share_indexed": -0.1}, "a number from 0 to 0.6, not -0.1"),
        ({"reading": -1}, "reading questions cannot be fewer than 0, as -1 is"),
        ({"tests": 200}, "200 entities has no 200 questions of the kind"),
    ],
)
def test_settings_that_make_no_such_world(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        make_world(replace(SETTINGS, **changed))
