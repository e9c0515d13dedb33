"""Many questions over many documents: seconds and peak memory of each step, in bounded memory.

    python benchmarks/scale.py [--documents 100000] [--queries 1000] [--json FILE]

Documents are random words from a fixed seed, and the model has random weights: sizes matter here,
quality does not. A question is eight words of one document, which is its answer. Vectors are
computed once, as a stream to a file; the index gets them from there, so that its time is its own.
Both searches are exact up to 100,000 documents: that of the index (100 deep), and the blockwise
one of `t1 bright` (1000 deep).

Peak memory is the kernel's high-water mark of this process, reset before each step (Linux only).
"above start" is what the step has added to what was held when it began. MB are 10^6 bytes.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import torch
from record import exit_code, origin, write_json
from speed_texts import WORDS
from transformers.utils import logging as transformers_logging

from thought1 import T1, Index
from thought1.data.formats import BeirFolder
from thought1.evaluation.bright.task import DEPTH as BLOCKWISE_DEPTH
from thought1.evaluation.collection import DEPTH, run_of
from thought1.evaluation.statistics.protocol import evaluate
from thought1.evaluation.systems.dense import BLOCK
from thought1.model.encoder import windows
from thought1.search.blockwise import Block, blockwise_run
from thought1.search.options import Mode, SearchOptions
from thought1.search.pipeline import BATCH
from thought1.training.model.scratch import build
from thought1.training.recipe import ModelConfig, ScratchConfig
from thought1.training.recipe.model import SCRATCH
from thought1.types import Document, Query, Run, Thought, Thought1Error, Vectors

SEED = 0
SPLIT = "test"
SHORTEST, LONGEST, ASKED = 20, 60, 8
"""Words of a document, fewest and most, and of a question."""
BUDGET = 16
"""Tokens of a thought; with random weights hardly one ends earlier."""
SIZES = ScratchConfig(layers=2, hidden_size=128, heads=4)
SHOWN = 10
"""Documents over which the two searches are compared."""
MB = 1e6

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """What one step has taken."""

    name: str
    seconds: float
    peak_mb: float
    above_start_mb: float


@dataclass(slots=True)
class Meter:
    """Runs steps and keeps what they took."""

    steps: list[Step] = field(default_factory=list)

    def run(self, name: str, work: Callable[[], T]) -> T:
        """Do the work of a step; its line is printed at once.

        Raises:
            Thought1Error: the kernel has no high-water mark that can be reset.
        """
        gc.collect()
        held = _reset_peak()
        begun = time.perf_counter()
        done = work()
        seconds = time.perf_counter() - begun
        peak = _memory("VmHWM")
        step = Step(name, seconds, peak / MB, max(0.0, peak - held) / MB)
        self.steps.append(step)
        print(
            f"| {step.name} | {step.seconds:.2f} | {step.peak_mb:.0f} | "
            f"{step.above_start_mb:.0f} |",
            flush=True,
        )
        return done


def _reset_peak() -> float:
    """Make the high-water mark what is held now; proc(5), clear_refs. Returns that, in bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        raise Thought1Error(f"peak memory by step needs Linux's /proc: {error}") from error
    return _memory("VmRSS")


