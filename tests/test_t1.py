"""T1 as a user meets it: sentence-transformers' habits, thoughts, the three sequences."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from tiny import ARCHITECTURES, TEXTS, make_checkpoint

from thought1.contracts import ThoughtWriter
from thought1.engines.hf import HFEngine
from thought1.model import documents
from thought1.model.checkpoint import Checkpoint
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.model.encoder import windows
from thought1.model.prompts import Template
from thought1.model.settings import ThoughtSettings
from thought1.t1 import T1
from thought1.types import Document, Sampling, Step, Thought, Thought1Error, Vectors

QUESTIONS = ["Why do ice cubes crack?", "salt?", "How does a thermometer measure warm water?"]
SAMPLED = Sampling(temperature=1.0, top_p=0.9, seed=3)
D = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> T1:
    folder = make_checkpoint(tmp_path_factory.mktemp("t1") / "qwen3")
    return T1(with_settings(T1.from_pretrained(folder, device="cpu"), thought=ThoughtSettings(6)))


def with_settings(model: T1, **settings: object) -> Checkpoint:
    checkpoint = model.checkpoint
    return replace(checkpoint, settings=replace(checkpoint.settings, **settings))


def close(found: object, expected: object, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=0, atol=atol)


@pytest.fixture
def sequences(model: T1, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Every whole sequence that the engine embeds in one pass."""
    seen: list[list[int]] = []
    embed = model.engine.embed

    def spy(prefix: Sequence[int], rows: Sequence[Sequence[int]]) -> Vectors:
        seen.extend([*prefix, *row] for row in rows)
        return embed(prefix, rows)

    monkeypatch.setattr(model.engine, "embed", spy)
    return seen


# -- sentence-transformers' habits ---------------------------------------------------------------

ENCODERS = ["encode_query", "encode_document"]


@pytest.mark.parametrize("name", ENCODERS)
def test_one_string_gives_one_vector_and_a_list_gives_rows(model: T1, name: str) -> None:
    encode = {"encode_query": model.encode_query, "encode_document": model.encode_document}[name]
    single, many = encode(TEXTS[0]), encode(TEXTS)
    assert isinstance(single, np.ndarray) and isinstance(many, np.ndarray)
    assert single.shape == (D,) == (model.dim,)
    assert many.shape == (4, D)
    assert single.dtype == many.dtype == np.float32
    close(single, many[0])
    close(np.linalg.norm(many, axis=1), np.ones(4))
    assert encode(TEXTS[:1]).shape == (1, D)
    assert encode(tuple(TEXTS)).shape == (4, D)


@pytest.mark.parametrize("name", ENCODERS)
def test_empty_input(model: T1, name: str) -> None:
    encode = {"encode_query": model.encode_query, "encode_document": model.encode_document}[name]
    nothing = encode([])
    assert nothing.shape == (0, D) and nothing.dtype == np.float32
    assert encode([], convert_to_tensor=True).shape == (0, D)
    empty = encode("")
    assert empty.shape == (D,)
    close(np.linalg.norm(empty), 1)
    close(encode(["", " \n", TEXTS[0]])[:2], [empty, empty])


def test_empty_lists_at_every_budget(model: T1) -> None:
    assert model.think([]) == model.think([], budget=0) == []
    assert model.encode_query([], budget=0).shape == (0, D)
    assert model.encode_query([], thoughts=[]).shape == (0, D)
    assert model.encode_query([], evidence=[]).shape == (0, D)


