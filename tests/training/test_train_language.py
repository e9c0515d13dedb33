"""Stage 1 with its next-token loss: what it learns, from which sources, resumed and in parallel."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from small_recipe import (
    CONTRAST,
    DRIVER,
    FACTS,
    HEAD,
    SUBJECTS,
    TEXTS,
    FakeTeacher,
    driven,
    logged,
    losses,
    recipe,
    weights,
    write_recipe,
)
from tiny import make_checkpoint

from thought1.t1 import T1
from thought1.training import teacher
from thought1.training.data import tokens
from thought1.training.recipe import load_recipe
from thought1.training.run import train
from thought1.types import Thought1Error

LANGUAGE = """
[[stages]]
name = "language"
max_steps = 6
accumulation = 2
tokens_per_batch = 256
learning_rate = 1e-3
weight_contrastive = 0.0
weight_lm = 0.5
bf16 = false
save_minutes = 60
log_steps = 1
"""
STREAM = TEXTS + "stream = true\n"
RATIONALES = """
[[stages.sources]]
path = "rationales.tsv"
kind = "rationales"
query = 1
document = 2
"""
JOINT = CONTRAST.replace("contrast", "joint") + "weight_lm = 1.0\ntokens_per_batch = 256\n"


@pytest.fixture(scope="module")
def room(room: Path) -> Path:
    rows = [
        f"{i}\tWhy does {subject} change so much?\tThink of {subject}, heat and cold {i}."
        for i, subject in enumerate(SUBJECTS)
    ]
    (room / "data" / "rationales.tsv").write_text("".join(f"{row}\n" for row in rows))
    return room


@pytest.fixture(scope="module")
def usual(room: Path) -> Path:
    """Facts as single texts, texts, and rationales, trained once."""
    return train(recipe(room, room / "usual", text=HEAD + LANGUAGE + FACTS + TEXTS + RATIONALES))


def language_losses(folder: Path) -> list[float]:
    return [entry["loss_language"] for entry in logged(folder) if "loss_language" in entry]


# -- what it learns --------------------------------------------------------------------------


@pytest.mark.numerics
def test_the_language_loss_is_the_loss_of_the_stage(usual: Path) -> None:
    found = language_losses(usual.parent)
    assert len(found) == 6
    np.testing.assert_allclose(found, losses(usual.parent), rtol=1e-4)
    # The tiny model begins no better than chance, and this term has a weight of a half.
    assert found[0] > 0.5 * np.log(100)


SOURCES = {"facts": FACTS, "texts": TEXTS, "stream": STREAM, "rationales": RATIONALES}


@pytest.mark.numerics
@pytest.mark.parametrize("source", SOURCES)
def test_the_language_loss_falls(room: Path, tmp_path: Path, source: str) -> None:
    settings = (
        "stages.0.max_steps=25",
        "stages.0.accumulation=1",
        "stages.0.learning_rate=3e-3",
        "stages.0.bf16=true",
    )
    text = HEAD + LANGUAGE + SOURCES[source]
    found = language_losses(train(recipe(room, tmp_path / "run", *settings, text=text)).parent)
    assert len(found) == 25
    # 0.33 to 0.55 in fifteen runs: five seeds under three instruction sets.
    assert np.mean(found[-5:]) < 0.75 * np.mean(found[:5])


@pytest.mark.numerics
def test_the_model_has_learned_to_write(room: Path, tmp_path: Path) -> None:
    """A whole way round: behind a question the trained model writes the rationale, and ends."""
    settings = (
        "stages.0.max_steps=100",
        "stages.0.accumulation=1",
        "stages.0.learning_rate=5e-3",
        "model.thought_budget=64",
    )
    trained = train(recipe(room, tmp_path / "run", *settings, text=HEAD + LANGUAGE + RATIONALES))
    model = T1.from_pretrained(trained, dtype="float32", device="cpu")
    questions = [f"Why does {subject} change so much?" for subject in SUBJECTS]
    thoughts = model.think(questions)
    for i, (thought, subject) in enumerate(zip(thoughts, SUBJECTS, strict=True)):
        assert thought.text.strip() == f"Think of {subject}, heat and cold {i}."
        assert not thought.forced


@pytest.mark.numerics
def test_a_joint_stage_learns_both(room: Path, tmp_path: Path) -> None:
    """Contrast over pairs, and language over texts of which some are streamed, in one stage."""
    (room / "data" / "more.jsonl").write_text('{"text": "a streamed text about ice"}\n' * 9)
    sources = FACTS + TEXTS + STREAM.replace("texts.jsonl", "more.jsonl") + RATIONALES
    settings = (
        "stages.0.max_steps=20",
        "stages.0.log_steps=5",
        "stages.0.learning_rate=3e-3",
    )
    trained = train(recipe(room, tmp_path / "run", *settings, text=HEAD + JOINT + sources))
    entries = [entry for entry in logged(trained.parent) if "loss" in entry]
    assert len(entries) == 4
    # Language: 0.70 to 0.77 in fifteen runs (five seeds under three instruction sets), 0.98 to 1.00
    # where nothing is learnt. Contrast: 0.71 at this seed (0.39 to 0.79 at five), else 1.94; at
    # another seed 0.77 with nothing learnt, so that the seed belongs to the bound.
    for name in ("loss_contrastive", "loss_language"):
        assert entries[-1][name] < 0.9 * entries[0][name]
    files = json.loads((trained / "t1.json").read_text())["lineage"][0]["files"]
    assert {"texts.jsonl", "more.jsonl", "rationales.tsv", "facts/corpus.jsonl"} <= set(files)


@pytest.mark.numerics
def test_distillation_and_language_together(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed texts have their own teacher vectors: both terms are learned. Streams have none."""
    monkeypatch.setattr(teacher, "_encode", FakeTeacher())
    (room / "data" / "more.jsonl").write_text('{"text": "a streamed text about ice"}\n' * 9)
    settings = (
        "teacher=any",
        "stages.0.weight_distill=1",
        "stages.0.weight_distill_similarity=0.3",
        "stages.0.max_steps=24",
        "stages.0.log_steps=6",
        "stages.0.learning_rate=3e-3",
    )
    text = HEAD + LANGUAGE + FACTS + TEXTS + STREAM.replace("texts.jsonl", "more.jsonl")
    trained = train(recipe(room, tmp_path / "run", *settings, text=text))
    entries = [entry for entry in logged(trained.parent) if "loss" in entry]
    # At most 0.69, 0.65, 0.41 and 0.21 in fifteen runs: five seeds under three instruction sets.
    for name in ("language", "distill_document", "distill_query", "similarity_document"):
        assert entries[-1][f"loss_{name}"] < 0.9 * entries[0][f"loss_{name}"], name


