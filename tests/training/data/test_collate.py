"""From planned batches to tensors: how texts are packed, and what is a label."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from thought1.training.data import collate
from thought1.training.data.batches import Batch, Rows, Text
from thought1.training.data.collate import Collator, fit, named, packed
from thought1.training.data.sources import Role
from thought1.training.losses import IGNORE_INDEX

X = IGNORE_INDEX
EMB = 9
LENGTHS = {"a": 3, "b": 6, "c": 2, "d": 4}


def rows_of(role: Role = "document", teacher: bool = False, head: int = 1) -> Rows:
    """Texts of these lengths; the ids of each tell which one it is."""
    ids: dict[Text, Sequence[int]] = {
        (role, text): [*range(10 * n, 10 * n + length - 1), EMB]
        for n, (text, length) in enumerate(LENGTHS.items(), 1)
    }
    vectors = {text: np.full(2, n, np.float16) for n, text in enumerate(LENGTHS, 1)}
    return Rows(ids, vectors if teacher else {}, {}, {role: head})


def texts_of(tensors: dict[str, Tensor], role: str) -> list[list[int]]:
    """The ids of each segment, row by row, in order."""
    found = []
    rows = zip(tensors[f"{role}_ids"], tensors[f"{role}_segments"], strict=True)
    for ids, segments in rows:
        found += [ids[segments == n].tolist() for n in range(1, int(segments.max()) + 1)]
    return found


# -- packing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "width", "groups"),
    [
        ([], 5, []),
        ([2], 5, [[0]]),
        ([2, 3], 5, [[1, 0]]),
        ([2, 4, 3, 1], 5, [[1, 3], [2, 0]]),
        ([9, 1, 5], 5, [[0], [2], [1]]),
        ([2, 2, 2], 4, [[0, 1], [2]]),
    ],
)
def test_fit_puts_the_longest_first(
    lengths: list[int], width: int, groups: list[list[int]]
) -> None:
    assert fit(lengths, width) == groups


def test_packed_rows() -> None:
    tensors = packed([[[1, 2], [3]], [[4]]], [[[X, 2], [X]], [[4]]])
    assert tensors["ids"].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert tensors["segments"].tolist() == [[1, 1, 2], [1, 0, 0]]
    assert tensors["labels"].tolist() == [[X, 2, X], [4, X, X]]
    assert {tensor.dtype for tensor in tensors.values()} == {torch.long}
    assert set(packed([[[1]]])) == {"ids", "segments"}


def test_names_tell_the_sides_apart() -> None:
    one = torch.ones(1)
    assert named("query", {"ids": one}) == {"query_ids": one}


# -- single texts ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["query", "document"])
def test_single_texts_are_packed_with_labels(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collate, "PACKED_TOKENS", 8)
    rows = rows_of(role, head=2)
    texts = tuple(LENGTHS)
    batch = Batch(queries=texts) if role == "query" else Batch(documents=texts)
    tensors = Collator(rows, language=True)([batch])
    assert set(tensors) == {f"{role}_{name}" for name in ("ids", "segments", "labels")}
    assert texts_of(tensors, role) == [rows.ids[role, text] for text in "bcda"]
    # Neither the template's two ids nor <emb_token> is a target.
    assert tensors[f"{role}_labels"].tolist() == [
        [X, X, 22, 23, 24, X, X, X],
        [X, X, 42, X, X, X, X, X],
    ]


def test_without_a_language_loss_each_text_has_its_row() -> None:
    tensors = Collator(rows_of())([Batch(documents=tuple(LENGTHS))])
    assert set(tensors) == {"document_ids", "document_segments"}
    assert tensors["document_ids"].shape == (4, 6)
    assert texts_of(tensors, "document") == [rows_of().ids["document", text] for text in "abcd"]


@pytest.mark.parametrize("language", [False, True])
def test_the_teacher_follows_the_segments(language: bool) -> None:
    tensors = Collator(rows_of(teacher=True), language=language)([Batch(documents=tuple(LENGTHS))])
    first_ids = [text[0] for text in texts_of(tensors, "document")]
    assert first_ids == ([20, 40, 10, 30] if language else [10, 20, 30, 40])
    assert tensors["document_teacher"].tolist() == [[id / 10] * 2 for id in first_ids]
    assert tensors["document_teacher"].dtype == torch.float32


@pytest.mark.parametrize("texts", [("a", "d"), ("d",)])
def test_a_first_token_follows_nothing_and_is_no_target(texts: tuple[str, ...]) -> None:
    """Without a template it would be predicted from the text before, in packed rows."""
    tensors = Collator(rows_of(head=0), language=True)([Batch(documents=texts)])
    expected = [X, 41, 42, X] + ([X, 11, X] if "a" in texts else [])
    assert tensors["document_labels"].tolist() == [expected]


def test_an_empty_text_has_no_target() -> None:
    rows = Rows({("document", ""): [5, EMB], ("document", "bare"): [EMB]}, {}, {}, {"document": 1})
    tensors = Collator(rows, language=True)([Batch(documents=("", "bare"))])
    assert tensors["document_labels"].tolist() == [[X, X, X]]


# -- rationales ------------------------------------------------------------------------------


def test_labels_of_rationales_include_the_end() -> None:
    rows = Rows(
        {("thought", "0"): [1, 2, 31, 32, EMB], ("thought", "1"): [1, 41, 42]},
        {"other": np.zeros(2, np.float16)},
        {},
        starts={"0": 2, "1": 1},
    )
    tensors = Collator(rows, language=True)([Batch(thoughts=("0", "1"))])
    assert set(tensors) == {"thought_ids", "thought_segments", "thought_labels"}
    assert tensors["thought_ids"].tolist() == [[1, 2, 31, 32, EMB, 1, 41, 42]]
    # The second was cut: it does not teach to end.
    assert tensors["thought_labels"].tolist() == [[X, X, 31, 32, EMB, X, 41, 42]]


# -- streamed texts and pairs ----------------------------------------------------------------


def test_streamed_texts_have_ids_and_labels_alone() -> None:
    rows = Rows(
        {},
        {"any": np.zeros(2, np.float16)},
        {},
        {"document": 1},
        streamed=[[1, 11, EMB], [1, 21, 22, EMB], [1, 31, EMB]],
    )
    tensors = Collator(rows, language=True)([Batch(streamed=(2, 1))])
    assert set(tensors) == {"document_ids", "document_segments", "document_labels"}
    assert tensors["document_ids"].tolist() == [[1, 21, 22, EMB, 1, 31, EMB]]
    assert tensors["document_labels"].tolist() == [[X, 21, 22, X, X, 31, X]]


def test_pairs_have_no_labels() -> None:
    ids: dict[Text, Sequence[int]] = {("query", "q"): [1, 2], ("document", "a"): [3, 4, 5]}
    ids["document", "b"] = [6]
    rows = Rows(ids, {}, {"q": frozenset({"a", "b"})}, {"query": 1, "document": 1})
    batch = Batch(("q",), ("a", "b"), ((0,),), ("id",))
    tensors = Collator(rows, language=True)([batch])
    assert tensors["document_ids"].tolist() == [[3, 4, 5], [6, 0, 0]]
    assert not any(name.endswith("labels") for name in tensors)
    assert tensors["positives"].tolist() == [[True, False]]
    assert tensors["answers"].tolist() == [[True, True]]
