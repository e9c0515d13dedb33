"""Validation of a model that thinks: its scores, and a warning where thoughts change nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from reason_recipe import VALIDATED
from small_recipe import recipe
from torch.nn.functional import cross_entropy

from thought1.metrics import evaluate_run
from thought1.t1 import T1
from thought1.training.model.base_model import start_checkpoint
from thought1.training.recipe import Recipe, StageConfig
from thought1.training.thinking_validation import thought_scores
from thought1.training.validation import Validation
from thought1.types import Vectors

LATE = ("validation.ids=some.txt",)


@pytest.fixture(scope="module")
def room(room: Path) -> Path:
    (room / "some.txt").write_text("".join(f"train:{i}\n" for i in range(6)))
    return room


def parts(room: Path, *overrides: str) -> tuple[Recipe, StageConfig, Validation, T1]:
    wanted = recipe(room, room / "run", *LATE, *overrides, text=VALIDATED)
    assert wanted.validation is not None
    validation = Validation.load(wanted.validation, Path(wanted.data), Path(wanted.folder))
    return wanted, wanted.stages[1], validation, T1(start_checkpoint(wanted.model, []))


def ndcg(validation: Validation, model: T1, vectors: Vectors) -> float:
    documents = np.asarray(model.encode_document(list(validation.documents.values())))
    run = {
        query_id: dict(zip(validation.documents, (documents @ vector).tolist(), strict=True))
        for query_id, vector in zip(validation.queries, vectors, strict=True)
    }
    found = evaluate_run(run, validation.qrels, ["ndcg@10"])["ndcg@10"]
    return float(np.mean(list(found.values())))


def test_scores_are_those_of_the_model(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted, stage, validation, model = parts(room)
    model.checkpoint.model.train()  # where a trainer leaves it
    scores = thought_scores(wanted, stage, validation)(model)
    printed = capsys.readouterr().out
    texts = list(validation.queries.values())
    most = stage.max_thought_tokens
    own = model.think(texts, budget=most)
    bare = np.asarray(model.encode_query(texts, budget=0))
    named = {q: i for i, q in enumerate(f"train:{i}" for i in range(12))}
    given = [
        f"{text.split()[2]} and heat; number {named[q]} and cold"
        for q, text in validation.queries.items()
    ]
    behind = np.asarray(model.encode_query(texts, thoughts=given))
    thinking = np.stack([thought.vector for thought in own if thought.vector is not None])
    assert scores["ndcg@10"] == pytest.approx(ndcg(validation, model, bare))
    assert scores["thinking_ndcg@10"] == pytest.approx(ndcg(validation, model, thinking))
    assert scores["reference_ndcg@10"] == pytest.approx(ndcg(validation, model, behind))
    assert scores["gap"] == pytest.approx(scores["reference_ndcg@10"] - scores["thinking_ndcg@10"])
    assert scores["thought_tokens"] == pytest.approx(np.mean([len(t.token_ids) for t in own]))
    assert scores["forced"] == pytest.approx(np.mean([t.forced for t in own]))
    assert scores["thought_loss"] == pytest.approx(plain_loss(model, texts, given, most), rel=1e-4)
    assert {"recall@100", "swapped_ndcg@10", "swapped_cosine"} <= scores.keys()
    assert len(scores) == 10
    for row in ("own", "empty", "random", "swapped", "repeated", "reference"):
        assert any(line.startswith(row) for line in printed.splitlines())


def plain_loss(model: T1, texts: list[str], thoughts: list[str], most: int) -> float:
    """Over thoughts of at most `most` tokens, and over the ends of those that are not cut."""
    losses = []
    for text, thought in zip(texts, thoughts, strict=True):
        prompt = model.renderer.render(model.settings.query, [text], 64)
        row = model.renderer.text([thought])[0]
        ids = [*prompt.prefix, *prompt.rows[0], *row[:most]]
        start = len(ids) - len(row[:most])
        ids += [model.checkpoint.emb_id] if len(row) <= most else []
        with torch.inference_mode():
            logits = model.checkpoint.model(input_ids=torch.tensor([ids])).logits[0]
        losses.append(
            cross_entropy(logits[start - 1 : -1], torch.tensor(ids[start:]), reduction="none")
        )
    return float(torch.cat(losses).mean())


def test_a_model_that_ignores_its_thoughts_is_told_loudly(
    room: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without attention every vector is that of `<emb_token>` alone."""
    wanted, stage, validation, model = parts(room)
    with torch.no_grad():
        for name, parameter in model.checkpoint.model.named_parameters():
            if name.endswith("o_proj.weight"):
                parameter.zero_()
    scores = thought_scores(wanted, stage, validation)(model)
    assert scores["swapped_cosine"] == pytest.approx(1, abs=1e-5)
    assert scores["thinking_ndcg@10"] == pytest.approx(scores["swapped_ndcg@10"])
    printed = capsys.readouterr().out
    assert "WARNING: " in printed
    assert "the vectors hardly depend on the thoughts" in printed


def test_references_are_cut_to_key_terms_where_the_stage_teaches_those(room: Path) -> None:
    wanted, stage, validation, model = parts(room)
    (source,) = stage.sources
    terms = replace(stage, sources=(replace(source, thought_terms=1),))
    scores = thought_scores(wanted, terms, validation)(model)
    # Of "ice and heat; number 0 and cold" the query lacks "heat" and "cold".
    behind = model.encode_query(list(validation.queries.values()), thoughts=["heat"] * 6)
    expected = ndcg(validation, model, np.asarray(behind))
    assert scores["reference_ndcg@10"] == pytest.approx(expected)


@pytest.mark.parametrize("case", ["no thoughts", "not all", "another folder"])
def test_without_a_reference_for_each_question_there_is_no_gap(room: Path, case: str) -> None:
    wanted, stage, validation, model = parts(room)
    (source,) = stage.sources
    if case == "no thoughts":
        stage = replace(stage, sources=(replace(source, thoughts=""),))
    elif case == "not all":
        lines = (room / "data" / "thoughts.jsonl").read_text().splitlines(keepends=True)
        (room / "data" / "fewer.jsonl").write_text("".join(lines[1:]))
        stage = replace(stage, sources=(replace(source, thoughts="fewer.jsonl"),))
    else:
        stage = replace(stage, sources=(replace(source, path="elsewhere"),))
    scores = thought_scores(wanted, stage, validation)(model)
    assert not {"gap", "thought_loss", "reference_ndcg@10"} & scores.keys()
    assert "thinking_ndcg@10" in scores


def test_a_reference_beyond_the_model_s_positions_does_not_end_the_training(room: Path) -> None:
    lines = "".join(
        f'{{"_id": "train:{i}", "text": "{"heat and cold " * 80}"}}\n' for i in range(6)
    )
    (room / "data" / "long.jsonl").write_text(lines)
    wanted, stage, validation, model = parts(room)
    source = replace(stage.sources[0], thoughts="long.jsonl", thought="{text}")
    scores = thought_scores(wanted, replace(stage, sources=(source,)), validation)(model)
    assert scores["reference_ndcg@10"] >= 0