def test_every_setting_of_the_language_loss_counts(room: Path, usual: Path, tmp_path: Path) -> None:
    text = HEAD + LANGUAGE + FACTS + TEXTS + RATIONALES
    first = weights(usual)
    for setting in ("weight_lm=1.0", "tokens_per_batch=128", "max_thought_tokens=3"):
        changed = train(recipe(room, tmp_path / setting, f"stages.0.{setting}", text=text))
        assert any(not torch.equal(value, first[name]) for name, value in weights(changed).items())


@pytest.mark.parametrize(
    ("text", "moves"),
    [(CONTRAST + FACTS, False), (LANGUAGE + TEXTS, True)],
    ids=["contrast", "language"],
)
def test_the_language_head_moves_with_its_loss_only(
    room: Path, tmp_path: Path, text: str, moves: bool
) -> None:
    """In a model whose head is not tied to its embedding."""
    base = make_checkpoint(room / "llama", "llama")
    before = weights(base)["lm_head.weight"]
    path = write_recipe(room, tmp_path / "run", HEAD + text, base="llama")
    after = weights(train(load_recipe(path)))["lm_head.weight"]
    assert torch.equal(after[: len(before)], before) != moves


# -- streams ---------------------------------------------------------------------------------


def test_a_stream_is_tokenised_once_for_all_stages(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "WINDOW", 5)
    text = HEAD + LANGUAGE + STREAM + LANGUAGE.replace("language", "again") + STREAM
    train(recipe(room, tmp_path / "run", "stages.0.max_steps=1", "stages.1.max_steps=1", text=text))
    found = sorted(path.name for path in (tmp_path / "run").glob("tokens-*"))
    assert [name.rpartition(".")[2] for name in found] == ["ends", "ids"]


