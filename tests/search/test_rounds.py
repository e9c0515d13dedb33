"""Rounds of reading and thinking: the steps of a thought find what the next one reads."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thought1.index import Index
from thought1.search.options import Mode, SearchOptions
from thought1.search.rounds import in_turn
from thought1.testing import FakeModel
from thought1.types import Document, Thought, Thought1Error

CHAIN = {
    "adar": ("follows", "brin"),
    "brin": ("precedes", "corl"),
    "corl": ("meets", "dusk"),
    "elon": ("knows", "fyrd"),
}
FACT = re.compile(r"(\w+) (follows|precedes|meets|knows) (\w+)")
DOCUMENTS = [
    *(Document(f"of-{name}", f"{name} {verb} {value}.") for name, (verb, value) in CHAIN.items()),
    Document("goal", "Here lives dusk."),
    *(Document(f"noise-{i}", f"where does song {i} lead") for i in range(6)),
]
QUESTION = "where does adar lead"
OPTIONS = SearchOptions(mode="dense", think=20, evidence=4, rounds=6)


class Reader(FakeModel):
    """Thinks what the evidence says, fact by fact from the name in the question on, and guesses
    where it says nothing more."""

    def think(self, queries: Sequence[str], **options: Any) -> list[Thought]:
        evidence = options.get("evidence") or [()] * len(queries)
        self.knowledge = {
            query: self._chain(query, " ".join(shown))
            for query, shown in zip(queries, evidence, strict=True)
        }
        return super().think(queries, **options)

    def _chain(self, query: str, shown: str) -> str:
        known = {name: (verb, value) for name, verb, value in FACT.findall(shown)}
        (name,) = [word for word in query.split() if word in CHAIN] or [""]
        steps = []
        while name in known and len(steps) < 5:
            verb, value = known[name]
            steps.append(f"{name} {verb} {value}.")
            name = value
        guess = f"{name} is unknown." if name and name != "dusk" else ""
        return " ".join([*steps, guess]).strip()


@pytest.fixture
def model() -> Reader:
    return Reader()


@pytest.fixture
def index(tmp_path: Path, model: Reader) -> Index:
    made = Index.create(tmp_path / "chain.index", model)
    made.add(DOCUMENTS)
    return made


def test_each_round_gets_one_step_further(index: Index) -> None:
    (result,), _ = index.search_many([QUESTION], OPTIONS)
    assert result.thought is not None
    assert result.thought.text == "adar follows brin. brin precedes corl. corl meets dusk."
    lengths = [len(one.thought.split(".")) for one in result.rounds]
    assert lengths == sorted(lengths) and len(result.rounds) > 2
    last = result.rounds[-1]
    assert last.evidence == result.evidence
    assert {"of-adar", "of-brin", "of-corl"} <= set(last.evidence)
    assert [hop.text for hop in last.hops] == [
        "adar follows brin.",
        "brin precedes corl.",
        "corl meets dusk.",
    ]
    assert [hop.documents[0] for hop in last.hops] == ["of-adar", "of-brin", "of-corl"]
    one = index.search(QUESTION, mode="dense", think=20)
    assert one.thought is not None and "dusk" not in one.thought.text


def test_a_query_whose_steps_find_nothing_else_is_done(index: Index, model: Reader) -> None:
    questions = ["is elon there", QUESTION]
    together, receipt = index.search_many(questions, OPTIONS)
    asked = [len(shown) for shown in model.evidence_read[2:] if shown is not None]
    assert asked[0] == 2 and asked[-1] == 1  # the bare search is the call before
    assert len(together[0].rounds) < len(together[1].rounds) < OPTIONS.rounds
    assert all(result.rounds[-1].hops for result in together)
    alone = [index.search_many([question], OPTIONS) for question in questions]
    assert [found[0] for found, _ in alone] == together
    for name in ("prompt_tokens", "thought_tokens", "forced"):
        assert getattr(receipt, name) == sum(getattr(own, name) for _, own in alone)


def test_what_the_last_round_thought_is_not_followed(index: Index) -> None:
    (result,), receipt = index.search_many([QUESTION], replace(OPTIONS, rounds=2))
    first, second = result.rounds
    assert first.hops and not second.hops
    assert result.thought is not None and second.thought == result.thought.text
    assert second.evidence == result.evidence
    steps = ["first-embed", "first-dense", "read", "think", "rounds", "dense", "fetch"]
    assert list(receipt.milliseconds) == steps


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_one_round_is_a_search_that_reads_first(index: Index, mode: Mode) -> None:
    options = SearchOptions(mode=mode, think=20, evidence=2)
    (result,), _ = index.search_many([QUESTION], options)
    assert result.rounds == ()
    (again,), _ = index.search_many([QUESTION], replace(options, rounds=2))
    assert again.rounds[0].evidence == result.evidence
    assert result.thought is not None and again.rounds[0].thought == result.thought.text


def test_the_receipt_counts_every_reading(index: Index, model: Reader) -> None:
    (result,), receipt = index.search_many([QUESTION], replace(OPTIONS, rounds=2))
    texts = {document.id: document.full_text for document in DOCUMENTS}
    read = [[texts[id_] for id_ in one.evidence] for one in result.rounds]
    expected = model.count_prompt_tokens([QUESTION])
    expected += sum(model.count_prompt_tokens([QUESTION], evidence=[shown]) for shown in read)
    begun = ""
    for hop in result.rounds[0].hops:
        begun = f"{begun} {hop.text}"
        expected += model.count_prompt_tokens([QUESTION], evidence=[read[0]]) + len(begun.split())
    assert receipt.prompt_tokens == expected
    assert receipt.thought_tokens == sum(len(one.thought.split()) for one in result.rounds)


def test_who_thinks_nothing_is_asked_once(index: Index, model: Reader) -> None:
    (result,), _ = index.search_many(["no name"], OPTIONS)
    (only,) = result.rounds
    assert (only.thought, only.hops) == ("", ())
    assert model.think_calls == 2
    assert index.search_many([], OPTIONS)[0] == []


def test_steps_keep_to_the_filter(tmp_path: Path, model: Reader) -> None:
    index = Index.create(tmp_path / "filtered.index", model)
    index.add(
        replace(document, metadata={"kind": document.id.partition("-")[0]})
        for document in DOCUMENTS
    )
    options = replace(OPTIONS, where={"kind": "noise"})
    (result,), _ = index.search_many([QUESTION], options)
    read = [id_ for one in result.rounds for id_ in one.evidence]
    found = [id_ for one in result.rounds for hop in one.hops for id_ in hop.documents]
    assert found and all(id_.startswith("noise") for id_ in read + found)


def test_checkpoints_are_those_of_the_last_thought(index: Index) -> None:
    options = replace(OPTIONS, checkpoints=(0, 20))
    (result,), _ = index.search_many([QUESTION], options)
    assert [stage.budget for stage in result.stages] == [0, 20]
    assert result.thought is not None and result.thought.text.endswith("dusk.")
    assert result.stages[-1].ranking == tuple((hit.id, hit.score) for hit in result.hits)


def test_rankings_in_turn() -> None:
    rankings = [[("a", 0.9), ("b", 0.8), ("c", 0.7)], [("b", 0.9)], [], [("d", 0.3), ("a", 0.2)]]
    assert in_turn(rankings, 10) == ["a", "b", "d", "c"]
    assert in_turn(rankings, 2) == ["a", "b"]
    assert in_turn([], 3) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "rounds are a whole number from 1 to 100, not 0"),
        ({"rounds": 101, "evidence": 1}, "from 1 to 100, not 101"),
        ({"rounds": True}, "not True"),
        ({"rounds": 2}, "say how many documents are read, as evidence"),
        ({"rounds": 2, "evidence": 1, "samples": 2}, "rounds follow one thought, not 2"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        SearchOptions(**options)
