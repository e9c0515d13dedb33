"""The process that test_kill.py kills: it works on an index and prints what is safe on disk.

python kill_child.py add|optimize|create FOLDER GENERATION
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from thought1 import Document, Index
from thought1.store import writer
from thought1.testing import FakeModel

DOCUMENTS = 1500


def documents(generation: int, count: int = DOCUMENTS) -> Iterator[Document]:
    """The same ids in every generation, with another text and metadata."""
    for i in range(count):
        yield Document(
            f"doc-{i}", f"Text of gen{generation}x.", f"Title unique{i}x", {"of": generation}
        )


def say(word: str, number: int) -> None:
    print(word, number, flush=True)


def add(index: Index, generation: int) -> None:
    """Replace everything, in one write or in many small ones, and say how far it is."""
    if generation % 3:
        writer.WRITE_SECONDS = 0.0
    done = 0

    def on_progress(count: int) -> None:
        nonlocal done
        done += count
        say("safe", done)

    index.add(documents(generation), on_progress=on_progress)


def optimize(index: Index, generation: int) -> None:
    """Replace the first 100 documents and optimize, vector index included, again and again."""
    index._store.exact_limit = 10  # type: ignore[attr-defined]
    while True:
        index.add(documents(generation, 100))
        say("safe", generation)
        index.optimize()
        generation += 1


def create(folder: Path) -> None:
    """Create one index after the other."""
    number = 0
    while True:
        Index.create(folder / str(number), FakeModel())
        say("created", number)
        number += 1


def main() -> None:
    task, path, generation = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if task == "create":
        say("ready", 0)
        create(path)
    index = Index.open(path, FakeModel())
    say("ready", 0)
    {"add": add, "optimize": optimize}[task](index, generation)


if __name__ == "__main__":
    main()