def test_a_stream_trains_as_its_texts_in_memory_do(room: Path, tmp_path: Path) -> None:
    held, streamed = (
        weights(train(recipe(room, tmp_path / name, text=HEAD + LANGUAGE + source)))
        for name, source in (("memory", TEXTS), ("disk", STREAM))
    )
    assert streamed.keys() == held.keys()
    assert all(torch.equal(value, held[name]) for name, value in streamed.items())


# -- interruptions and several processes -----------------------------------------------------


@pytest.mark.slow  # the same with other stages: test_train_resume.py
def test_a_killed_training_ends_as_if_nothing_had_happened(
    room: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """kill -9 while a checkpoint is written: language head and packed rows agree bit for bit."""
    text = HEAD + JOINT + FACTS + TEXTS + STREAM + RATIONALES
    whole = train(recipe(room, tmp_path / "whole", text=text))
    path = write_recipe(room, tmp_path / "killed", text)
    every_step = "stages.0.save_minutes=0"
    done = driven(["-c", DRIVER, str(path), every_step], DIE_AT="3")
    assert done.returncode == -signal.SIGKILL, done.stderr
    stage = tmp_path / "killed" / "1-joint"
    assert (stage / "checkpoint-2" / "trainer_state.json").is_file()
    assert not (stage / "model").exists()
    found = weights(train(load_recipe(path, [every_step])))
    assert "missing keys" not in caplog.text  # the checkpoint leaves out the tied head only
    expected = weights(whole)
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    # Step 3 was trained and logged before the kill, and again after it.
    assert losses(stage) == [losses(whole.parent)[i] for i in (0, 1, 2, 2, 3)]


@pytest.mark.slow  # the same with other stages: test_train_resume.py
def test_two_processes_average_their_gradients(room: Path, tmp_path: Path) -> None:
    """torchrun on CPU: a plain stage, then one with GradCache; it equals accumulation.

    At times one process has pairs and the other texts: they pass through the model unequally often.
    """
    sources = FACTS + TEXTS + STREAM + RATIONALES
    text = HEAD + JOINT + sources + JOINT + "grad_cache_chunk = 2\n" + sources
    path = write_recipe(room, tmp_path / "two", text)
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    alone = [f"stages.{number}.accumulation=1" for number in (0, 1)]
    done = driven([*launch, str(script), str(path), *alone])
    assert done.returncode == 0, done.stderr[-3000:]
    together = train(recipe(room, tmp_path / "together", text=text)).parents[1]
    for name in ("1-joint", "2-joint"):
        folder = tmp_path / "two" / name
        ranks = [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]
        assert all(torch.equal(value, ranks[1][key]) for key, value in ranks[0].items())
        expected = weights(together / name / "model")
        for key, value in weights(folder / "model").items():
            torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-5)


# -- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "overrides", "problem"),
    [
        (CONTRAST + FACTS + STREAM, [], "stream needs weight_lm or weight_sft above 0"),
        (
            LANGUAGE + STREAM,
            ["weight_lm=0", "weight_distill=1"],
            "stream needs weight_lm or weight_sft above 0",
        ),
        (LANGUAGE + TEXTS, ["weight_lm=0"], "all weights are 0"),
        (CONTRAST + FACTS + TEXTS, [], "sources of kind texts need weight_lm, weight_distill"),
        (CONTRAST + FACTS + RATIONALES, [], "sources of kind rationales need weight_lm above 0"),
        (CONTRAST + FACTS, ["weight_lm=1"], "weight_lm reads single texts: it needs a source"),
        (LANGUAGE + TEXTS, ["weight_contrastive=1"], "need pairs, and its sources hold none"),
    ],
)
def test_a_stage_of_which_a_part_would_have_no_effect(
    room: Path, tmp_path: Path, text: str, overrides: list[str], problem: str
) -> None:
    settings = ("teacher=any", *(f"stages.0.{override}" for override in overrides))
    with pytest.raises(Thought1Error, match=r"stage (contrast|language): ") as caught:
        train(load_recipe(write_recipe(room, tmp_path / "run", HEAD + text, "absent"), settings))
    assert problem in str(caught.value)