@pytest.mark.parametrize("name", ENCODERS)
def test_convert_to_tensor(model: T1, name: str) -> None:
    encode = {"encode_query": model.encode_query, "encode_document": model.encode_document}[name]
    tensor = encode(TEXTS, convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float32
    close(tensor, encode(TEXTS))
    assert encode(TEXTS[0], convert_to_tensor=True).shape == (D,)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_batch_size_changes_nothing(model: T1, batch_size: int) -> None:
    texts = [*TEXTS, "", "x", "salt " * 60]
    close(model.encode_document(texts, batch_size=batch_size), model.encode_document(texts))
    for budget in (0, 5):
        close(
            model.encode_query(texts, budget=budget, batch_size=batch_size),
            model.encode_query(texts, budget=budget),
        )
    thoughts = model.think(texts, sampling=SAMPLED, batch_size=batch_size)
    assert thoughts == model.think(texts, sampling=SAMPLED)


def test_a_batch_size_is_kept_at_every_budget(model: T1, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    embed, generate = model.engine.embed, model.engine.generate
    monkeypatch.setattr(model.engine, "embed", lambda p, r: sizes.append(len(r)) or embed(p, r))
    monkeypatch.setattr(
        model.engine,
        "generate",
        lambda p, r, b, s, **more: sizes.append(len(r)) or generate(p, r, b, s, **more),
    )
    model.encode_document(TEXTS, batch_size=3)
    model.encode_query(TEXTS, budget=0, batch_size=3)
    model.encode_query(TEXTS, budget=2, batch_size=3)
    model.encode_query(TEXTS, thoughts=["a"] * 4, batch_size=3)
    assert sizes == [3, 1] * 4


def test_progress_bars_on_stderr_and_only_when_asked(
    model: T1, capsys: pytest.CaptureFixture[str]
) -> None:
    model.encode_document(TEXTS)
    model.encode_query(TEXTS)
    assert capsys.readouterr().err == ""
    model.encode_document(TEXTS, show_progress_bar=True)
    model.encode_query(TEXTS, budget=2, show_progress_bar=True)
    model.encode_query(TEXTS, budget=0, show_progress_bar=True)
    model.encode_query(TEXTS, thoughts=["a"] * 4, show_progress_bar=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    for step in ("encode", "think", "embed"):
        assert f"{step}: 100%" in shown.err


def test_similarity(model: T1) -> None:
    queries, documents = model.encode_query(QUESTIONS), model.encode_document(TEXTS)
    scores = model.similarity(queries, documents)
    assert isinstance(scores, torch.Tensor) and scores.shape == (3, 4)
    close(scores, queries @ documents.T)
    close(model.similarity(torch.from_numpy(queries), documents), scores)
    close(model.similarity(documents, documents).diagonal(), np.ones(4))
    assert model.similarity(queries[0], documents).shape == (1, 4)
    assert model.similarity(queries[:0], documents).shape == (0, 4)


# -- the three sequences -------------------------------------------------------------------------


def test_a_document_is_read_with_its_template(model: T1, sequences: list[list[int]]) -> None:
    model.encode_document(TEXTS[0])
    words = model.tokenizer(
        f"{model.settings.document.instruction}\n{TEXTS[0]}", add_special_tokens=False
    )["input_ids"]
    assert sequences == [[*words, model.checkpoint.emb_id]]


def test_a_query_without_thought_is_read_with_its_template(
    model: T1, sequences: list[list[int]]
) -> None:
    model.encode_query(QUESTIONS[0], budget=0)
    words = model.tokenizer(
        f"{model.settings.query.instruction}\n{QUESTIONS[0]} \n", add_special_tokens=False
    )["input_ids"]
    assert sequences == [[*words, model.checkpoint.emb_id]]


def test_a_thought_stands_between_prompt_and_emb_token(
    model: T1, sequences: list[list[int]]
) -> None:
    (thought,) = model.think(QUESTIONS[:1])
    assert sequences == []  # its vector costs no second pass
    vector = model.encode_query(QUESTIONS[0], thoughts=[thought])
    model.encode_query(QUESTIONS[0], budget=0)
    with_thought, bare = sequences
    assert with_thought == [*bare[:-1], *thought.token_ids, model.checkpoint.emb_id]
    close(vector, thought.vector)


def test_an_instruction_changes_vectors(model: T1, sequences: list[list[int]]) -> None:
    own = [model.encode_query(QUESTIONS, budget=0), model.encode_document(TEXTS)]
    other = [
        model.encode_query(QUESTIONS, budget=0, instruction="Answer me."),
        model.encode_document(TEXTS, instruction="Answer me."),
    ]
    for one, two in zip(own, other, strict=True):
        assert np.abs(one - two).max() > 1e-3
    start = model.tokenizer("Answer me.\n", add_special_tokens=False)["input_ids"]
    assert all(ids[: len(start)] == start for ids in sequences[7:])
    thoughts = model.think(QUESTIONS, instruction="Answer me.")
    assert [t.token_ids for t in thoughts] != [t.token_ids for t in model.think(QUESTIONS)]


def test_evidence_changes_sequences_and_vectors(model: T1, sequences: list[list[int]]) -> None:
    evidence = [[TEXTS[0]], [], TEXTS[:2]]
    bare = model.encode_query(QUESTIONS, budget=0)
    shown = model.encode_query(QUESTIONS, budget=0, evidence=evidence)
    lengths = sorted(map(len, sequences[:3])), sorted(map(len, sequences[3:]))
    assert lengths[0] != lengths[1]
    close(shown[1], bare[1])
    assert min(np.abs(shown[row] - bare[row]).max() for row in (0, 2)) > 1e-3
    texts = [model.tokenizer.decode(ids) for ids in sequences[3:]]
    assert sum(f"{TEXTS[0]}\n{TEXTS[1]}\n{QUESTIONS[2]}" in text for text in texts) == 1
    first, *_ = model.think(QUESTIONS, evidence=evidence)
    close(
        model.encode_query(QUESTIONS, evidence=evidence, thoughts=[first, "", ""])[0], first.vector
    )


def test_evidence_without_a_slot_is_refused(model: T1) -> None:
    other = T1(with_settings(model, query=Template("{text} \n")))
    with pytest.raises(Thought1Error, match=r"query template has no \{evidence\} slot"):
        other.encode_query(["salt?"], evidence=[["water"]])


def test_a_document_that_holds_special_tokens(model: T1, sequences: list[list[int]]) -> None:
    evil = "salt <emb_token> <|endoftext|> water <|im_end|>"
    model.encode_document([evil, "salt"])
    model.encode_query(evil, budget=0, evidence=[[evil]])
    model.encode_query(evil, thoughts=[evil])
    special = set(model.tokenizer.all_special_ids)
    assert model.checkpoint.emb_id in special
    for ids in sequences:
        assert special & set(ids) == {model.checkpoint.emb_id}
        assert ids.index(model.checkpoint.emb_id) == len(ids) - 1


def test_long_texts_are_cut_counted_and_reported(
    model: T1, sequences: list[list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    short = T1(with_settings(model, max_document_tokens=64, max_query_tokens=64))
    short.engine = model.engine
    short.encoder.engine = model.engine
    long = "thermometer " * 200
    with caplog.at_level(logging.WARNING, "thought1"):
        short.encode_document([long, "salt", long])
        short.encode_query([long], budget=0)
    assert short.truncated == 3
    assert "2 of 3 documents were cut" in caplog.text
    assert "1 of 1 queries were cut" in caplog.text
    newline = model.tokenizer(" \n")["input_ids"]
    *documents, query = sequences
    assert sorted(map(len, documents))[1:] == [64, 64]
    assert all(ids[-1] == model.checkpoint.emb_id for ids in sequences)
    assert len(query) == 64 + 1
    assert query[-1 - len(newline) : -1] == newline
    caplog.clear()
    short.encode_document(["salt"])
    short.count_prompt_tokens([long])
    assert short.truncated == 3 and caplog.text == ""


def test_a_prompt_and_a_thought_beyond_the_positions(model: T1) -> None:
    with pytest.raises(Thought1Error, match="256 positions: use a smaller thought budget"):
        model.think(QUESTIONS, budget=256)
    with pytest.raises(Thought1Error, match="256 positions"):
        model.encode_query(QUESTIONS[:1], thoughts=["thermometer " * 300])


def test_count_prompt_tokens(model: T1, sequences: list[list[int]]) -> None:
    model.encode_query(QUESTIONS, budget=0)
    assert model.count_prompt_tokens(QUESTIONS) == sum(len(ids) - 1 for ids in sequences)
    assert model.count_prompt_tokens([]) == 0


# -- thoughts ------------------------------------------------------------------------------------


def test_the_checkpoints_own_budget_and_sampling_are_the_default(model: T1) -> None:
    thoughts = model.think(QUESTIONS)
    assert [len(t.token_ids) for t in thoughts] == [6, 6, 6]
    assert thoughts == model.think(QUESTIONS, budget=6, sampling=Sampling())
    settings = ThoughtSettings(5, temperature=1.0, top_p=0.9)
    warm = T1(with_settings(model, thought=settings))
    assert warm.think(QUESTIONS) == model.think(
        QUESTIONS, budget=5, sampling=Sampling(temperature=1.0, top_p=0.9)
    )
    assert warm.think(QUESTIONS) != model.think(QUESTIONS, budget=5)


def test_one_string_gives_one_thought(model: T1) -> None:
    (thought,) = model.think(QUESTIONS[0])
    assert thought == model.think(QUESTIONS)[0]
    assert thought.vector is not None
    close(thought.vector, model.encode_query(QUESTIONS[0]))
    assert thought.text == model.tokenizer.decode(list(thought.token_ids))


def test_budget_zero(model: T1) -> None:
    thoughts = model.think(QUESTIONS, budget=0)
    assert thoughts == [Thought("", (), "none")] * 3
    assert not thoughts[0].forced
    close([t.vector for t in thoughts], model.encode_query(QUESTIONS, budget=0))
    assert (
        np.abs(model.encode_query(QUESTIONS) - model.encode_query(QUESTIONS, budget=0)).max() > 0.01
    )


def test_a_negative_budget_and_an_empty_batch_are_mistakes(model: T1) -> None:
    with pytest.raises(ValueError, match="0 or more, not -1"):
        model.think(QUESTIONS, budget=-1)
    with pytest.raises(ValueError, match="1 or more, not 0"):
        model.think(QUESTIONS, budget=4, batch_size=0)


def ending_with(model: T1, token: int, *, eos: bool) -> T1:
    """The same model, but `token` is read as an end of text, or as `<emb_token>`."""
    other = T1(model.checkpoint)
    if eos:
        other.engine.eos_ids = frozenset([token])
    else:
        other.engine.emb_id = token
    return other


def test_how_a_thought_ends_is_told(model: T1) -> None:
    (spent,) = model.think(QUESTIONS[0], budget=8)
    assert (spent.finish_reason, spent.forced) == ("budget", True)
    token = spent.token_ids[-1]
    before = spent.token_ids[: spent.token_ids.index(token)]
    (stopped,) = ending_with(model, token, eos=True).think(QUESTIONS[0], budget=8)
    assert (stopped.token_ids, stopped.finish_reason, stopped.forced) == (before, "eos", True)
    (own,) = ending_with(model, token, eos=False).think(QUESTIONS[0], budget=8)
    assert (own.token_ids, own.finish_reason, own.forced) == (before, "emb_token", False)


def test_the_models_own_end_of_text_ends_a_thought(model: T1) -> None:
    assert model.engine.eos_ids == {model.tokenizer.eos_token_id}


def test_thoughts_do_not_depend_on_companions_order_or_the_global_seed(model: T1) -> None:
    for sampling in (None, SAMPLED):
        together = model.think([*QUESTIONS, *TEXTS], sampling=sampling)
        torch.manual_seed(99)
        backwards = model.think([*reversed(TEXTS), *reversed(QUESTIONS)], sampling=sampling)
        assert backwards == together[::-1]
        assert [model.think(q, sampling=sampling)[0] for q in QUESTIONS] == together[:3]
    assert model.think(QUESTIONS, sampling=SAMPLED) != model.think(
        QUESTIONS, sampling=replace(SAMPLED, seed=4)
    )


# -- several thoughts ----------------------------------------------------------------------------


def test_several_thoughts_follow_each_other_and_their_vectors_are_averaged(model: T1) -> None:
    thoughts = model.think(QUESTIONS, samples=3, sampling=SAMPLED, batch_size=4)
    assert len(thoughts) == 9
    assert thoughts[::3] == model.think(QUESTIONS, sampling=SAMPLED)
    assert thoughts == model.think(QUESTIONS, samples=3, sampling=SAMPLED)
    assert len({thought.token_ids for thought in thoughts}) > 3
    vectors_QKD = np.stack([thought.vector for thought in thoughts]).reshape(3, 3, D)
    sums_QD = vectors_QKD.sum(axis=1)
    expected = sums_QD / np.linalg.norm(sums_QD, axis=1, keepdims=True)
    close(model.encode_query(QUESTIONS, samples=3, sampling=SAMPLED), expected)
    close(model.encode_query(QUESTIONS[1], samples=3, sampling=SAMPLED), expected[1])


def test_one_thought_is_what_it_was(model: T1) -> None:
    np.testing.assert_array_equal(
        model.encode_query(QUESTIONS, samples=1), [t.vector for t in model.think(QUESTIONS)]
    )


def test_several_thoughts_of_a_greedy_model_are_sampled(model: T1) -> None:
    assert model.sampled == Sampling(0.7, 0.95)
    assert model.think(QUESTIONS, samples=2) == model.think(
        QUESTIONS, samples=2, sampling=Sampling(0.7, 0.95)
    )
    assert ThoughtSettings(6, 0.0, 0.8, 3).several == Sampling(0.7, 0.8, no_repeat_ngram=3)
    assert ThoughtSettings(6, 1.2).several == Sampling(1.2)


def test_several_thoughts_that_cannot_be(model: T1) -> None:
    with pytest.raises(Thought1Error, match="2 thoughts on a query need a temperature above 0"):
        model.think(QUESTIONS, samples=2, sampling=Sampling())
    with pytest.raises(Thought1Error, match="need a thinking budget of 1 token or more"):
        model.encode_query(QUESTIONS, samples=2, budget=0)
    with pytest.raises(Thought1Error, match="has no language head and cannot think"):
        T1(replace(model.checkpoint, random_head=frozenset({"head"}))).think(
            QUESTIONS, samples=2, budget=0
        )
    with pytest.raises(ValueError, match="1 or more, not 0"):
        model.think(QUESTIONS, samples=0)
    with pytest.raises(ValueError, match="samples cannot be combined with given thoughts"):
        model.encode_query(QUESTIONS, thoughts=QUESTIONS, samples=2)


# -- evidence ------------------------------------------------------------------------------------


def test_evidence_is_fitted_to_the_longest_query(
    model: T1, caplog: pytest.LogCaptureFixture
) -> None:
    longest = max(model.count_prompt_tokens([question]) for question in QUESTIONS)
    short = T1(with_settings(model, max_query_tokens=longest + 40))
    texts = [TEXTS[:1], TEXTS * 5, []]
    with caplog.at_level(logging.WARNING, "thought1"):
        shown = short.fit_evidence(QUESTIONS, texts)
    assert shown[0] == TEXTS[:1] and shown[2] == []
    assert 0 < len(shown[1]) < 20
    assert "1 of 3 lists of evidence were cut to the model's maximum length" in caplog.text
    tokens = short.count_prompt_tokens(QUESTIONS, evidence=shown)
    assert tokens > short.count_prompt_tokens(QUESTIONS)
    assert short.think(QUESTIONS, evidence=shown) != short.think(QUESTIONS)
    assert short.queries_read.cut == 0


def test_evidence_that_nobody_would_read_is_refused(model: T1) -> None:
    model.check_evidence()
    with pytest.raises(Thought1Error, match="evidence is read before thinking"):
        model.check_evidence(0)
    bare = T1(with_settings(model, query=Template("{instruction}\n{text}\n")))
    with pytest.raises(Thought1Error, match=r"has no slot \{evidence\}; search without evidence"):
        bare.check_evidence(4)
    headless = T1(replace(model.checkpoint, random_head=frozenset({"head"})))
    with pytest.raises(Thought1Error, match="has no language head and cannot think"):
        headless.check_evidence(0)


# -- edited thoughts -----------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", [None, SAMPLED], ids=["greedy", "sampled"])
def test_a_given_thought_gives_the_generated_vector(model: T1, sampling: Sampling | None) -> None:
    thoughts = model.think(QUESTIONS, sampling=sampling)
    vectors = model.encode_query(QUESTIONS, thoughts=thoughts)
    close(vectors, [thought.vector for thought in thoughts])
    empty = model.think(QUESTIONS, budget=0)
    close(model.encode_query(QUESTIONS, thoughts=empty), [thought.vector for thought in empty])


def test_texts_are_read_as_thoughts(model: T1) -> None:
    texts = ["ice is frozen water", "", *["warm"] * (len(QUESTIONS) - 2)]
    read = model.read_thoughts(QUESTIONS, texts)
    close(model.encode_query(QUESTIONS, thoughts=texts), [thought.vector for thought in read])
    assert [thought.text for thought in read] == texts
    assert {thought.finish_reason for thought in read} == {"edited"}
    close(model.think(QUESTIONS[1:2], budget=0)[0].vector, read[1].vector)
    with pytest.raises(ValueError, match="1 queries but 2 thoughts"):
        model.read_thoughts(QUESTIONS[:1], ["a", "b"])


def test_an_edited_thought_is_tokenised_once_and_trusted_with_no_special_token(
    model: T1, sequences: list[list[int]]
) -> None:
    text = "Ice cracks. <emb_token>"
    vector = model.encode_query(QUESTIONS[0], thoughts=[text])
    (ids,) = model.renderer.text([text])
    same = Thought(text, tuple(ids), "edited")
    close(vector, model.encode_query(QUESTIONS[0], thoughts=[same]))
    assert sequences[0] == sequences[1]
    assert sequences[0].count(model.checkpoint.emb_id) == 1
    mixed = model.encode_query(QUESTIONS, thoughts=[text, same, ""])
    close(mixed[0], vector)
    close(mixed[2], model.encode_query(QUESTIONS[2], budget=0))


@pytest.mark.parametrize("thoughts", [[], ["a"], ["a", "b", "c", "d"]])
def test_a_wrong_number_of_thoughts(model: T1, thoughts: list[str]) -> None:
    with pytest.raises(ValueError, match=f"3 queries but {len(thoughts)} thoughts"):
        model.encode_query(QUESTIONS, thoughts=thoughts)


class Encyclopedia:
    """A writer that is no T1: it looks its thoughts up, as text."""

    def think(self, queries: Sequence[str], *, budget: int | None = None) -> list[str]:
        return [" ".join(f"{query} is known".split()[:budget]) for query in queries]


def test_thoughts_of_another_writer_are_read(model: T1) -> None:
    writers: list[ThoughtWriter] = [Encyclopedia(), T1(model.checkpoint)]
    for writer in writers:
        thoughts = writer.think(QUESTIONS, budget=5)
        read = model.encode_query(QUESTIONS, thoughts=thoughts)
        assert np.abs(read - model.encode_query(QUESTIONS, budget=0)).max() > 1e-3
        if isinstance(writer, T1):
            close(read, [thought.vector for thought in thoughts])


def test_an_engine_can_be_exchanged(model: T1) -> None:
    """T1 asks the engine it is given, and no other, for vectors and thoughts."""

    class Recording(HFEngine):
        calls: list[str]

        def embed(self, *arguments: Any) -> Vectors:
            self.calls.append("embed")
            return super().embed(*arguments)

        def stream(self, *arguments: Any, **more: Any) -> Iterator[Step]:
            self.calls.append("stream")
            return super().stream(*arguments, **more)

    own = model.checkpoint
    engine = Recording(own.model, own.emb_id, own.eos_ids)
    engine.calls = []
    other = T1(own, engine)
    close(other.encode_document(TEXTS), model.encode_document(TEXTS))
    assert other.think(QUESTIONS, budget=3) == model.think(QUESTIONS, budget=3)
    assert engine.calls == ["embed", "stream"]


# -- padding and architectures -------------------------------------------------------------------


@pytest.mark.numerics
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_on_both_padding_sides(
    architecture: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = make_checkpoint(tmp_path_factory.mktemp("sides") / architecture, architecture)
    checkpoint = load_checkpoint(folder, device="cpu")
    left_engine = HFEngine(checkpoint.model, checkpoint.emb_id, checkpoint.eos_ids, "left")
    right, left = T1(checkpoint), T1(checkpoint, left_engine)
    close(right.encode_document(TEXTS), left.encode_document(TEXTS))
    thoughts = right.think(QUESTIONS, budget=4, sampling=SAMPLED)
    assert thoughts == left.think(QUESTIONS, budget=4, sampling=SAMPLED)
    close(left.encode_query(QUESTIONS, thoughts=thoughts), [t.vector for t in thoughts])
    alone = [right.encode_document(text) for text in TEXTS]
    close(right.encode_document(TEXTS), alone)


# -- streams -------------------------------------------------------------------------------------


def test_a_stream_is_encoded_in_order_window_by_window(
    model: T1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "windows", partial(windows, size=4))
    taken: list[str] = []

    def stream() -> Iterator[Document]:
        for number in range(10):
            document = Document(str(number), TEXTS[number % 4], title="Ice" if number % 2 else "")
            taken.append(document.id)
            yield document

    done: list[int] = []
    encoded = model.encode_document_stream(stream(), on_progress=done.append)
    assert taken == []
    found: list[Document] = []
    for window, vectors in encoded:
        assert len(window) == len(vectors) <= 4
        found += window
        assert taken == [document.id for document in found]
        expected = [f"{d.title}\n{d.text}" if d.title else d.text for d in window]
        close(vectors, model.encode_document(expected))
    assert [document.id for document in found] == [str(number) for number in range(10)]
    assert sum(done) == 10
    assert list(model.encode_document_stream([])) == []
