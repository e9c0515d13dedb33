"""Stage companion: the companion learns to read thoughts of cross-fitted models."""

import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from reason_recipe import TEACH, THOUGHTS
from sentence_models import make_sentence_model
from small_recipe import (
    DRIVER,
    FACTS,
    HEAD,
    VALIDATION,
    driven,
    equal,
    logged,
    losses,
    recipe,
    weights,
    write_recipe,
)

from thought1.index import Index
from thought1.model.sentence_model import SentenceModel
from thought1.t1 import T1
from thought1.training.companion.embedder import CompanionEmbedder
from thought1.training.companion.prepare import _Queries
from thought1.training.cross_fit import sample_by_folds
from thought1.training.data.batches import Batch, Mode, Rows
from thought1.training.data.sources import TrainingPair
from thought1.training.data.thoughts import SampledThoughts
from thought1.training.preflight import read_stage
from thought1.training.recipe import CompanionStage, Recipe, load_recipe
from thought1.training.run import train
from thought1.types import Document, Thought, Thought1Error

READ = """
[[stages]]
name = "read"
stage = "companion"
max_steps = 3
queries_per_batch = 4
positives_per_query = 2
max_thought_tokens = 6
learning_rate = 1e-2
lora_rank = 4
lora_alpha = 8
bf16 = false
log_steps = 1
"""
QUESTION = "Why does salt number 7 change?"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_sentence_model(tmp_path_factory.mktemp("encoder"))


def wanted(room: Path, output: Path, encoder: str, *overrides: str, text: str = "") -> Recipe:
    text = text or HEAD + VALIDATION + TEACH + THOUGHTS + READ + FACTS
    return recipe(room, output, f'model.companion="{encoder}"', *overrides, text=text)


