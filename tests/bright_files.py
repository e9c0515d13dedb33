"""Small collections in the layout and with the columns of BRIGHT; all sentences are our own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TEXTS = pa.list_(pa.string())
DOCUMENTS = pa.schema([("id", pa.string()), ("content", pa.string())])
EXAMPLES = pa.schema(
    [
        ("query", pa.string()),
        ("reasoning", pa.string()),
        ("id", pa.string()),
        ("excluded_ids", TEXTS),
        ("gold_ids_long", TEXTS),
        ("gold_ids", TEXTS),
        ("gold_answer", pa.string()),
    ]
)

NOTES = {
    "kiln/kiln_0.txt": "A kiln fires clay slowly, because quick heat cracks the pots.",
    "kiln/kiln_1.txt": "Glaze melts to glass on the surface of a pot.",
    "mill/mill_0.txt": "A water mill turns its stone by the weight of falling water.",
    "mill/mill_copy.txt": "  A water mill turns its stone by the weight of falling water.\n",
    "bees/bees_0.txt": "Bees cool the hive by fanning their wings at the entrance.",
    "rope/rope_0.txt": "A rope that dries under tension keeps its length.",
}
LONG_NOTES = {
    "kiln": "A kiln fires clay slowly. Glaze melts to glass.",
    "mill": "A water mill turns its stone by the weight of falling water.",
    "bees": "Bees cool the hive by fanning their wings.",
}


@dataclass(frozen=True)
class Example:
    id: str
    query: str
    gold: Sequence[str] = ()
    excluded: Sequence[str] = ("N/A",)
    gold_long: Sequence[str] = ()

    def row(self) -> dict[str, Any]:
        return {
            "query": self.query,
            "reasoning": "a step of our own",
            "id": self.id,
            "excluded_ids": list(self.excluded),
            "gold_ids_long": list(self.gold_long),
            "gold_ids": list(self.gold),
            "gold_answer": "",
        }


QUERIES = (
    Example("0", "why did my pots crack", ["kiln/kiln_0.txt"], gold_long=["kiln"]),
    Example("1", "what drives the mill", ["mill/mill_0.txt"], ["rope/rope_0.txt"], ["mill"]),
)


def write_documents(
    folder: Path,
    subset: str,
    documents: Mapping[str, str],
    *,
    config: str = "documents",
    parts: int = 1,
) -> None:
    rows = [{"id": name, "content": text} for name, text in documents.items()]
    _write(folder, config, subset, rows, DOCUMENTS, parts)


def write_examples(
    folder: Path, subset: str, examples: Sequence[Example], *, config: str = "examples"
) -> None:
    _write(folder, config, subset, [example.row() for example in examples], EXAMPLES, 1)


def write_subset(
    folder: Path,
    subset: str = "biology",
    documents: Mapping[str, str] = NOTES,
    examples: Sequence[Example] = QUERIES,
) -> Path:
    """Documents and examples of one subset; the folder again."""
    write_documents(folder, subset, documents)
    write_examples(folder, subset, examples)
    return folder


def _write(
    folder: Path,
    config: str,
    subset: str,
    rows: Sequence[Mapping[str, Any]],
    schema: pa.Schema,
    parts: int,
) -> None:
    (folder / config).mkdir(parents=True, exist_ok=True)
    size = -(-len(rows) // parts)
    for part in range(parts):
        some = list(rows[part * size : (part + 1) * size])
        name = f"{subset}-{part:05}-of-{parts:05}.parquet"
        pq.write_table(pa.Table.from_pylist(some, schema), folder / config / name)
