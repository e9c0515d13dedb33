"""Documents are made storable, or refused by name, before anything of them is written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thought1 import Document, Index, Thought1Error
from thought1.testing import FakeModel


def test_values_of_users_are_converted(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "index", FakeModel())
    given: Any = {"year": np.int64(3), "open": np.bool_(True), "none": None, "modified at": "x"}
    index.add([Document(5, "kettle", None, given)])  # type: ignore[arg-type]
    where = {"year": {"gte": 3}, "open": True, "modified at": "x"}
    (hit,) = index.search("kettle", mode="bm25", where=where).hits
    assert (hit.id, hit.title) == ("5", "")
    assert hit.metadata == {"year": 3, "open": True, "modified at": "x"}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (("x", None), "document 'x': the text must be a string, not None"),
        ((True, "text"), "document True: the id must be a string"),
        (("x", "text", 3), "document 'x': the title must be a string"),
        (("x", "text", "", {"f": b""}), "document 'x': the metadata field 'f' must be text"),
        (("x", "text", "", {1: "y"}), "document 'x': the name of a metadata field must"),
        (("x", "\ud800"), "the text is not valid Unicode"),
    ],
)
def test_a_bad_document_is_named_and_nothing_is_written(
    tmp_path: Path, bad: tuple[Any, ...], message: str
) -> None:
    index = Index.create(tmp_path / "index", FakeModel())
    with pytest.raises(Thought1Error, match=message):
        index.add([Document("good", "kettle"), Document(*bad)])
    assert len(index) == 0
