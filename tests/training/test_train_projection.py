"""Trainings of a projection into a frozen companion's space: vectors, whole runs, refusals."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reason_recipe import (
    OWN,
    PAIRS,
    THINK,
    THOUGHTS,
    batch_of,
    collator,
    fit,
    reason,
    references,
    tiny_model,
)
from reinforce_recipe import POLICY, REINFORCE
from safetensors.numpy import load_file
from sentence_models import make_sentence_model
from small_recipe import (
    CONTRAST,
    DRIVER,
    FACTS,
    HEAD,
    VALIDATION,
    driven,
    equal,
    logged,
    recipe,
    weights,
    write_recipe,
)
from torch.nn.functional import normalize

from thought1.model.projection import FILE_NAME
from thought1.model.sentence_model import SentenceModel
from thought1.model.settings import Settings
from thought1.t1 import T1
from thought1.training.contrastive_terms import stage_terms
from thought1.training.cross_fit import sample_thoughts
from thought1.training.data.batches import Mode
from thought1.training.data.sources import TrainingData
from thought1.training.data.thoughts import SampledThoughts, ThoughtCollator
from thought1.training.given import with_given
from thought1.training.model.anchor import Anchor, ProjectedAnchor
from thought1.training.model.embedder import TrainedEmbedder
from thought1.training.recipe import Recipe
from thought1.training.reinforce.grpo import ReinforceTrainer
from thought1.training.reinforce.rewarder import Rewarder
from thought1.training.run import train
from thought1.types import Thought1Error

DIM, WEIGHT = 24, 0.7
MIXED: tuple[Mode, ...] = ("none", "reference", "reference", "own")
SHORT = THINK.replace("max_steps = 6", "max_steps = 4")
REWARD = REINFORCE.replace("max_steps = 6", "max_steps = 5")
BOTH = HEAD + SHORT + OWN + THOUGHTS + REWARD + FACTS + POLICY


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    return make_sentence_model(tmp_path_factory.mktemp("encoder"), dim=DIM)


def wanted(room: Path, output: Path, encoder: str, *more: str, text: str = BOTH) -> Recipe:
    named = (f'model.companion="{encoder}"', "model.companion_reader=projection")
    return recipe(room, output, *named, *more, text=text)


@pytest.fixture(scope="module")
def usual(room: Path, encoder: str) -> Path:
    """Stages 2 and 3 with a learnt weight, without a stop; the folder of the run."""
    return train(wanted(room, room / "usual", encoder, "model.anchor=learnt")).parents[1]


# -- vectors ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> T1:
    plain = tiny_model(tmp_path_factory.mktemp("qwen3"))
    found = plain.with_companion(encoder, anchor=WEIGHT, reader="projection")
    generator = np.random.default_rng(3)
    matrix = generator.standard_normal((DIM, plain.dim)).astype(np.float32) / 3
    return T1(replace(found.checkpoint, projection=matrix))


def projected(model: T1, *, learnt: bool = False) -> ProjectedAnchor:
    assert model.checkpoint.projection is not None
    return ProjectedAnchor(WEIGHT, model.checkpoint.projection, learnt=learnt)


def collated(model: T1, folder: Path, *, language: bool = True) -> ThoughtCollator:
    """Of batches with own thoughts, one of them empty, and the companion's vectors."""
    own = SampledThoughts(folder)
    thoughts = sample_thoughts(model, PAIRS, reason(sampled_temperature=1.0), seed=5)
    own.write(0, thoughts)
    own.write(1, {**thoughts, "d": replace(thoughts["d"], token_ids=())})
    collate = collator(model, own, language=language)
    data = TrainingData(list(PAIRS))
    collate.rows = with_given(collate.rows, reason(), model, data, folder)
    return collate


def fused(model: T1, inputs: dict[str, Any], anchor: ProjectedAnchor) -> torch.Tensor:
    names = ("ids", "segments", "labels")
    embedder = TrainedEmbedder(model.checkpoint.model, language=True, anchor=anchor)
    rows, _ = embedder(*(inputs.get(f"query_{name}") for name in names))
    return anchor.queries(rows, inputs)


@pytest.mark.parametrize("language", [True, False])
def test_training_reads_what_the_model_gives(model: T1, tmp_path: Path, language: bool) -> None:
    collate = collated(model, tmp_path, language=language)
    inputs = collate([batch_of(MIXED)])
    assert "document_ids" not in inputs and "anchor_indices" not in inputs
    documents = np.asarray(model.encode_document([pair.positives[0] for pair in PAIRS]))
    np.testing.assert_allclose(inputs["document_given"].numpy(), documents, atol=1e-6)
    found = fused(model, inputs, projected(model)).detach().numpy()
    own = sample_thoughts(model, PAIRS, reason(sampled_temperature=1.0), seed=5)["d"]
    thoughts = [*list(references(model).values())[:2], own]
    queries = [pair.query for pair in PAIRS]
    bare = np.asarray(model.encode_query(queries, budget=0))
    np.testing.assert_allclose(found[0], bare[0], atol=1e-6)
    expected = np.asarray(model.encode_query(queries[1:], thoughts=thoughts))
    np.testing.assert_allclose(found[1:], expected, atol=1e-5)
    assert float((expected * bare[1:]).sum(1).max()) < 0.99
    empty = fused(model, collate([batch_of(("own",) * 4, number=1)]), projected(model))
    np.testing.assert_array_equal(empty[3].detach().numpy(), inputs["query_given"][3].numpy())


