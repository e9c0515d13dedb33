"""The cache of vectors: never stale, never read wrongly."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thought1.evaluation.systems.t1_exact import T1TextEncoder
from thought1.evaluation.systems.vector_cache import VectorCache, key_of
from thought1.t1 import T1
from thought1.types import Thought1Error, Vectors

INGREDIENTS = {
    "weights": "w0", "templates": "t0", "instruction": "find it", "max_tokens": 64,
    "dtype": "float32", "side": "query", "max_new_tokens": 0,
}  # fmt: skip
TEXTS = ["one", "two", "three"]


class Counting:
    """Random vectors, new ones at every call."""

    def __init__(self) -> None:
        self.calls = 0
        self.rng = np.random.default_rng(0)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        self.calls += 1
        return self.rng.normal(size=(len(texts), 4)).astype(np.float32)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_kept_and_read(tmp_path: Path) -> None:
    cache, encode = VectorCache(tmp_path / "new" / "cache"), Counting()
    first = cache.vectors(INGREDIENTS, TEXTS, encode)
    again = VectorCache(tmp_path / "new" / "cache").vectors(INGREDIENTS, TEXTS, encode)
    assert encode.calls == 1
    assert isinstance(again, np.memmap)
    assert not again.flags.writeable
    np.testing.assert_array_equal(again, first)
    assert (cache.found, cache.computed) == (0, 3)
    cache.vectors(dict(reversed(INGREDIENTS.items())), TEXTS, encode)
    assert (cache.found, cache.computed) == (3, 3)
    assert len(files(tmp_path)) == 1  # no part is left


@pytest.mark.parametrize("name", INGREDIENTS)
def test_each_ingredient_counts(tmp_path: Path, name: str) -> None:
    cache, encode = VectorCache(tmp_path), Counting()
    cache.vectors(INGREDIENTS, TEXTS, encode)
    changed = f"{INGREDIENTS[name]}'" if isinstance(INGREDIENTS[name], str) else 65
    cache.vectors({**INGREDIENTS, name: changed}, TEXTS, encode)
    without = {key: value for key, value in INGREDIENTS.items() if key != name}
    cache.vectors(without, TEXTS, encode)
    assert encode.calls == 3


def test_each_text_counts() -> None:
    lists = [
        TEXTS, ["one", "two"], ["two", "one", "three"], ["one", "two", "three "],
        ["one", "twothree", ""], ["onetwo", "three"], [*TEXTS, ""], [],
    ]  # fmt: skip
    assert len({key_of(INGREDIENTS, texts) for texts in lists}) == len(lists)


@pytest.mark.parametrize("damage", ["cut", "flip", "header", "longer", "empty", "other rows"])
def test_a_broken_file_is_computed_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache, encode = VectorCache(tmp_path), Counting()
    cache.vectors(INGREDIENTS, TEXTS, encode)
    (path,) = files(tmp_path)
    content = path.read_bytes()
    broken = {
        "cut": content[:-8],
        "flip": content[:-1] + bytes([content[-1] ^ 1]),
        "header": b"[1]".ljust(256) + content[256:],
        "longer": content + b"\0\0\0\0",
        "empty": b"",
        "other rows": content.replace(b'"rows": 3', b'"rows": 2'),
    }[damage]
    path.write_bytes(broken)
    with caplog.at_level(logging.WARNING, "thought1"):
        mended = cache.vectors(INGREDIENTS, TEXTS, encode)
    assert encode.calls == 2
    assert "is broken" in caplog.text
    np.testing.assert_array_equal(cache.vectors(INGREDIENTS, TEXTS, encode), mended)
    assert encode.calls == 2


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(texts: Sequence[str]) -> Vectors:
        raise KeyboardInterrupt

    cache = VectorCache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cache.vectors(INGREDIENTS, TEXTS, fail)
    with pytest.raises(ValueError, match=r"3 texts gave vectors of shape \(2, 4\)"):
        cache.vectors(INGREDIENTS, TEXTS, lambda texts: np.zeros((2, 4), np.float32))
    assert files(tmp_path) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(Thought1Error, match="cannot be written"):
        VectorCache(tmp_path / "file").vectors(INGREDIENTS, TEXTS, Counting())


def test_no_texts(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    for _ in range(2):
        assert cache.vectors(INGREDIENTS, [], Counting()).shape == (0, 4)


def test_a_model_behind_the_cache(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from t1_command import small_checkpoint

    one, other = (
        T1.from_pretrained(small_checkpoint(tmp_path_factory.mktemp("model"), seed))
        for seed in (0, 1)
    )
    cache = VectorCache(tmp_path)

    def computed(model: T1, budget: int | None, instruction: str) -> int:
        before = cache.computed
        system = T1TextEncoder(model, budget, cache, instruction)
        plain = T1TextEncoder(model, budget, None, instruction)
        found, expected = (one.encode_queries(["why"]) for one in (system, plain))
        np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-6)
        assert found.thoughts == expected.thoughts  # never from a cache, where there are none
        read, expected_read = (one.encode_documents(["because"]) for one in (system, plain))
        np.testing.assert_allclose(read, expected_read, atol=1e-6)
        return cache.computed - before

    assert computed(one, 0, "find") == 1
    assert computed(one, 0, "find") == 0
    assert computed(one, 3, "seek") == 0  # documents see neither instruction nor budget
    assert computed(other, 0, "find") == 1
    settings = replace(one.settings, max_document_tokens=one.settings.max_document_tokens - 1)
    assert computed(T1(replace(one.checkpoint, settings=settings)), 0, "find") == 1
