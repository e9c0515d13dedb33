"""A companion encodes documents and reads thoughts; without one the anchor is the model's own."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sentence_models import make_sentence_model
from sentence_transformers import SentenceTransformer
from tiny import TEXTS, make_checkpoint

from thought1.export import export_sentence_transformers
from thought1.index import Index
from thought1.model.sentence_model import SentenceModel
from thought1.t1 import T1
from thought1.types import Document, Thought1Error, Vectors

QUERIES = ["Why do ice cubes crack in warm water?", "salt on roads", "a kettle"]
THOUGHTS = ["ice is frozen water", "", "water boils at 100 degrees"]
DOCUMENTS = [Document(str(i), text) for i, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_sentence_model(tmp_path_factory.mktemp("encoder"), query="ask: ")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> T1:
    folder = tmp_path_factory.mktemp("thinker")
    make_checkpoint(folder)
    return T1.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(plain: T1, encoder: str) -> T1:
    return plain.with_companion(encoder)


def normal(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def alone(encoder: str, queries: list[str]) -> Vectors:
    """By sentence-transformers, without this package."""
    found = SentenceTransformer(encoder).encode_query(queries, normalize_embeddings=True)
    return np.asarray(found, np.float32)


# -- a companion ---------------------------------------------------------------------------------


def test_without_a_thought_it_is_the_companion(model: T1, encoder: str) -> None:
    np.testing.assert_array_equal(model.encode_query(QUERIES, budget=0), alone(encoder, QUERIES))
    peer = SentenceTransformer(encoder).encode_document(TEXTS, normalize_embeddings=True)
    np.testing.assert_array_equal(model.encode_document(TEXTS), peer)
    assert model.dim == 32


def test_a_thought_is_read_behind_its_question(model: T1, encoder: str) -> None:
    bare = alone(encoder, QUERIES)
    asked = [f"{q} {t}".strip() for q, t in zip(QUERIES, THOUGHTS, strict=True)]
    expected = normal(bare + alone(encoder, asked))
    expected[1] = bare[1]  # it has no thought
    found = model.encode_query(QUERIES, thoughts=THOUGHTS)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    only = model.with_settings(replace(model.settings, anchor="none"))
    found = np.asarray(only.encode_query(QUERIES, thoughts=THOUGHTS))
    np.testing.assert_allclose(found[::2], alone(encoder, asked)[::2], atol=1e-6)
    heavy = model.with_settings(replace(model.settings, anchor=3))
    found = np.asarray(heavy.encode_query(QUERIES, thoughts=THOUGHTS))
    np.testing.assert_allclose(found[::2], normal(3 * bare + alone(encoder, asked))[::2], atol=1e-6)


def test_own_thoughts_and_snapshots_are_read_alike(model: T1) -> None:
    thoughts = model.think(QUERIES, budget=6)
    vectors = np.array([thought.vector for thought in thoughts])
    np.testing.assert_allclose(model.encode_query(QUERIES, thoughts=thoughts), vectors, atol=1e-6)
    for places, done in model.generations(QUERIES, 6, copies=2, snapshots=(0, 3)):
        queries = [QUERIES[place] for place in places for _ in range(2)]
        bare = model.encode_query(queries, budget=0)
        np.testing.assert_array_equal([one.snapshots[0].vector for one in done], bare)
        shorter = [model.queries.decode(one.token_ids[:3]) for one in done]
        expected = model.encode_query(queries, thoughts=shorter)
        np.testing.assert_allclose([one.snapshots[1].vector for one in done], expected, atol=1e-6)
        assert all(one.snapshots[0].seconds < one.snapshots[1].seconds for one in done)


def test_the_thinker_thinks_as_without_a_companion(model: T1, plain: T1) -> None:
    assert model.think(QUERIES, budget=6) == plain.think(QUERIES, budget=6)


def test_it_is_saved_and_found_again(model: T1, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "saved")
    found = T1.from_pretrained(tmp_path / "saved")
    assert found.settings.companion == model.settings.companion
    assert found.templates_hash == model.templates_hash
    for budget in (0, 4):
        np.testing.assert_array_equal(
            found.encode_query(QUERIES, budget=budget), model.encode_query(QUERIES, budget=budget)
        )


def test_long_documents_are_counted(model: T1, encoder: str) -> None:
    own = SentenceModel.load(encoder)
    room = own.document_room
    fitting = " ".join(["ice"] * room)
    tokens = len(own.spans(fitting))
    before = model.truncated
    model.encode_document([fitting, fitting + " ice ice"])
    assert model.truncated - before == 1
    assert tokens == room == model.document_room


# -- indexes -------------------------------------------------------------------------------------


def test_an_index_made_without_thinking_is_searched_with_thoughts(
    model: T1, encoder: str, tmp_path: Path
) -> None:
    """The documents are encoded by sentence-transformers alone, and never again."""
    peer = SentenceTransformer(encoder)
    vectors = np.asarray(peer.encode_document(TEXTS, normalize_embeddings=True), np.float32)
    index = Index.create(tmp_path / "index", SentenceModel.load(encoder))
    index.add_encoded([(DOCUMENTS, vectors)])
    bare = index.search(QUERIES[0], k=4)
    opened = Index.open(tmp_path / "index", model)
    same = opened.search(QUERIES[0], k=4, think=0)
    assert [hit.id for hit in same.hits] == [hit.id for hit in bare.hits]
    order = np.argsort(-(vectors @ alone(encoder, QUERIES[:1])[0]))
    assert [hit.id for hit in same.hits] == [str(i) for i in order]
    assert opened.search(QUERIES[0], k=4, think=4).thought.token_ids  # type: ignore[union-attr]
    # And the other way round.
    Index.create(tmp_path / "other", model).add(DOCUMENTS)
    assert len(Index.open(tmp_path / "other", SentenceModel.load(encoder))) == len(DOCUMENTS)


def test_another_thinker_or_anchor_searches_the_same_index(
    model: T1, encoder: str, tmp_path: Path
) -> None:
    Index.create(tmp_path / "index", model).add(DOCUMENTS)
    make_checkpoint(tmp_path / "other", "llama")
    other = T1.from_pretrained(tmp_path / "other").with_companion(encoder, anchor="none")
    assert Index.open(tmp_path / "index", other).search("ice", k=1).hits


def test_the_thinker_alone_does_not_open_it(model: T1, plain: T1, tmp_path: Path) -> None:
    Index.create(tmp_path / "index", model).add(DOCUMENTS)
    with pytest.raises(Thought1Error, match="differs in"):
        Index.open(tmp_path / "index", plain)


def test_a_companion_alone_does_not_think(encoder: str) -> None:
    own = SentenceModel.load(encoder)
    assert own.think(QUERIES)[0].finish_reason == "none"
    with pytest.raises(Thought1Error, match="cannot think: search with a model that has it"):
        own.think(QUERIES, budget=4)
    with pytest.raises(Thought1Error, match="cannot think"):
        own.think(QUERIES, checkpoints=[0])


# -- its identity --------------------------------------------------------------------------------


def test_a_copy_is_the_same_and_a_change_is_not(encoder: str, tmp_path: Path) -> None:
    own = SentenceModel.load(encoder)
    shutil.copytree(encoder, tmp_path / "copy")
    (tmp_path / "copy" / "onnx").mkdir()
    (tmp_path / "copy" / "onnx" / "other.safetensors").write_bytes(b"x")
    assert SentenceModel.load(str(tmp_path / "copy")).hash == own.hash
    versions = tmp_path / "copy" / "config_sentence_transformers.json"
    content = json.loads(versions.read_text())
    versions.write_text(json.dumps({**content, "__version__": {"torch": "9"}}))
    assert SentenceModel.load(str(tmp_path / "copy")).hash == own.hash
    pooling = next((tmp_path / "copy").glob("1_*/config.json"))
    content = json.loads(pooling.read_text())
    pooling.write_text(json.dumps({**content, "include_prompt": False}))
    assert SentenceModel.load(str(tmp_path / "copy")).hash != own.hash


# -- refusals ------------------------------------------------------------------------------------


def test_another_companion_than_it_was_made_with(plain: T1, tmp_path: Path) -> None:
    name = make_sentence_model(tmp_path / "encoder")
    plain.with_companion(name).save_pretrained(tmp_path / "saved")
    shutil.rmtree(tmp_path / "encoder")
    with pytest.raises(Thought1Error, match="needs its companion: "):
        T1.from_pretrained(tmp_path / "saved")
    make_sentence_model(tmp_path / "encoder", query="other: ")
    with pytest.raises(Thought1Error, match="made with another companion than the one at"):
        T1.from_pretrained(tmp_path / "saved")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"reader": "tea leaves"}, "unknown reader 'tea leaves'"),
        ({"readers": "text"}, "not a valid t1.json"),
    ],
)
def test_a_broken_entry(model: T1, tmp_path: Path, entry: dict[str, str], problem: str) -> None:
    model.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "t1.json").read_text())
    content["companion"] |= entry
    (tmp_path / "t1.json").write_text(json.dumps(content))
    with pytest.raises(Thought1Error, match=problem):
        T1.from_pretrained(tmp_path)


def test_it_is_not_exported(model: T1, tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="is a sentence-transformers model already"):
        export_sentence_transformers(model, tmp_path / "export")


# -- an anchor of the model's own ------------------------------------------------------------------


@pytest.mark.parametrize(("anchor", "weight"), [("mean", 1.0), (0.5, 0.5)])
def test_the_anchor_is_the_bare_query(plain: T1, anchor: str | float, weight: float) -> None:
    model = plain.with_settings(replace(plain.settings, anchor=anchor))
    bare = np.asarray(plain.encode_query(QUERIES, budget=0))
    behind = np.asarray(plain.encode_query(QUERIES, thoughts=THOUGHTS))
    expected = normal(weight * bare + behind)
    np.testing.assert_allclose(model.encode_query(QUERIES, thoughts=THOUGHTS), expected, atol=1e-6)
    np.testing.assert_array_equal(model.encode_query(QUERIES, budget=0), bare)
    own = plain.think(QUERIES, budget=6)
    vectors = np.array([thought.vector for thought in own])
    found = np.array([thought.vector for thought in model.think(QUERIES, budget=6)])
    np.testing.assert_allclose(found, normal(weight * bare + vectors), atol=1e-5)
    for places, done in model.generations(QUERIES, 6, snapshots=(3,)):
        three = plain.generations([QUERIES[i] for i in places], 6, snapshots=(3,))
        shots = {i: one for order, some in three for i, one in zip(order, some, strict=True)}
        for row, place in enumerate(places):
            assert [shot.budget for shot in done[row].snapshots] == [3]
            raw = shots[row].snapshots[0].vector
            fused = normal((weight * bare[place] + raw)[None])[0]
            np.testing.assert_allclose(done[row].snapshots[0].vector, fused, atol=1e-5)


def test_old_files_mean_no_anchor_and_keep_their_hash(plain: T1, tmp_path: Path) -> None:
    plain.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "t1.json").read_text())
    assert "anchor" not in content and "companion" not in content
    assert plain.settings.anchor_weight == 0
    same = replace(plain.settings, anchor="none")
    assert same.templates_hash == plain.settings.templates_hash
    mean, one = (replace(plain.settings, anchor=anchor) for anchor in ("mean", 1.0))
    assert mean.templates_hash == one.templates_hash != plain.settings.templates_hash


def test_documents_know_no_anchor(plain: T1, tmp_path: Path) -> None:
    Index.create(tmp_path / "index", plain).add(DOCUMENTS)
    anchored = plain.with_settings(replace(plain.settings, anchor="mean"))
    assert Index.open(tmp_path / "index", anchored).search("ice", k=1).hits
    assert anchored.identities(1, "2026-01-01") == plain.identities(1, "2026-01-01")


@pytest.mark.parametrize("anchor", ["median", -1, True, float("nan")])
def test_an_anchor_that_is_none(plain: T1, tmp_path: Path, anchor: object) -> None:
    plain.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "t1.json").read_text())
    (tmp_path / "t1.json").write_text(json.dumps({**content, "anchor": anchor}))
    with pytest.raises(Thought1Error, match="the anchor is none, mean, or a weight"):
        T1.from_pretrained(tmp_path)