def _memory(name: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
    return 1024 * float(line.split()[1])


def write_collection(folder: Path, documents: int, queries: int) -> None:
    """A BEIR folder; in memory at a time are one document and the questions."""
    random = Random(SEED)
    answers = set(random.sample(range(documents), queries))
    asked: list[tuple[str, str]] = []
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for number in range(documents):
            words = random.choices(WORDS, k=random.randint(SHORTEST, LONGEST))
            file.write(json.dumps({"_id": f"d{number}", "text": " ".join(words)}) + "\n")
            if number in answers:
                asked.append((f"d{number}", " ".join(random.sample(words, ASKED))))
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as file:
        for answer, text in asked:
            file.write(json.dumps({"_id": f"q-{answer}", "text": text}) + "\n")
    (folder / "qrels").mkdir()
    with (folder / "qrels" / f"{SPLIT}.tsv").open("w", encoding="utf-8") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        file.writelines(f"q-{answer}\t{answer}\t1\n" for answer, _ in asked)


def make_model(folder: Path) -> T1:
    """Random weights, and a tokenizer that knows the words; saved, and loaded from there."""
    torch.manual_seed(SEED)
    built = build(ModelConfig(SCRATCH, scratch=SIZES), [" ".join(WORDS)])
    T1(built).save_pretrained(folder)
    return T1.from_pretrained(folder, device="cpu")


@dataclass(frozen=True, slots=True)
class VectorFile:
    """Vectors (N, d) of the documents d0, d1, ... in float32, one after the other."""

    path: Path
    dim: int

    def write(self, model: T1, documents: Iterable[Document]) -> None:
        """Encode a stream of documents, which are in the order of their numbers."""
        with self.path.open("wb") as file:
            for _, vectors_BD in model.encode_document_stream(documents):
                vectors_BD.tofile(file)

    def rows(self, ids: Sequence[str]) -> Vectors:
        """A copy of some rows; nothing of the file stays mapped."""
        mapped = np.memmap(self.path, np.float32, "r").reshape(-1, self.dim)
        return np.array(mapped[[int(name[1:]) for name in ids]])

    def blocks(self) -> Iterator[Block]:
        """All rows, some at a time, with their ids."""
        number = self.path.stat().st_size // (4 * self.dim)
        for start in range(0, number, BLOCK):
            ids = [f"d{row}" for row in range(start, min(start + BLOCK, number))]
            yield ids, self.rows(ids)


class FromFile:
    """The model of an index, which takes the documents' vectors from a file."""

    def __init__(self, model: T1, vectors: VectorFile) -> None:
        self.name, self.dim = model.name, model.dim
        self.identities = model.identities
        self.think, self.count_prompt_tokens = model.think, model.count_prompt_tokens
        self._vectors = vectors

    def encode_document_stream(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[list[Document], Vectors]]:
        """Chunks of the documents with their vectors."""
        for window in windows(documents):
            yield window, self._vectors.rows([document.id for document in window])


def make_index(folder: Path, model: FromFile, documents: Iterable[Document]) -> Index:
    """Store, write the word index, compact."""
    index = Index.create(folder, model)
    index.add(documents)
    index.optimize()
    return index


def search(index: Index, queries: Sequence[Query], thoughts: Sequence[Thought], mode: Mode) -> Run:
    """The run of an index, in the batches of `t1 evaluate`."""
    run: Run = {}
    for start in range(0, len(queries), BATCH):
        some = queries[start : start + BATCH]
        given = thoughts[start : start + BATCH] if mode == "dense" else None
        texts = [query.text for query in some]
        results, _ = index.search_many(texts, SearchOptions(DEPTH, mode), given)
        run |= run_of((query.id for query in some), results)
    return run


def agreement(a: Run, b: Run) -> float:
    """The share of `a`'s first documents that are among `b`'s first, over all queries."""
    shared = sum(len({*list(a[q])[:SHOWN]} & {*list(b[q])[:SHOWN]}) for q in a)
    return shared / sum(len(list(a[q])[:SHOWN]) for q in a)


def measure(folder: Path, documents: int, queries: int) -> dict[str, Any]:
    """Every step, printed while it is measured."""
    meter = Meter()
    print("| step | seconds | peak MB | above start, MB |\n|---|---|---|---|")
    meter.run("make documents", lambda: write_collection(folder, documents, queries))
    model = meter.run("make model", lambda: make_model(folder / "model"))
    beir = BeirFolder(folder)
    vectors = VectorFile(folder / "vectors.f32", model.dim)
    meter.run("encode documents", lambda: vectors.write(model, beir.corpus()))
    stand_in = FromFile(model, vectors)
    index = meter.run("index", lambda: make_index(folder / "index", stand_in, beir.corpus()))
    asked = list(beir.queries())
    texts, ids = [query.text for query in asked], [query.id for query in asked]
    thoughts = meter.run("think", lambda: model.think(texts, budget=BUDGET))
    queries_QD = np.array([thought.vector for thought in thoughts], np.float32)
    runs = {
        "index": meter.run("search, index", lambda: search(index, asked, thoughts, "dense")),
        "words": meter.run("search, words", lambda: search(index, asked, thoughts, "bm25")),
        "blockwise": meter.run(
            "search, blockwise",
            lambda: blockwise_run(ids, queries_QD, vectors.blocks(), BLOCKWISE_DEPTH),
        ),
    }
    qrels = beir.qrels(SPLIT)
    found = meter.run(
        "evaluate", lambda: {name: evaluate(run, qrels) for name, run in runs.items()}
    )
    return {
        "documents": len(index),
        "queries": len(asked),
        "budget": BUDGET,
        "thought_tokens": sum(len(thought.token_ids) for thought in thoughts),
        "parameters": model.checkpoint.model.num_parameters(),
        "texts_mb": (folder / "corpus.jsonl").stat().st_size / MB,
        "vectors_mb": vectors.path.stat().st_size / MB,
        "steps": [asdict(step) for step in meter.steps],
        "metrics": {name: evaluation.metrics for name, evaluation in found.items()},
        "agreement": agreement(runs["blockwise"], runs["index"]),
    }


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--json", type=Path, help="write the result here too")
    options = parser.parse_args(arguments)
    if not 1 <= options.queries <= options.documents:
        parser.error("--queries must be 1 or more, and at most --documents")
    return options


def main(arguments: list[str]) -> int:
    """Measure, print, and write the JSON file."""
    options = parse(arguments)
    transformers_logging.disable_progress_bar()

    def work() -> None:
        with TemporaryDirectory(prefix="t1-scale-") as folder:
            result = measure(Path(folder), options.documents, options.queries)
        print(
            f"texts {result['texts_mb']:.0f} MB, vectors {result['vectors_mb']:.0f} MB; the two "
            f"dense searches share {result['agreement']:.2%} of the first {SHOWN}"
        )
        if options.json:
            write_json(options.json, {"origin": origin("scale.py", arguments), **result})

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
