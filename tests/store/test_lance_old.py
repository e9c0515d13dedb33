"""Tables that earlier versions of this program made: read, protected and healed."""

import json
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from lancedb.index import FTS, BTree

from thought1.store.lance import LanceStore
from thought1.types import Document, StoredRow

COLUMNS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("body", pa.string()),
        pa.field("vector", pa.list_(pa.float32(), 2)),
        pa.field("content_hash", pa.string()),
        pa.field("metadata", pa.string()),
        pa.field("filterable", pa.json_()),
    ],
    metadata={b"thought1": json.dumps({"format": 1}).encode()},
)
DOUBLES = 3


def rows(*documents: tuple[str, str | None, str]) -> pa.Table:
    n = len(documents)
    ids, titles, texts = (list(column) for column in zip(*documents, strict=True))
    stored = pa.array(['{"t:year": "1990"}'] * n, pa.string())
    return pa.table(
        [
            pa.array(ids),
            pa.array(titles, pa.string()),
            pa.array([f"{title}\n{text}" for title, text in zip(titles, texts, strict=True)]),
            pa.array([[1.0, 0.0]] * n, pa.list_(pa.float32(), 2)),
            pa.array(["h"] * n),
            pa.array(['{"year": "1990"}'] * n),
            pa.ExtensionArray.from_storage(pa.json_(), stored),
        ],
        schema=COLUMNS,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An index with a document without a title, and one that is there several times."""
    table = lancedb.connect(str(tmp_path / "old")).create_table("documents", schema=COLUMNS)
    table.create_index("id", config=BTree())
    table.create_index("body", config=FTS(language="English"))
    table.add(rows(("untitled", None, "a kettle"), ("titled", "On kettles", "cafe\u0301")))
    for i in range(DOUBLES):
        table.add(rows(("double", "", f"kettle {i}")))
    return tmp_path / "old"


def test_an_old_table_is_read(path: Path) -> None:
    store = LanceStore.open(path)
    metadata = {"year": "1990"}
    assert store.get(["untitled", "titled"]) == {
        "untitled": Document("untitled", "a kettle", "", metadata),
        "titled": Document("titled", "cafe\u0301", "On kettles", metadata),
    }
    (found,) = store.search_bm25(["kettle"], 9, {"year": {"lt": 1995}})
    assert {id_ for id_, _ in found} == {"untitled", "titled", "double"}
    assert [id_ for id_, _ in store.search_bm25(["cafe\u0301"], 9)[0]] == ["titled"]


def test_optimize_keeps_the_last_of_doubles(path: Path) -> None:
    store = LanceStore.open(path)
    assert store.count() == 2 + DOUBLES
    store.optimize()
    assert store.count() == 3
    assert store.get(["double"])["double"].text == f"kettle {DOUBLES - 1}"
    (found,) = store.search_bm25(["kettle"], 9)
    assert sorted(id_ for id_, _ in found) == ["double", "titled", "untitled"]


def test_an_old_table_gets_the_key_with_its_next_write(path: Path) -> None:
    one, other = LanceStore.open(path), LanceStore.open(path)
    new = [
        StoredRow(Document("new", text), np.array([0, 1], np.float32), text)
        for text in ("soft\u00adness", "second")
    ]
    one.upsert(new[:1])
    assert one.get(["new"])["new"].text == "soft\u00adness"
    assert any(b"primary-key" in name for name in one._table.schema.field("id").metadata)
    other.upsert(new[1:])
    assert one.get(["new"])["new"].text == "second"
    assert one.count() == 2 + DOUBLES + 1
