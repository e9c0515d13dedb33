"""The way of someone whose documents are embedded already: taken over, searched, thought about."""

from pathlib import Path

import numpy as np
import pytest
from sentence_models import make_sentence_model
from sentence_transformers import SentenceTransformer
from t1_command import T1Command

from thought1.data.formats import BeirFolder
from thought1.t1 import T1


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_sentence_model(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory, model: str, encoder: str) -> str:
    folder = tmp_path_factory.mktemp("thinker")
    T1.from_pretrained(model).with_companion(encoder).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory, collection: Path, encoder: str) -> Path:
    texts = [document.full_text for document in BeirFolder(collection).corpus()]
    path = tmp_path_factory.mktemp("vectors") / "vectors.npy"
    np.save(path, SentenceTransformer(encoder).encode_document(texts, normalize_embeddings=True))
    return path


def take_over(t1: T1Command, index: Path, collection: Path, vectors: Path, encoder: str) -> None:
    done = t1("index", collection, "-o", index, "--vectors", vectors, "--encoder", f"st:{encoder}")
    assert done.code == 0, done.err


def test_vectors_of_a_public_model_get_thoughts(
    t1: T1Command, tmp_path: Path, collection: Path, encoder: str, thinker: str, vectors: Path
) -> None:
    index = tmp_path / "index"
    take_over(t1, index, collection, vectors, encoder)
    bare = t1("search", index, "ice", "--json").json()
    same = t1("search", index, "ice", "--model", thinker, "--no-think", "--json").json()
    assert [hit["id"] for hit in same["results"][0]["hits"]] == [
        hit["id"] for hit in bare["results"][0]["hits"]
    ]
    thought = t1("search", index, "ice", "--model", thinker, "--think", "4", "--json")
    assert thought.json()["receipt"]["thought_tokens"] == 4
    message = t1("search", index, "ice", "--think", "4").error()
    assert "cannot think: search with a model that has it as its companion" in message


def test_an_evaluation_with_another_anchor(
    t1: T1Command, tmp_path: Path, collection: Path, thinker: str
) -> None:
    found = {}
    for anchor in ("", "none", "2.5"):
        arguments = ["evaluate", collection, "--split", "dev", "--model", thinker, "--json"]
        arguments += ["--results", tmp_path / "results", *(["--anchor", anchor] if anchor else [])]
        found[anchor] = t1(*arguments).json()
    names = [report["system"] for report in found.values()]
    assert len(set(names)) == 3
    assert names[1].endswith("-anchor-0") and names[2].endswith("-anchor-2.5")
    again = t1("replay", found["2.5"]["result"])
    assert again.code == 0
    asked = ["evaluate", collection, "--split", "dev", "--model", thinker]
    message = t1(*asked, "--anchor", "half").error()
    assert "the anchor is none, mean, or a weight of 0 or more, not 'half'" in message
    message = t1(
        "evaluate", collection, "--split", "dev", "--anchor", "1", "--mode", "bm25"
    ).error()
    assert "--anchor is of the model's vectors" in message


def test_an_index_of_an_encoder_is_measured_by_a_thinker_alone(
    t1: T1Command, tmp_path: Path, collection: Path, encoder: str, vectors: Path
) -> None:
    index = tmp_path / "index"
    take_over(t1, index, collection, vectors, encoder)
    message = t1("evaluate", collection, "--split", "dev", "--index", index).error()
    assert "which does not think: measure a T1 that has it as its companion" in message
