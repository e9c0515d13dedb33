"""What holds in every generated world, whatever its seed and size."""

from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from thought1.data.worlds import World, WorldSettings, make_world
from thought1.data.worlds.compositions import Question
from thought1.data.worlds.documents import relevant
from thought1.data.worlds.language import EVIDENCE_RELATIONS, RELATIONS, YEAR
from thought1.data.worlds.questions import COMPOSED

SHARED_WORDS = {"the", "of", "and", "is", ",", "."}
"""All that questions and documents share, apart from names."""

WORLDS = st.builds(
    WorldSettings,
    seed=st.integers(0, 10**6),
    entities=st.integers(50, 130),
    distractors=st.integers(0, 20),
    questions=st.just(100),
    tests=st.integers(1, 8),
    thoughts=st.sampled_from(["short", "long"]),
)
over_worlds = settings(max_examples=25, deadline=None, derandomize=True)


def texts_about(world: World) -> dict[str, str]:
    """Entity -> its two documents in one text."""
    texts = {document.id: document.text for document in world.documents}
    return {name: " ".join(texts[id] for id in relevant(name)) for name in world.encyclopedia.kinds}


def answer(world: World, question: Question) -> str:
    """The answer from starts and path alone: neither steps nor thought are looked at."""
    facts = {name: dict(found) for name, found in world.encyclopedia.facts.items()}
    for note in question.notes:
        assert note.fact is not None
        facts[note.fact.subject][note.fact.relation] = note.fact
    ends = list(question.starts)
    for relation in question.path:
        if relation != YEAR:
            ends = [facts[name][relation].value for name in ends]
    if question.kind == "comparison":
        return min(ends, key=lambda name: int(facts[name][YEAR].value.replace(" ", "")))
    (best, count), *others = Counter(ends).most_common(2)
    assert all(count > fewer for _, fewer in others)
    return best


@over_worlds
@given(WORLDS)
@example(WorldSettings())
def test_documents_tell_every_fact_of_their_entity(chosen: WorldSettings) -> None:
    world = make_world(chosen)
    ids = [document.id for document in world.documents]
    assert len(ids) == len(set(ids)) == 2 * chosen.entities + chosen.distractors
    for document in world.documents[: 2 * chosen.entities]:
        assert document.id.partition(":")[0] in document.text.split()
    for name, text in texts_about(world).items():
        for fact in world.encyclopedia.facts[name].values():
            assert f" {fact.value} " in f" {text} "
    for document in world.documents[2 * chosen.entities :]:
        assert document.id.startswith("distractor:")
        assert len(world.encyclopedia.kinds.keys() & set(document.text.split())) >= 2


@over_worlds
@given(WORLDS)
@example(WorldSettings())
def test_answers_are_right_and_thoughts_lead_to_them(chosen: WorldSettings) -> None:
    world = make_world(chosen)
    for question in world.questions:
        assert answer(world, question) == question.answer
        thought = world.thoughts[question.id].split()
        assert thought[-2:] == [".", question.answer]
        assert set(question.starts) <= set(thought)
        assert all(step.value in " ".join(thought) for step in question.steps)


@over_worlds
@given(WORLDS)
@example(WorldSettings())
def test_a_question_shares_no_word_with_its_relevant_documents(chosen: WorldSettings) -> None:
    world = make_world(chosen)
    about = texts_about(world)
    for question in world.questions:
        words = set(question.text.split())
        assert set(question.starts) == words & world.encyclopedia.kinds.keys()
        assert words & set(about[question.answer].split()) <= SHARED_WORDS


@over_worlds
@given(WORLDS)
@example(WorldSettings())
def test_nothing_leaks_from_train_to_test(chosen: WorldSettings) -> None:
    world = make_world(chosen)
    splits = world.splits()
    train = [question for question in splits["train"] if question.kind in COMPOSED]
    single = [question for question in splits["train"] if question.kind == "hop1"]

    def pairs(questions: list[Question]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        return [(tuple(sorted(q.starts)), q.path) for q in questions]

    def starts(questions: list[Question]) -> set[str]:
        return {start for question in questions for start in question.starts}

    asked = pairs(train) + pairs(splits["test"])
    assert len(asked) == len(set(asked))
    assert not starts(train) & starts(splits["test"])

    links = [link for name in world.encyclopedia.kinds for link in world.encyclopedia.links(name)]
    assert [question.steps for question in single] == [(link,) for link in links]
    phrases = {question.steps: asked_phrase(question) for question in single}
    for question in splits["test-hop1"]:
        assert asked_phrase(question) != phrases[question.steps]
    years = {step for question in train for step in question.steps if step.relation == YEAR}
    for question in splits["test-comparison"]:
        assert years >= {step for step in question.steps if step.relation == YEAR}


def asked_phrase(question: Question) -> str:
    (relation,) = question.path
    found = [p for p in RELATIONS[relation].phrases if p.format(*question.starts) in question.text]
    assert len(found) == 1
    return found[0]


@over_worlds
@given(WORLDS)
@example(WorldSettings())
def test_evidence_is_told_by_one_note_alone(chosen: WorldSettings) -> None:
    world = make_world(chosen)
    questions = [question for question in world.questions if question.notes]
    assert {question.kind for question in questions} == {"evidence"}
    facts = [note.fact for question in questions for note in question.notes]
    assert len(facts) == len(set(facts))
    corpus = {document.text for document in world.documents}
    for question in questions:
        assert 2 <= len(question.notes) <= 3
        assert question.steps[0] in [note.fact for note in question.notes]
        assert [n.fact.subject for n in question.notes].count(question.starts[0]) == 1
        for note in question.notes:
            assert note.fact.relation == question.path[0] in EVIDENCE_RELATIONS
            assert {note.fact.subject, note.fact.value} <= set(note.text.split())
            assert not any(note.text in text for text in corpus)
