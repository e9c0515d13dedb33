"""A companion that gets thoughts by a projection of the language model's vectors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sentence_models import make_sentence_model
from tiny import TEXTS, make_checkpoint

from thought1.index import Index
from thought1.model.projection import FILE_NAME
from thought1.model.sentence_model import SentenceModel
from thought1.t1 import T1
from thought1.types import Document, Thought, Thought1Error, Vectors

QUERIES = ["Why do ice cubes crack in warm water?", "salt on roads", "a kettle"]
THOUGHTS = ["ice is frozen water", "", "water boils at 100 degrees"]
DIM = 24


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    return make_sentence_model(tmp_path_factory.mktemp("encoder"), dim=DIM)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> T1:
    folder = tmp_path_factory.mktemp("thinker")
    make_checkpoint(folder)
    return T1.from_pretrained(folder, device="cpu")


@pytest.fixture(scope="module")
def model(plain: T1, encoder: str) -> T1:
    """With a projection at random and a weight of its own."""
    untrained = plain.with_companion(encoder, anchor=0.8, reader="projection")
    generator = np.random.default_rng(3)
    matrix = generator.standard_normal((DIM, plain.dim)).astype(np.float32) / 3
    return T1(replace(untrained.checkpoint, projection=matrix))


def by_hand(model: T1, plain: T1, thoughts: list[Any]) -> Vectors:
    """normalise(w c(q) + P h), and c(q) where nothing is thought."""
    assert model.companion is not None and model.checkpoint.projection is not None
    bare = model.companion.embed_queries(QUERIES)
    behind = np.asarray(plain.encode_query(QUERIES, thoughts=thoughts))
    sums = 0.8 * bare + behind @ model.checkpoint.projection.T
    found = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    for row, thought in enumerate(thoughts):
        if not (thought.token_ids if isinstance(thought, Thought) else thought):
            found[row] = bare[row]
    return np.asarray(found)


def test_the_vector_is_the_anchored_projection(model: T1, plain: T1) -> None:
    expected = by_hand(model, plain, THOUGHTS)
    found = np.asarray(model.encode_query(QUERIES, thoughts=THOUGHTS))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert model.companion is not None and found.shape == (3, DIM)
    bare = model.companion.embed_queries(QUERIES)
    np.testing.assert_array_equal(found[1], bare[1])
    np.testing.assert_array_equal(model.encode_query(QUERIES, budget=0), bare)
    assert float((found * bare).sum(1)[0]) < 0.99
    np.testing.assert_array_equal(
        model.encode_document(TEXTS), model.companion.embed_documents(TEXTS)
    )


def test_own_thoughts_and_snapshots_are_read_alike(model: T1, plain: T1) -> None:
    thoughts = model.think(QUERIES, budget=6)
    assert [t.token_ids for t in thoughts] == [t.token_ids for t in plain.think(QUERIES, budget=6)]
    vectors = np.array([thought.vector for thought in thoughts])
    np.testing.assert_allclose(vectors, by_hand(model, plain, thoughts), atol=1e-5)
    for places, done in model.generations(QUERIES, 6, copies=2, snapshots=(0, 3)):
        queries = [QUERIES[place] for place in places for _ in range(2)]
        bare = model.encode_query(queries, budget=0)
        # The companion reads each question once there, twice here: 6e-8 apart under AVX2.
        np.testing.assert_allclose([one.snapshots[0].vector for one in done], bare, atol=1e-6)
        shorter = [Thought("", one.token_ids[:3], "edited") for one in done]
        expected = model.encode_query(queries, thoughts=shorter)
        np.testing.assert_allclose([one.snapshots[1].vector for one in done], expected, atol=1e-5)


def test_untrained_it_is_the_companion_at_every_budget(plain: T1, encoder: str) -> None:
    model = plain.with_companion(encoder, reader="projection")
    bare = model.encode_query(QUERIES, budget=0)
    found = model.encode_query(QUERIES, thoughts=THOUGHTS)
    np.testing.assert_allclose(found, bare, atol=1e-6)


def test_it_is_saved_and_found_again(model: T1, plain: T1, encoder: str, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, dtype="float16")
    found = T1.from_pretrained(tmp_path, device="cpu")
    assert found.settings.companion == model.settings.companion
    assert found.checkpoint.projection is not None and model.checkpoint.projection is not None
    np.testing.assert_array_equal(found.checkpoint.projection, model.checkpoint.projection)
    index = Index.create(tmp_path / "index", SentenceModel.load(encoder))
    index.add([Document(str(i), text) for i, text in enumerate(TEXTS)])
    assert Index.open(tmp_path / "index", found).search(QUERIES[0], k=2, think=4).hits
    text = plain.with_companion(encoder)
    assert text.templates_hash != model.templates_hash
    text.save_pretrained(tmp_path)
    assert not (tmp_path / FILE_NAME).exists()


def resized(path: Path) -> None:
    save_file({"weight": np.zeros((DIM, 5), np.float32)}, path)


def infinite(path: Path) -> None:
    matrix = load_file(path)["weight"]
    matrix[0, 0] = np.inf
    save_file({"weight": matrix}, path)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (Path.unlink, f"its {FILE_NAME} is missing: copy the whole folder"),
        (lambda path: path.write_bytes(b"torn"), f"has a broken {FILE_NAME}"),
        (resized, f"does not hold one finite matrix of {DIM} x 32"),
        (infinite, f"does not hold one finite matrix of {DIM} x 32"),
    ],
)
def test_a_file_that_does_not_fit(
    model: T1, tmp_path: Path, damage: Callable[[Path], Any], problem: str
) -> None:
    model.save_pretrained(tmp_path)
    damage(tmp_path / FILE_NAME)
    with pytest.raises(Thought1Error, match=problem):
        T1.from_pretrained(tmp_path, device="cpu")


def test_it_needs_an_anchor(plain: T1, encoder: str, tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="the reader projection needs an anchor above 0"):
        plain.with_companion(encoder, anchor="none", reader="projection")
    with pytest.raises(Thought1Error, match="unknown reader 'leaves': known are text, projection"):
        plain.with_companion(encoder, reader="leaves")
    plain.with_companion(encoder, reader="projection").save_pretrained(tmp_path)
    path = tmp_path / "t1.json"
    path.write_text(path.read_text().replace('"anchor": "mean"', '"anchor": "none"'))
    with pytest.raises(Thought1Error, match="the reader projection needs an anchor above 0"):
        T1.from_pretrained(tmp_path, device="cpu")
