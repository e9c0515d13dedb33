"""A small generated collection in BRIGHT's layout, in which each pitfall of its protocol shows.

Words are "w0" to "w599". It knows files, and neither systems nor figures (bright_pitfalls.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thought1.evaluation.bright.task import DEPTH

WORDS = 600
QUERIES = 40
HARD = 6
"""Queries that nothing is found for."""
FAMILY = DEPTH + 100
"""Documents that four queries exclude: more than a ranking is deep."""


@dataclass(slots=True)
class Example:
    """A query of the generated collection."""

    words: list[int]
    reasoned: list[int]
    gold: list[str]
    excluded: list[str]


def generate(folder: Path, seed: int) -> None:
    """Write subset leetcode: documents, long documents under pony, two query sets."""
    rng = np.random.default_rng(seed)
    documents: dict[str, list[int]] = {}
    examples = [_example(rng, i, documents) for i in range(QUERIES)]
    base = examples[0].words
    for i in range(FAMILY):  # the same problem told again: ranked first, and excluded
        documents[f"family_{i}"] = _mixed(rng, base, 6, 12)
    family = [f"family_{i}" for i in range(FAMILY)]
    for example in examples[:4]:
        example.words, example.excluded = list(base), [*example.excluded, *family]
        gold = example.gold[0]
        documents[gold] = _mixed(rng, base, 4, 12)
    for i in range(1000):
        documents[f"other_{i}"] = rng.integers(WORDS, size=12).tolist()
    for example in examples[::2]:  # a copy of a gold document, judged by nobody
        documents[f"copy_of_{example.gold[1]}"] = documents[example.gold[1]]
    documents = _shuffled(rng, documents, examples)
    _write_documents(folder, "documents/leetcode", documents)
    long = {name: [*words, *rng.integers(WORDS, size=12)] for name, words in documents.items()}
    _write_documents(folder, "long_documents/pony", long)
    for config, reasoned in (("examples", False), ("gpt4_reason", True)):
        for subset in ("leetcode", "pony"):
            _write_examples(folder, f"{config}/{subset}", examples, reasoned)


def _example(rng: np.random.Generator, number: int, documents: dict[str, list[int]]) -> Example:
    words = rng.integers(WORDS, size=8).tolist()
    gold = [f"gold_{number}_{i}" for i in range(3)]
    shared = rng.integers(WORDS, size=6).tolist()  # what the answers say and the query does not
    # Some questions share no word with their answers.
    seen = words[2:] if number < QUERIES - HARD else rng.integers(WORDS, size=6).tolist()
    for i, name in enumerate(gold):
        both = _mixed(rng, seen, 2 + i % 2, 6) + _mixed(rng, shared, 5, 6)
        documents[name] = _mixed(rng, both, 12, 12)
    excluded = [f"same_{number}_{i}" for i in range(5 if number % 2 else 0)]
    for name in excluded:
        documents[name] = _mixed(rng, words, 6, 12)
    return Example(words, [*words, *shared], gold, excluded)


def _shuffled(
    rng: np.random.Generator, documents: dict[str, list[int]], examples: Sequence[Example]
) -> dict[str, list[int]]:
    """The documents in any order, with ids that say nothing."""
    order_N = rng.permutation(len(documents))
    old = [list(documents)[place] for place in order_N]
    new = {name: f"{number:05}" for number, name in enumerate(old)}
    for example in examples:
        example.gold = [new[name] for name in example.gold]
        example.excluded = [new[name] for name in example.excluded]
    return {new[name]: documents[name] for name in old}


def _mixed(rng: np.random.Generator, words: Sequence[int], kept: int, size: int) -> list[int]:
    """`kept` of the words, and others up to `size`, in any order."""
    some = [*rng.permutation(words)[:kept], *rng.integers(WORDS, size=size - kept)]
    return [int(word) for word in rng.permutation(some)]


def _text(words: Sequence[int]) -> str:
    return " ".join(f"w{word}" for word in words)


def _write_documents(folder: Path, name: str, documents: dict[str, list[int]]) -> None:
    columns = {"id": list(documents), "content": [_text(words) for words in documents.values()]}
    _write(folder / f"{name}-00000-of-00001.parquet", columns)


def _write_examples(folder: Path, name: str, examples: Sequence[Example], reasoned: bool) -> None:
    long = name.endswith("pony")
    texts = [_text(e.reasoned if reasoned else e.words) for e in examples]
    columns: dict[str, Any] = {
        "query": texts,
        "reasoning": [""] * len(examples),
        "id": [str(number) for number in range(len(examples))],
        "excluded_ids": [["N/A"] if long else e.excluded or ["N/A"] for e in examples],
        "gold_ids_long": [e.gold if long else ["N/A"] for e in examples],
        "gold_ids": [e.gold for e in examples],
        "gold_answer": [""] * len(examples),
    }
    _write(folder / f"{name}-00000-of-00001.parquet", columns)


def _write(path: Path, columns: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path)