@pytest.fixture(scope="module")
def trained(room: Path, encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "run"
    return train(wanted(room, output, encoder))


def test_documents_and_bare_queries_are_the_trained_companions(
    trained: Path, encoder: str, tmp_path: Path
) -> None:
    model = T1.from_pretrained(trained, device="cpu")
    plain = SentenceModel.load(encoder)
    assert model.companion is not None and model.companion.hash != plain.hash
    own = SentenceModel.load(str(trained / "companion"))
    assert own.hash == model.companion.hash
    bare = model.encode_query([QUESTION], budget=0)
    np.testing.assert_array_equal(bare, own.embed_queries([QUESTION]))
    documents = model.encode_document(["Salt melts ice."])
    np.testing.assert_array_equal(documents, own.embed_documents(["Salt melts ice."]))
    assert abs(documents - plain.embed_documents(["Salt melts ice."])).max() > 1e-4
    model.save_pretrained(tmp_path / "copy")
    again = T1.from_pretrained(tmp_path / "copy", device="cpu")
    np.testing.assert_array_equal(again.encode_query([QUESTION]), model.encode_query([QUESTION]))
    model.save_pretrained(tmp_path / "copy")  # over itself
    assert T1.from_pretrained(tmp_path / "copy").companion is not None


def test_an_index_of_the_trained_companion(trained: Path, tmp_path: Path) -> None:
    model = T1.from_pretrained(trained, device="cpu")
    documents = [Document("1", "Salt melts ice."), Document("2", "Iron rusts.")]
    own = SentenceModel.load(str(trained / "companion"))
    Index.create(tmp_path / "index", own).add(documents)
    index = Index.open(tmp_path / "index", model)
    assert len(index) == 2 and index.search(QUESTION).hits[0].id in "12"


def test_the_language_model_stays(trained: Path) -> None:
    before = T1.from_pretrained(trained.parent.parent / "1-thoughts/model", device="cpu")
    after = T1.from_pretrained(trained, device="cpu")
    assert before.weights_hash == after.weights_hash
    assert before.templates_hash != after.templates_hash


class Writer:
    """Thinks the number of its fold."""

    def __init__(self, number: int, settings: Any) -> None:
        self.number, self.settings = number, settings
        self.checkpoint = SimpleNamespace(model=torch.nn.Identity())

    def think(self, queries: list[str], **_: Any) -> list[Thought]:
        return [Thought(str(self.number), (self.number,), "end", np.zeros(2)) for _ in queries]


def test_each_thought_is_of_a_model_that_never_saw_its_question(
    trained: Path, room: Path, encoder: str, tmp_path: Path
) -> None:
    found = wanted(room, tmp_path / "run", encoder)
    stage, settings = found.stages[1], T1.from_pretrained(trained).settings
    assert isinstance(stage, CompanionStage)
    own, left_out = SampledThoughts(tmp_path), {}

    def writer(number: int, about: Sequence[TrainingPair], _rest: Sequence[TrainingPair]) -> Any:
        held = {pair.query for pair in about}
        seen = read_stage(found, found.stages[0], held.__contains__)
        taught = {one.query for one in seen.rationales}
        left_out[number] = {one.query for one in everything} - taught
        return Writer(number, settings)

    everything = read_stage(found, found.stages[0]).rationales
    pairs = read_stage(found, stage).pairs
    sample_by_folds(stage, pairs, own, {0}, 0, writer)
    thoughts = own.read(0)
    assert len(thoughts) == len(pairs) and {v[0] for v in thoughts.values()} == {0, 1}
    for pair in pairs:
        if pair.thought:
            (number,) = thoughts[pair.query_id]
            assert pair.query in left_out[number] and pair.query not in left_out[1 - number]


def test_the_vectors_of_training_are_those_of_searching(trained: Path) -> None:
    model = T1.from_pretrained(trained, device="cpu")
    companion, own = model.companion, SampledThoughts(trained.parent)
    assert companion is not None
    ids = list(own.read(0))[:3]
    texts = [f"Why is {q}?" for q in ids]
    rows = Rows({}, {}, {})
    collator = _Queries(rows, companion, own, model.queries.decode)
    modes: tuple[Mode, ...] = ("own", "none", "own")
    inputs = collator.queries(Batch(tuple(texts), query_ids=tuple(ids), modes=modes))
    embedder = CompanionEmbedder(companion.model, model.settings.anchor_weight)
    with torch.no_grad():
        vectors, _ = embedder(inputs["query_ids"], inputs["query_segments"])
    decoded = [model.queries.decode(own.read(0)[q]) for q in ids]
    decoded[1] = ""
    expected = model.encode_query(texts, thoughts=decoded)
    np.testing.assert_allclose(vectors.numpy(), expected, atol=1e-5)
    assert inputs["bare"].tolist() == [not text.strip() for text in decoded]


def test_all_weights_and_samples(room: Path, encoder: str, tmp_path: Path) -> None:
    settings = ["lora_rank=0", "samples_per_query=2", "sampled_temperature=1.0", "share_none=0.5"]
    more = [f"stages.1.{setting}" for setting in settings]
    found = train(wanted(room, tmp_path / "run", encoder, *more))
    model = T1.from_pretrained(found, device="cpu")
    assert (found / "companion/modules.json").is_file() and model.companion is not None
    rounds = [SampledThoughts(found.parent).read(number) for number in (0, 1)]
    assert rounds[0].keys() == rounds[1].keys() and rounds[0] != rounds[1]
    entry = logged(found.parent)[-1]
    assert entry["validation_ndcg@10"] >= 0


@pytest.mark.parametrize("rank", [0, 4])
def test_a_share_of_the_change_is_kept(room: Path, encoder: str, tmp_path: Path, rank: int) -> None:
    """The weights lie between the public model's and those of the same training kept whole."""
    whole, half = (tmp_path / name / "run" for name in ("whole", "half"))
    changed = [f"stages.1.lora_rank={rank}"]
    found = [SentenceModel.load(str(train(wanted(room, whole, encoder, *changed)) / "companion"))]
    half.mkdir(parents=True)
    shutil.copytree(whole / "1-thoughts", half / "1-thoughts")
    (half / "2-read").mkdir()
    shutil.copy(whole / "2-read/own-thoughts-0.jsonl", half / "2-read")
    again = train(wanted(room, half, encoder, *changed, "stages.1.share_kept=0.5"))
    found.append(SentenceModel.load(str(again / "companion")))
    before = dict(SentenceModel.load(encoder).model.named_parameters())
    moved, pairs = 0.0, [list(one.model.named_parameters()) for one in found]
    for (name, full), (_, part) in zip(*pairs, strict=True):
        torch.testing.assert_close(part, (full + before[name]) / 2, atol=2e-4, rtol=1e-2)
        moved = max(moved, float((full - before[name]).detach().abs().max()))
    assert moved > 2e-3


def test_a_second_stage_goes_on_with_the_updates(
    trained: Path, room: Path, encoder: str, tmp_path: Path
) -> None:
    again = READ.replace('"read"', '"again"') + FACTS
    text = HEAD + VALIDATION + TEACH + THOUGHTS + READ + FACTS + again
    output = tmp_path / "run"
    shutil.copytree(trained.parent.parent, output)
    (output / "recipe.json").unlink()
    model = T1.from_pretrained(train(wanted(room, output, encoder, text=text)), device="cpu")
    assert model.companion is not None and model.companion.base is not None
    assert model.companion.base.model == encoder
    before = SentenceModel.load(str(trained / "companion"))
    assert model.companion.hash != before.hash
    text = text.replace(again, again.replace("lora_rank = 4", "lora_rank = 2"))
    shutil.rmtree(output / "3-again")
    (output / "recipe.json").unlink()
    with pytest.raises(Thought1Error, match="must be those of the updates"):
        train(wanted(room, output, encoder, text=text))


def test_another_base_is_refused(trained: Path, encoder: str, tmp_path: Path) -> None:
    folder = tmp_path / "companion"
    shutil.copytree(trained / "companion", folder)
    named = json.loads((folder / "base.json").read_text())
    (folder / "base.json").write_text(json.dumps({**named, "hash": "0"}))
    with pytest.raises(Thought1Error, match="changes another model than the one at"):
        SentenceModel.load(str(folder))
    (folder / "base.json").write_text(json.dumps({**named, "model": str(tmp_path / "none")}))
    with pytest.raises(Thought1Error, match="changes another model, and needs it"):
        SentenceModel.load(str(folder))
    (folder / "base.json").write_text("{}")
    with pytest.raises(Thought1Error, match=r"has a broken base\.json"):
        SentenceModel.load(str(folder))


@pytest.mark.slow
def test_a_killed_training_ends_as_if_nothing_had_happened(
    trained: Path, room: Path, encoder: str, tmp_path: Path
) -> None:
    """kill -9 while a checkpoint is written: bit for bit, and no fold is taught again."""
    text = HEAD + VALIDATION + TEACH + THOUGHTS + READ + FACTS
    path = write_recipe(room, tmp_path / "killed", text)
    overrides = [f'model.companion="{encoder}"', "stages.1.save_minutes=0"]
    done = driven(["-c", DRIVER, str(path), *overrides], DIE_AT="2")
    assert done.returncode == -signal.SIGKILL, done.stderr
    stage = tmp_path / "killed" / "2-read"
    assert (stage / "own-thoughts-0.jsonl").is_file() and not (stage / "model").exists()
    taught = logged(stage / "fold-1" / "1-thoughts")
    found = train(load_recipe(path, overrides))
    assert logged(stage / "fold-1" / "1-thoughts") == taught
    assert equal(weights(found / "companion"), weights(trained / "companion"))
    assert losses(stage) == [losses(trained.parent)[i] for i in (0, 1, 1, 2)]


@pytest.mark.parametrize(
    ("text", "overrides", "problem"),
    [
        (READ + FACTS, [], "stage read needs stages before it"),
        (TEACH + THOUGHTS + READ + FACTS, ["model.companion="], "needs a companion to train"),
        (TEACH + THOUGHTS + READ + FACTS, ["stages.1.share_kept=0"], "discards everything"),
        (TEACH + THOUGHTS + READ + FACTS, ["stages.1.sampled_folds=1"], "leaves no other fold"),
        (
            TEACH + THOUGHTS + READ + FACTS,
            ["stages.1.samples_per_query=2"],
            "needs sampled_temperature",
        ),
        (TEACH + THOUGHTS + READ + FACTS, ["stages.1.weight_contrastive=0"], "weight_triplet abo"),
        (
            TEACH + THOUGHTS + READ + FACTS,
            ["stages.1.sampled_every=3"],
            "with stage = .reason. only",
        ),
    ],
)
def test_refused(
    room: Path, encoder: str, tmp_path: Path, text: str, overrides: list[str], problem: str
) -> None:
    with pytest.raises(Thought1Error, match=problem):
        wanted(room, tmp_path / "run", encoder, *overrides, text=HEAD + text)