def test_gradients_reach_the_language_model_and_the_projection(model: T1, tmp_path: Path) -> None:
    inputs = collated(model, tmp_path)([batch_of(MIXED)])
    anchor = projected(model, learnt=True)
    embedder = TrainedEmbedder(model.checkpoint.model, language=True, anchor=anchor)
    names = ("query_ids", "query_segments", "query_labels")
    rows, _ = embedder(*(inputs[name] for name in names))
    stage = reason(weight_triplet=2.0)
    terms = stage_terms(stage, rows, inputs["document_given"], inputs, anchor)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    backbone = embedder.backbone.parameters()
    for parameter in (*backbone, anchor.projection, anchor.log_weight):
        assert parameter is not None and parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0
    embedder.zero_grad()


@pytest.mark.parametrize("chunk", [1, 64])
def test_grad_cache_equals_the_plain_step(model: T1, tmp_path: Path, chunk: int) -> None:
    """Of the queries alone: the documents have their vectors."""
    collate = collated(model, tmp_path)
    batches = [batch_of(MIXED), batch_of(("none",) * 4), batch_of(("own",) * 4, number=1)]
    found = []
    for stage in (reason(accumulation=2), reason(accumulation=2, grad_cache_chunk=chunk)):
        anchor: Anchor = projected(model, learnt=True)
        found.append(fit(model, stage, batches, collate, tmp_path, anchor))
    (plain, plain_log), (cached, cached_log) = found
    assert {"anchor.projection", "anchor.log_weight"} <= plain.keys() == cached.keys()
    for name, value in plain.items():
        torch.testing.assert_close(cached[name], value, rtol=0, atol=2e-6)
    moved = plain["anchor.projection"] - torch.tensor(model.checkpoint.projection)
    assert float(moved.abs().max()) > 1e-4
    for name in ("loss", "loss_contrastive", "loss_language"):
        values = [[entry[name] for entry in log] for log in (plain_log, cached_log)]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-4, atol=1e-4)


# -- whole runs ------------------------------------------------------------------------------------


def matrix(folder: Path) -> np.ndarray:
    return np.asarray(load_file(folder / FILE_NAME)["weight"])


def anchor_of(folder: Path) -> str | float:
    settings = Settings.load(folder)
    assert settings is not None
    return settings.anchor


def test_both_stages_train_it(usual: Path, encoder: str) -> None:
    first, second = (usual / name / "model" for name in ("1-think", "2-reinforce"))
    assert np.abs(matrix(first)).max() > 0, "it starts at 0"
    assert not np.array_equal(matrix(first), matrix(second))
    assert anchor_of(first) != 1 and anchor_of(second) != anchor_of(first)
    assert not any("anchor" in name for name in weights(second) if name != "weight")
    model = T1.from_pretrained(second, device="cpu")
    query = ["Why does ice number 2 change?"]
    bare = SentenceModel.load(encoder).embed_queries(query)
    np.testing.assert_array_equal(model.encode_query(query, budget=0), bare)
    behind = np.asarray(model.encode_query(query, thoughts=["ice and heat"]))
    assert float(np.abs(behind - bare).max()) > 0
    assert len([entry for entry in logged(usual / "2-reinforce") if "loss_contrastive" in entry])


@pytest.mark.slow  # the same with other stages: test_train_resume.py
def test_a_killed_training_ends_as_if_nothing_had_happened(
    room: Path, usual: Path, encoder: str
) -> None:
    """Killed in stage 3 while it saves; no text is encoded by the companion again."""
    path = write_recipe(room, room / "killed", BOTH)
    script = room / "driver.py"
    script.write_text(DRIVER)
    named = (f'model.companion="{encoder}"', "model.companion_reader=projection")
    given = (*named, "model.anchor=learnt", "stages.1.save_minutes=0")
    done = driven([str(script), str(path), *given], DIE_AT="5")
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert (room / "killed" / "2-reinforce" / "checkpoint-4").is_dir()
    kept = {file: file.stat().st_mtime_ns for file in (room / "killed").glob("companion-*.npy")}
    assert len(kept) == 3, "questions, and documents with and without negatives"
    result = train(recipe(room, room / "killed", *given, text=BOTH))
    assert kept == {f: f.stat().st_mtime_ns for f in (room / "killed").glob("companion-*.npy")}
    for name in ("1-think", "2-reinforce"):
        ours, theirs = (run / name / "model" for run in (result.parents[1], usual))
        assert equal(weights(ours), weights(theirs))  # the projection is among them
        assert anchor_of(ours) == anchor_of(theirs)


