"""Batches hold every row once, within their limits; vectors come back in the rows' order."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thought1.model.encoder import Encoder, batches, windows
from thought1.types import Document, Generation, Sampling, Vectors

lengths = st.lists(st.integers(0, 40), max_size=60)
budgets = st.integers(1, 120)
sizes = st.integers(1, 12)


@given(lengths, budgets, sizes)
def test_every_row_is_in_exactly_one_batch(
    lengths: list[int], token_budget: int, batch_size: int
) -> None:
    found = [row for batch in batches(lengths, token_budget, batch_size) for row in batch]
    assert sorted(found) == list(range(len(lengths)))


@given(lengths, budgets, sizes)
def test_a_batch_keeps_its_limits(lengths: list[int], token_budget: int, batch_size: int) -> None:
    for batch in batches(lengths, token_budget, batch_size):
        padded = len(batch) * max(lengths[row] for row in batch)
        assert 1 <= len(batch) <= batch_size
        assert padded <= token_budget or len(batch) == 1


@given(lengths, budgets, sizes)
def test_the_longest_come_first_and_rows_of_one_length_keep_their_order(
    lengths: list[int], token_budget: int, batch_size: int
) -> None:
    rows = [row for batch in batches(lengths, token_budget, batch_size) for row in batch]
    assert [(-lengths[row], row) for row in rows] == sorted(
        (-n, row) for row, n in enumerate(lengths)
    )


@given(lengths, budgets, sizes)
def test_no_batch_could_have_taken_the_next_row(
    lengths: list[int], token_budget: int, batch_size: int
) -> None:
    made = list(batches(lengths, token_budget, batch_size))
    for batch in made[:-1]:
        longest = max(1, lengths[batch[0]])
        assert len(batch) == batch_size or (len(batch) + 1) * longest > token_budget


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_below_one_is_refused(batch_size: int) -> None:
    with pytest.raises(ValueError, match="batch_size is a number of rows"):
        list(batches([1, 2], 10, batch_size))


class Sums:
    """An engine whose vector of a sequence is (length, sum of its ids)."""

    dim = 2

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def embed(self, prefix: Sequence[int], rows: Sequence[Sequence[int]]) -> Vectors:
        self.seen.append([len(row) for row in rows])
        whole = [[*prefix, *row] for row in rows]
        return np.array([(len(ids), sum(ids)) for ids in whole], np.float32)

    def generate(
        self,
        prefix: Sequence[int],
        rows: Sequence[Sequence[int]],
        budgets: Sequence[int],
        sampling: Sampling,
    ) -> list[Generation]:
        raise AssertionError("encoding generates nothing")


rows_of_ids = st.lists(st.lists(st.integers(0, 99), max_size=20), max_size=30)


@given(rows_of_ids, st.lists(st.integers(0, 99), max_size=5), budgets, sizes)
def test_vectors_come_in_the_order_of_the_rows(
    rows: list[list[int]], prefix: list[int], token_budget: int, batch_size: int
) -> None:
    engine, done = Sums(), list[int]()
    encoder = Encoder(engine, token_budget)
    vectors = encoder.encode(prefix, rows, batch_size=batch_size, on_progress=done.append)
    expected = [(len(prefix) + len(row), sum(prefix) + sum(row)) for row in rows]
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [list(pair) for pair in expected]
    assert sum(done) == len(rows)
    assert done == [len(batch) for batch in engine.seen]
    assert vectors.shape == (len(rows), 2)


@given(st.integers(0, 50), st.integers(1, 12))
def test_windows_are_consecutive_bounded_and_lazy(count: int, size: int) -> None:
    taken = 0

    def stream() -> Iterator[Document]:
        nonlocal taken
        for number in range(count):
            taken += 1
            yield Document(str(number), "text")

    seen: list[str] = []
    for window in windows(stream(), size):
        seen += [document.id for document in window]
        assert 1 <= len(window) <= size
        assert taken == len(seen)
        assert len(window) == size or taken == count
    assert seen == [str(number) for number in range(count)]
