"""A recipe from start to release on tiny models: stages, logs, lineage, and what settings do."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_recipe import (
    CONTRAST,
    DISTIL,
    FACTS,
    HEAD,
    RECIPE,
    TEXTS,
    VALIDATION,
    FakeTeacher,
    logged,
    losses,
    recipe,
    weights,
    write_recipe,
)

from thought1.model.weights import hash_weights
from thought1.t1 import T1
from thought1.training import prepare, run, stage_runs, teacher
from thought1.training.data.batches import BatchPlan, known_answers, plan_stage
from thought1.training.preflight import read_stage
from thought1.training.recipe import Recipe, load_recipe
from thought1.training.run import train
from thought1.training.teacher import mine_negatives
from thought1.training.trainer import StageTrainer
from thought1.types import Thought1Error

# -- from start to release -------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(room: Path) -> Iterator[tuple[Recipe, Path, FakeTeacher]]:
    """Two stages with validation and release; the first distils, as recipes/nano-cpu.toml does."""
    text = HEAD + VALIDATION + DISTIL + FACTS + TEXTS + CONTRAST + FACTS
    settings = ("teacher=any", f"release={(room / 'released').as_posix()}", "model.vocab_size=160")
    path = write_recipe(room, room / "whole", text, base="bert")
    found = load_recipe(path, settings)
    fake = FakeTeacher()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teacher, "_encode", fake)
        yield found, train(found), fake


def test_the_lineage_knows_the_weights_of_a_local_teacher(
    finished: tuple[Recipe, Path, FakeTeacher],
) -> None:
    found, released, _ = finished
    taught, untaught = found.stages
    local = replace(found, teacher=str(released))
    entry = run._teacher_lineage(local, taught)
    assert entry == {"teacher": str(released), "teacher_weights": hash_weights(released)}
    assert run._teacher_lineage(local, untaught) == {"teacher": ""}


def test_a_teacher_is_all_its_modules(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another projection, pooling or prompt behind the same transformer is another teacher."""
    fake = FakeTeacher()
    monkeypatch.setattr(teacher, "_encode", fake)
    model = tmp_path / "teacher"
    shutil.copytree(room / "bert", model)
    plain = teacher.teacher_weights(model)
    for folder in ("1_Pooling", "2_Dense"):
        (model / folder).mkdir()
    listed = [{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"}]
    (model / "modules.json").write_text(json.dumps(listed))
    assert teacher.teacher_weights(model) == plain == hash_weights(model)
    hashes = set()
    for value in (1.0, 2.0):
        save_file({"linear.weight": torch.tensor([value])}, model / "2_Dense" / "model.safetensors")
        hashes.add(teacher.teacher_weights(model))
        teacher.teach(model, ["ice"], tmp_path)
    assert len({plain, *hashes}) == 3
    for name in ("1_Pooling/config.json", "config_sentence_transformers.json"):
        (model / name).write_text('{"changed": true}')
        teacher.teach(model, ["ice"], tmp_path)
        teacher.teach(model, ["ice"], tmp_path)
    assert fake.asked == [1, 1, 1, 1]
    assert hash_weights(model) == plain


def test_the_release_is_a_model(finished: tuple[Recipe, Path, FakeTeacher]) -> None:
    found, released, _ = finished
    assert released == Path(found.release)
    kinds = {value.dtype for value in weights(released).values() if value.is_floating_point()}
    assert kinds == {torch.float16}
    model = T1.from_pretrained(released, dtype="float32", device="cpu")
    assert len(model.tokenizer) == 160
    assert model.settings.max_query_tokens == 64
    assert model.settings.thought.max_new_tokens == 4
    trained = T1.from_pretrained(Path(found.output) / "2-contrast" / "model", device="cpu")
    np.testing.assert_allclose(
        model.encode_document(["ice"]), trained.encode_document(["ice"]), atol=1e-2
    )


def test_the_lineage_tells_stages_and_files(finished: tuple[Recipe, Path, FakeTeacher]) -> None:
    _, released, _ = finished
    content = json.loads((released / "t1.json").read_text())
    distil, contrast = content["lineage"]
    assert (distil["name"], contrast["name"]) == ("distil", "contrast")
    assert (distil["teacher"], contrast["teacher"]) == ("any", "")
    assert distil["recipe"] == "tiny" and distil["seed"] == 3 and distil["stage"] == "represent"
    assert contrast["steps"] == 4 and distil["steps"] > 4
    assert set(distil["files"]) == set(contrast["files"]) | {"texts.jsonl"}
    assert all(len(digest) == 64 for digest in distil["files"].values())
    assert set(contrast["validation"]) == {"ndcg@10", "recall@100"}
    assert content["backbone"].endswith("bert")


def test_what_a_stage_logs(finished: tuple[Recipe, Path, FakeTeacher]) -> None:
    found, _, _ = finished
    distil, contrast = Path(found.output) / "1-distil", Path(found.output) / "2-contrast"
    assert [entry["step"] for entry in logged(contrast) if "loss" in entry] == [1, 2, 3, 4]
    scores = [entry for entry in logged(contrast) if "validation_ndcg@10" in entry]
    assert [entry["step"] for entry in scores] == [4]
    assert 0 <= scores[0]["validation_ndcg@10"] <= 1
    steps = [entry["step"] for entry in logged(distil) if "validation_ndcg@10" in entry]
    last = json.loads((distil / "model" / "t1.json").read_text())["lineage"][0]["steps"]
    assert steps == sorted({*range(2, last + 1, 2), last})
    assert list(contrast.rglob("events.out.tfevents*"))


def test_the_teacher_is_asked_once(finished: tuple[Recipe, Path, FakeTeacher]) -> None:
    """The second stage distils nothing: its texts are not encoded."""
    found, _, fake = finished
    assert len(fake.asked) == 1
    assert len(list(Path(found.output).glob("teacher-*.npy"))) == 1


def test_a_second_call_trains_nothing(finished: tuple[Recipe, Path, FakeTeacher]) -> None:
    found, released, _ = finished
    output = Path(found.output)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    content = weights(released)
    assert train(found) == released
    assert {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()} == before
    assert all(torch.equal(value, content[name]) for name, value in weights(released).items())


def test_another_recipe_is_refused(finished: tuple[Recipe, Path, FakeTeacher]) -> None:
    found, _, _ = finished
    with pytest.raises(Thought1Error, match=r"another recipe \(it differs in seed, teacher\)"):
        train(replace(found, seed=4, teacher="other"))


def test_the_release_may_move(finished: tuple[Recipe, Path, FakeTeacher], tmp_path: Path) -> None:
    found, _, _ = finished
    moved = replace(found, release=str(tmp_path / "b"), release_dtype="bfloat16", folder="x")
    assert train(moved) == tmp_path / "b"
    kinds = {t.dtype for t in weights(tmp_path / "b").values() if t.is_floating_point()}
    assert kinds == {torch.bfloat16}
    assert train(replace(found, release="")) == Path(found.output) / "2-contrast" / "model"


# -- settings --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def usual(room: Path) -> Path:
    """The plain contrastive stage, trained once."""
    return train(recipe(room, room / "usual")).parent


def test_training_twice_gives_the_same_bits(room: Path, usual: Path, tmp_path: Path) -> None:
    again = train(recipe(room, tmp_path / "again"))
    first = weights(usual / "model")
    assert all(torch.equal(value, first[name]) for name, value in weights(again).items())


@pytest.mark.numerics
def test_the_loss_falls(room: Path, tmp_path: Path) -> None:
    overrides = ("stages.0.max_steps=25", "stages.0.accumulation=1", "stages.0.bf16=true")
    found = losses(train(recipe(room, tmp_path / "falls", *overrides)).parent)
    assert len(found) == 25
    # 0.13 to 0.19 under three instruction sets, 1.46 where nothing is learnt. Batches are hard and
    # easy by chance: other seeds reach 0.18 to 0.79, so the seed is part of this test.
    assert np.mean(found[-5:]) < 0.6 * np.mean(found[:5])


@pytest.mark.parametrize(
    "override",
    [
        "seed=4",
        "model.query_instruction=say",
        "model.max_document_tokens=16",
        "stages.0.max_steps=3",
        "stages.0.queries_per_batch=2",
        "stages.0.positives_per_query=2",
        "stages.0.accumulation=1",
        "stages.0.learning_rate=2e-3",
        "stages.0.warmup_ratio=0.5",
        "stages.0.weight_decay=0.5",
        "stages.0.max_grad_norm=0.01",
        "stages.0.bf16=true",
        "stages.0.temperature=0.2",
    ],
)
def test_every_setting_of_the_optimization_counts(
    room: Path, usual: Path, tmp_path: Path, override: str
) -> None:
    changed = weights(train(recipe(room, tmp_path / "changed", override)))
    first = weights(usual / "model")
    assert any(not torch.equal(value, first[name]) for name, value in changed.items())
    assert all(value.isfinite().all() for value in changed.values())


def test_chunks_change_nothing_but_rounding(room: Path, usual: Path, tmp_path: Path) -> None:
    chunked = train(recipe(room, tmp_path / "chunked", "stages.0.grad_cache_chunk=2"))
    np.testing.assert_allclose(losses(chunked.parent), losses(usual), rtol=1e-3)


def test_epochs_without_max_steps(room: Path, tmp_path: Path) -> None:
    overrides = ("stages.0.max_steps=-1", "stages.0.epochs=2", "stages.0.log_steps=2")
    folder = train(recipe(room, tmp_path / "epochs", *overrides)).parent
    # 10 questions are 3 batches of 3 in each epoch: 6 batches, two in a step.
    assert [entry["step"] for entry in logged(folder) if "loss" in entry] == [2]
    assert json.loads((folder / "model" / "t1.json").read_text())["lineage"][0]["steps"] == 3


def test_hard_negatives_come_from_the_teacher(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "_encode", FakeTeacher())
    plans: list[BatchPlan] = []

    def planned(*arguments: Any) -> BatchPlan:
        plans.append(plan_stage(*arguments))
        return plans[-1]

    monkeypatch.setattr(prepare, "plan_stage", planned)
    overrides = ("stages.0.negatives_per_query=2", "stages.0.negative_depth=3", "teacher=any")
    found = recipe(room, tmp_path / "hard", *overrides)
    train(found)
    data = read_stage(found, found.stages[0])
    texts = [*data.pool, *(pair.query for pair in data.pairs)]
    vectors = dict(zip(texts, FakeTeacher()(Path(), texts).astype(np.float16), strict=True))
    queries = {pair.query: pair.query for pair in data.pairs}
    mined = mine_negatives(queries, known_answers(data.pairs), data.pool, vectors, depth=3)
    assert {len(texts) for texts in mined.values()} == {3}
    for batch in plans[0].batches:
        answers = {place for places in batch.positives for place in places}
        hard = {text for place, text in enumerate(batch.documents) if place not in answers}
        assert hard
        assert hard <= {text for query in batch.queries for text in mined[query]}


def test_checkpoints_come_by_the_clock_and_two_are_kept(room: Path, tmp_path: Path) -> None:
    never = train(recipe(room, tmp_path / "never")).parent
    assert not list(never.glob("checkpoint-*"))
    always = train(recipe(room, tmp_path / "always", "stages.0.save_minutes=0")).parent
    assert sorted(path.name for path in always.glob("checkpoint-*")) == [
        "checkpoint-3",
        "checkpoint-4",
    ]


def test_no_stage_trains_with_dropout(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A BERT's configuration brings it back whenever it is loaded, so each stage is looked at."""
    seen: list[float] = []

    class Looking(StageTrainer):
        def train(self, *positional: Any, **named: Any) -> Any:
            assert self.model is not None
            modules = [m for m in self.model.modules() if isinstance(m, torch.nn.Dropout)]
            seen.append(max(module.p for module in modules))
            return super().train(*positional, **named)

    monkeypatch.setattr(stage_runs, "StageTrainer", Looking)
    text = RECIPE + CONTRAST + FACTS
    path = write_recipe(room, tmp_path / "quiet", text, base="bert")
    train(load_recipe(path))
    assert seen == [0.0, 0.0]
