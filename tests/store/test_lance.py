"""What is LanceDB's own, beside the contract: approximate search, damaged or cut-off folders."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pytest

from thought1.store import lance, lance_connection
from thought1.store.lance import LanceStore
from thought1.store.lance_commits import reason
from thought1.types import (
    DiskFull,
    Document,
    IndexUnavailable,
    StoredRow,
    Thought1Error,
    Vectors,
)

DIM = 32


def clustered(n: int, seed: int) -> Vectors:
    """Unit vectors around 50 centres, which are the same for every seed."""
    centres = np.random.default_rng(99).standard_normal((50, DIM))
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, 50, n)] + 0.7 * rng.standard_normal((n, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def rows(vectors: Vectors, start: int = 0) -> list[StoredRow]:
    return [
        StoredRow(Document(str(i), f"text {i}", metadata={"tens": i // 10}), vector, "h")
        for i, vector in enumerate(vectors, start)
    ]


def recall(store: LanceStore, vectors: Vectors, queries: Vectors, k: int) -> float:
    best = np.argsort(-(queries @ vectors.T), axis=1)[:, :k]
    rankings = store.search_dense(queries, k)
    assert all(len(ranking) == k for ranking in rankings)
    found = [{int(id_) for id_, _ in ranking} for ranking in rankings]
    return float(
        np.mean([len(ids & set(row)) / k for ids, row in zip(found, best.tolist(), strict=True)])
    )


def test_optimize_builds_a_vector_index_above_the_limit_only(tmp_path: Path) -> None:
    vectors, queries = clustered(4000, 1), clustered(100, 2)
    store = LanceStore.create(tmp_path / "store", DIM, {})
    store.upsert(rows(vectors[:3000]))
    store.optimize()
    assert recall(store, vectors[:3000], queries, 10) == 1.0
    assert store._table.index_stats(lance._VECTOR_INDEX) is None

    store.exact_limit = 1000
    store.optimize()
    stats = store._table.index_stats(lance._VECTOR_INDEX)
    assert (stats.index_type, stats.num_indexed_rows) == ("IVF_FLAT", 3000)
    store.upsert(rows(vectors[3000:], start=3000))  # found although not indexed
    for _ in range(2):
        assert recall(store, vectors, queries, 10) >= 0.95
        assert recall(store, vectors, queries, 100) >= 0.95
        assert len(store.search_dense(queries[:1], 4000)[0]) == 4000
        near = [100 * 10 + i for i in range(10)]  # a filtered search stays exact
        order = np.argsort(-(vectors[near] @ queries[0]))
        (ranking,) = store.search_dense(queries[:1], 10, {"tens": 100})
        assert [int(id_) for id_, _ in ranking] == [near[i] for i in order]
        store.optimize()
    assert store._table.index_stats(lance._VECTOR_INDEX).num_unindexed_rows == 0


def test_optimize_frees_what_was_replaced(tmp_path: Path) -> None:
    store = LanceStore.create(tmp_path / "store", DIM, {})
    for seed in range(10):
        store.upsert(rows(clustered(1000, seed)))

    def size() -> int:
        return sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    before = size()
    store.optimize()
    assert size() < before / 4


def test_the_index_of_ids_is_kept_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance, "_UNINDEXED_IDS", 20)
    store = LanceStore.create(tmp_path / "store", DIM, {})
    unindexed = []
    for start in range(0, 30, 10):
        store.upsert(rows(clustered(10, start), start))
        unindexed.append(store._table.index_stats("id_idx").num_unindexed_rows)
    assert unindexed == [10, 0, 10]


def test_what_another_process_spoilt_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LanceStore.create(tmp_path / "store", DIM, {})
    now, pauses = [0.0], []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    failures: list[Exception] = [RuntimeError("conflict"), OSError("gone")]

    def operation(word: str) -> str:
        if failures:
            raise failures.pop()
        return word

    assert store._retrying(operation, "done") == "done"
    assert len(pauses) == 2
    assert 0.025 <= pauses[0] <= 0.05 <= pauses[1] <= 0.1
    # Losing against other writers passes; anything else is no use to wait for.
    for error, seconds in ((RuntimeError("a conflict"), 120.0), (OSError("gone"), 1.5)):
        now[0], failures = 0.0, [error] * 1000
        with pytest.raises(Thought1Error, match=f"cannot be used: {error}"):
            store._retrying(operation, "never")
        assert seconds < now[0] < seconds + 2


@pytest.mark.parametrize(
    "said",
    [
        "lance error: No space left on device (os error 28), /src/writer/structural.rs:191:9",
        "Disk quota exceeded (os error 122)",
    ],
)
def test_a_full_disk_is_named_at_once(tmp_path: Path, said: str) -> None:
    store, tried = LanceStore.create(tmp_path / "store", DIM, {}), []

    def write() -> None:
        tried.append(said)
        raise RuntimeError(said)

    with pytest.raises(DiskFull, match=r"the disk is full: nothing more .* at .*/store\. .* free"):
        store._retrying(write)
    assert len(tried) == 1


def test_a_faulty_query_is_no_damage(tmp_path: Path) -> None:
    store = LanceStore.create(tmp_path / "store", DIM, {})
    for condition in ("nosuch = 3", "id = ("):
        with pytest.raises(ValueError, match=r"nosuch|parser"):
            store._retrying(store._table.count_rows, condition)
    for manifest in (tmp_path / "store" / "documents.lance" / "_versions").glob("*.manifest"):
        manifest.write_bytes(bytes(manifest.stat().st_size))
    with pytest.raises(IndexUnavailable, match="No field named id"):
        store.get(["1"])


def test_a_message_does_not_name_a_line_of_the_library() -> None:
    said = "lance error: not found, /home/lance-13.0.0/src/io/commit.rs:653:26"
    assert reason(RuntimeError(said)) == "lance error: not found"


def test_what_lancedb_keeps_of_old_versions_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 2**19
    session = lancedb.Session(limit, limit)
    monkeypatch.setattr(lance_connection, "_SESSION", session)
    store = LanceStore.create(tmp_path / "store", DIM, {})
    for seed in range(40):
        store.upsert(rows(clustered(10, seed)))
        store.search_bm25(["text"], 3)
        store.search_dense(clustered(1, 0), 3)
    assert 0 < session.size_bytes <= 2 * limit


def test_a_folder_without_our_info_is_refused(tmp_path: Path) -> None:
    lance.connect(tmp_path).create_table("documents", [{"id": "a"}])
    with pytest.raises(Thought1Error, match="not an index of Thought 1"):
        LanceStore.open(tmp_path)


def test_a_damaged_folder_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "store"
    LanceStore.create(path, DIM, {}).upsert(rows(clustered(10, 0)))
    for data in (path / "documents.lance" / "data").iterdir():
        data.unlink()
    store = LanceStore.open(path)
    with pytest.raises(Thought1Error, match="cannot be used"):
        store.get(["1"])
    for manifest in (path / "documents.lance" / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"")
    with pytest.raises(Thought1Error, match="cannot be read"):
        LanceStore.open(path)


def leave_out(*names: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        for name in names:
            shutil.rmtree(folder / name, ignore_errors=True)

    return prepare


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "cut_off",
    [
        leave_out("_versions", "_transactions", "_indices", "data"),
        leave_out("_versions"),
        lambda folder: [p.unlink() for p in (folder / "_versions").iterdir()],
    ],
)
def test_an_interrupted_creation_can_be_repeated(
    tmp_path: Path, cut_off: Callable[[Path], Any], overwrite: bool
) -> None:
    path = tmp_path / "store"
    LanceStore.create(path, DIM, {"old": 1})
    cut_off(path / "documents.lance")
    with pytest.raises(Thought1Error, match="interrupted creation: create it again"):
        LanceStore.open(path)
    store = LanceStore.create(path, DIM, {"new": 1}, overwrite=overwrite)
    store.upsert(rows(clustered(3, 0)))
    assert (LanceStore.open(path).count(), LanceStore.open(path).info) == (3, {"new": 1})


def test_a_kill_before_the_indexes_is_mended_by_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(LanceStore, "_ensure_indexes", lambda self: None)
        LanceStore.create(tmp_path / "store", DIM, {}).upsert(rows(clustered(3, 0)))
    assert len(LanceStore.open(tmp_path / "store").search_bm25(["text"], 5)[0]) == 3


def test_a_creation_that_fails_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(path: Path) -> None:
        (path / "documents.lance").mkdir(parents=True)
        raise OSError("no space left on device")

    monkeypatch.setattr(lance, "connect", no_space)
    with pytest.raises(Thought1Error, match="the disk is full"):
        LanceStore.create(tmp_path / "new" / "store", DIM, {})
    assert list(tmp_path.iterdir()) == []