@pytest.mark.slow  # the same with other stages: test_train_resume.py
def test_two_processes_agree(room: Path, encoder: str, tmp_path: Path) -> None:
    path = write_recipe(room, tmp_path / "two", BOTH)
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    named = (f'model.companion="{encoder}"', "model.companion_reader=projection")
    given = (*named, "stages.0.grad_cache_chunk=1", "stages.1.max_steps=2")
    done = driven([*launch, str(script), str(path), *given])
    assert done.returncode == 0, done.stderr[-3000:]
    for name, key in (("1-think", "anchor.projection"), ("2-reinforce", "t1_anchor.projection")):
        folder = tmp_path / "two" / name
        ranks = [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]
        assert equal(*ranks)
        np.testing.assert_array_equal(ranks[0][key].numpy(), matrix(folder / "model"))
        assert np.abs(matrix(folder / "model")).max() > 0


def test_validation_and_an_adapter(room: Path, encoder: str, tmp_path: Path) -> None:
    """The gauge reads with the projection in training, which the adapter's folder holds."""
    text = HEAD + VALIDATION + SHORT.replace("log_steps", "eval_steps = 2\nlog_steps") + THOUGHTS
    given = ("adapter=true", "stages.0.lora_rank=2", "stages.0.learning_rate=0.05")
    folder = train(wanted(room, tmp_path / "lora", encoder, *given, text=text))
    assert (folder / "adapter_model.safetensors").is_file()
    assert np.abs(matrix(folder)).max() > 0.01
    model = T1.from_pretrained(folder, device="cpu")
    np.testing.assert_array_equal(model.checkpoint.projection, matrix(folder))
    entries = [e for e in logged(folder.parent) if "validation_swapped_cosine" in e]
    cosines = [entry["validation_swapped_cosine"] for entry in entries]
    assert cosines[0] != cosines[-1] < 0.9999


def test_rollouts_and_updates_read_the_same_vectors(
    room: Path, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolled: list[np.ndarray] = []
    read: list[np.ndarray] = []
    sample, sides = Rewarder._sample, ReinforceTrainer._sides

    def sampling(self: Rewarder, pairs: Any, step: int) -> Any:
        found = sample(self, pairs, step)
        rolled.append(found.vectors_RD)
        return found

    def noted(self: ReinforceTrainer, inputs: Any) -> Any:
        queries, documents = sides(self, inputs)
        assert documents.shape[1] == DIM
        read.append(normalize(queries, dim=-1).detach().numpy())
        return queries, documents

    monkeypatch.setattr(Rewarder, "_sample", sampling)
    monkeypatch.setattr(ReinforceTrainer, "_sides", noted)
    text = HEAD + REINFORCE + FACTS + POLICY
    given = ("stages.0.max_steps=4", "stages.0.weight_contrastive=1", "stages.0.learning_rate=0.01")
    train(wanted(room, tmp_path / "run", encoder, *given, text=text))
    for ours, theirs in zip(rolled, read, strict=True):
        near = np.abs(theirs[:, None] - ours[None]).max(2).min(1)  # trl shuffles them
        assert near.max() < 1e-4
    assert np.abs(rolled[-1][0] - rolled[-1][1]).max() > 1e-3, "the projection has moved"


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "more", "problem"),
    [
        (CONTRAST + FACTS, (), "without thoughts the companion gives the vectors"),
        (SHORT + "weight_distill = 1.0\n" + THOUGHTS, (), "the companion gives the vectors, and"),
        (SHORT + THOUGHTS, ("stages.0.filter_gain=true",), "no stage before this one has trained"),
        (SHORT + THOUGHTS, ("model.anchor=none",), "the reader projection needs an anchor above 0"),
        (SHORT + THOUGHTS, ("model.companion=",), "projection. needs a companion"),
        (SHORT + THOUGHTS, ("model.companion_reader=leaves",), "must be one of text, projection"),
    ],
)
def test_what_it_cannot_learn_from(
    room: Path, encoder: str, tmp_path: Path, text: str, more: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(Thought1Error, match=problem):
        wanted(room, tmp_path / "run", encoder, *more, text=HEAD + text)


def test_a_base_keeps_its_projection_and_its_refusals(
    room: Path, encoder: str, tmp_path: Path
) -> None:
    plain = T1.from_pretrained(room / "qwen3", dtype="float32", device="cpu")
    base = plain.with_companion(encoder, reader="projection")
    base.save_pretrained(room / "qwen3-projected")
    head = HEAD.replace("{base}", "{base}-projected")
    short = ("stages.0.max_steps=2", "stages.0.share_none=0")
    found = train(recipe(room, tmp_path / "on", *short, text=head + SHORT + THOUGHTS))
    assert np.abs(matrix(found)).max() > 0 and anchor_of(found) == "mean"
    for text, more, problem in (
        (CONTRAST + FACTS, (), "stage contrast: of .*, without thoughts the companion gives"),
        (SHORT + THOUGHTS, ("model.anchor=none",), "the reader projection needs an anchor"),
    ):
        with pytest.raises(Thought1Error, match=problem):
            train(recipe(room, tmp_path / "refused", *more, text=head + text))
